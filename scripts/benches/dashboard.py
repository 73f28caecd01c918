"""2,000 workers' queues in the dashboard and in the report, in a real Chromium: refresh, opening, filter and order."""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable, Iterator
from pathlib import Path

from playwright.sync_api import Browser, Page

from attune_ops.installation.config import Settings
from attune_ops.notebook.dashboard.page import Dashboard
from attune_ops.ops import Ops
from benches import Result, Site, side_by_side
from benches.doctor import Answers, settled, took, workers
from tests.browser import chromium
from tests.world import eventually

WORKERS = 2000
ROWS = 200  # that the dashboard draws at most
PROMISED_MS, AT_ONCE_MS, PATIENCE_MS = 2000.0, 500.0, 120_000
REFRESH_LIMIT = 1.2
RUNS = 5
OPENED = "import attune_ops\nattune_ops.connect().dashboard(interval=2)"
# Does something to the page and waits until it is so and painted; gives how long that took.
TIMED = """async ([act, until]) => {
  const frame = () => new Promise(requestAnimationFrame), began = performance.now();
  (new Function(act))();
  const so = new Function(`return ${until}`);
  while (!so()) {
    if (performance.now() - began > 30000) throw new Error(`never ${until}`);
    await frame();
  }
  await frame(); await frame();
  return performance.now() - began;
}"""
# The longest time for which the page could not answer, in ms, over some seconds.
LONGEST = """(seconds) => new Promise((tell) => {
  let longest = 0;
  const watch = new PerformanceObserver((list) => {
    for (const task of list.getEntries()) longest = Math.max(longest, task.duration);
  });
  watch.observe({ type: "longtask" });
  setTimeout(() => tell(longest), 1000 * seconds);
})"""


def measure(site: Site) -> Iterator[Result]:
    """January's topology with a consumer for each worker."""
    settings = site.settings(registry="crowd")
    path = chromium.found()
    assert path is not None, "no chromium"
    with workers(settings, WORKERS):
        settled(Ops(settings))
        refresh = refreshing(settings, "2,000")
        yield refresh
        yield promise(refresh.what, refresh.ours_ms, RUNS)
        report = site.folder / "report.html"
        writing = took(lambda: Ops(settings).report(str(report)))
        yield Result("report of 2,000 workers, read and written", "its opening's promise", writing, PROMISED_MS)
        with chromium.launched(path) as browser:
            yield from opening(browser, report)
            environment = {**os.environ, **site.environment(settings)}
            with chromium.jupyterlab(site.folder, (OPENED,), environment) as url:
                yield from using(browser, url)


def promise(what: str, ms: float, runs: int, most: float = PROMISED_MS) -> Result:
    return Result(what, "the promised time" if most == PROMISED_MS else "half a second", ms, most, 1.0, runs)


def refreshing(settings: Settings, many: str) -> Result:
    """A refresh as the reading thread does it: read, judge, and draw the tab of the queues."""
    board = Dashboard(Ops(settings), interval=3600.0)
    try:
        board.tabs.selected_index = 1
        eventually(lambda: board.collector.state.reads, within=120)

        def refresh() -> None:
            looks = board.collector.state.reads
            board.collector.read_now()
            eventually(lambda: board.collector.state.reads > looks and board.collector.idle, within=120, every=0.005)

        bare = Answers(settings, lambda: Ops(settings).facts())
        ours, http = side_by_side(lambda: took(refresh), lambda: took(bare.fetch), RUNS)
    finally:
        board.close()
    return Result(
        f"dashboard refresh, {many} worker queues", f"its {len(bare.asked)} bare HTTP answers", ours, http,
        REFRESH_LIMIT, RUNS,
    )  # fmt: skip


def opening(browser: Browser, report: Path) -> Iterator[Result]:
    """The report from its file, until it is painted and its script has run; then its filter and order."""
    times, filters, orders = [], [], []
    for _ in range(RUNS):
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        times.append(took(lambda page=page: opened(page, report)))
        section = "document.querySelector('section[data-name=queues]')"
        act = f"{section}.scrollIntoView()"
        page.evaluate(TIMED, [act, "true"])
        box, rows = f"{section}.querySelector('input')", f"{section}.querySelectorAll('tbody tr:not([hidden])')"
        act = f"{box}.value = 'worker.77'; {box}.dispatchEvent(new Event('input'))"
        filters.append(page.evaluate(TIMED, [act, f"{rows}.length == 11"]))
        page.evaluate(TIMED, [f"{box}.value = ''; {box}.dispatchEvent(new Event('input'))", f"{rows}.length > 2000"])
        act = f"{section}.querySelector('th.right button').click()"
        orders.append(page.evaluate(TIMED, [act, f"{section}.querySelector('th[aria-sort=descending]')"]))
        page.close()
    yield promise("report of 2,000 workers, opened in Chromium", statistics.median(times), RUNS)
    yield promise("report, a filter over 2,003 queues", statistics.median(filters), RUNS, AT_ONCE_MS)
    yield promise("report, 2,003 queues in another order", statistics.median(orders), RUNS, AT_ONCE_MS)


def opened(page: Page, report: Path) -> None:
    page.goto(report.as_uri())
    page.evaluate(TIMED, ["", "document.querySelectorAll('section.listing input').length > 3"])


def using(browser: Browser, url: str) -> Iterator[Result]:
    """The dashboard in JupyterLab while it refreshes every 2 s: filter, order, and how long the page is busy."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(PATIENCE_MS)
    page.goto(url)
    page.get_by_text("| Idle").wait_for()
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    page.get_by_role("tab", name="Queues", exact=True).click()
    rows = "document.querySelectorAll('.attune-ops table.cells tbody tr')"
    page.wait_for_function(f"{rows}.length == {ROWS}")
    box = "document.querySelector('input[placeholder^=part]')"
    every, some = f"{rows}.length == {ROWS}", f"{rows}.length == 11"

    def typed(words: str) -> str:
        return f"{box}.value = '{words}'; {box}.dispatchEvent(new Event('input', {{bubbles: true}}))"

    button = "Array.from(document.querySelectorAll('button')).find((b) => b.textContent == 'largest first')"
    first = f"{rows}[0].textContent.trim()"
    page.evaluate(TIMED, [typed("worker.77"), some])  # the first time loads what it needs
    page.evaluate(TIMED, [typed(""), every])
    yield promise("dashboard in JupyterLab, a filter over 2,003 queues", repeated(lambda: [
        page.evaluate(TIMED, [typed("worker.177"), some]), page.evaluate(TIMED, [typed(""), every])
    ]), RUNS, AT_ONCE_MS)  # fmt: skip
    yield promise("dashboard in JupyterLab, another order", repeated(lambda: [
        page.evaluate(TIMED, [f"{button}.click()", f"!{first}.startsWith('attune')"]),
        page.evaluate(TIMED, [f"{button}.click()", f"{first}.startsWith('attune')"]),
    ]), RUNS, AT_ONCE_MS)  # fmt: skip
    longest = page.evaluate(LONGEST, 10)  # which is told of nothing under 50 ms
    yield promise("dashboard in JupyterLab, the page's longest pause in 10 s", max(longest, 50.0), 1, AT_ONCE_MS)
    page.close()


def repeated(act: Callable[[], list[float]]) -> float:
    return statistics.median(ms for _ in range(RUNS) for ms in act())
