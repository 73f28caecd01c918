"""The dashboard in JupyterLab, as somebody uses it: it shows, follows a publish, filters, sorts and cleans up."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from attune_ops.ops import Ops
from tests.browser.chromium import jupyterlab
from tests.browser.contrast import contrasts
from tests.live.places import stopped_worker
from tests.world import Vhost, clean_environment, eventually

CELLS = ("import attune_ops\nattune_ops.connect().dashboard(interval=1)", "print('the kernel', 'is free')")
PATIENCE_MS = 60_000
ORPHANS = ("worker.71.executions", "worker.72.executions")


@pytest.fixture
def lab_url(vhost: Vhost, tmp_path: Path) -> Iterator[str]:
    """A JupyterLab whose only notebook opens a dashboard of the virtual host."""
    database = f"sqlite:///{tmp_path}/registry.sqlite"
    ops = Ops(vhost.settings(database))
    ops.topology_apply(apply=True, force=True)
    stopped_worker(ops.settings, "w1")
    for name in ORPHANS:
        vhost.api("PUT", f"queues/{{vhost}}/{name}", {"durable": True})
    environment = clean_environment(tmp_path) | vhost.environment | {"ATTUNE_OPS_DATABASE_URL": database}
    with jupyterlab(tmp_path, CELLS, environment) as url:
        yield url


@pytest.mark.slow
def test_the_dashboard_as_somebody_uses_it(page: Page, lab_url: str, vhost: Vhost, pictures: Path) -> None:
    page.set_default_timeout(PATIENCE_MS)
    page.set_viewport_size({"width": 1100, "height": 780})
    page.goto(lab_url)
    expect(page.get_by_text("| Idle")).to_be_visible(timeout=PATIENCE_MS)
    page.keyboard.press("Control+b")  # the list of files goes, the notebook has all the room
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    expect(page.get_by_text("the kernel is free")).to_be_visible(timeout=PATIENCE_MS)
    expect(page.get_by_text("RabbitMQ", exact=False).first).to_be_visible(timeout=PATIENCE_MS)
    expect(page.locator(".vega-embed").first).to_be_visible(timeout=PATIENCE_MS)

    page.get_by_role("tab", name="Queues", exact=True).click()
    row = page.locator(".attune-grid tr", has_text="attune.events.queue")
    expect(row.locator("td").nth(2)).to_have_text("0", timeout=PATIENCE_MS)
    with vhost.channel() as channel:
        for before, after in pairwise((0, 8, 20, 37)):
            for _ in range(before, after):
                channel.basic_publish("attune.events", "event.created", b"{}")
            expect(row.locator("td").nth(2)).to_have_text(str(after), timeout=PATIENCE_MS)

    rows = page.locator(".attune-grid tbody tr").locator("visible=true")
    heading = page.locator(".attune-grid th", has_text="messages").locator("visible=true")
    heading.get_by_role("button").click()
    expect(rows.first).to_contain_text("attune.events.queue", timeout=PATIENCE_MS)
    expect(heading).to_have_attribute("aria-sort", "descending")
    expect(rows.first.locator("polyline")).to_be_visible(timeout=PATIENCE_MS)
    page.screenshot(path=pictures / "dashboard-sorted.png")
    page.get_by_label("Filter queues").press_sequentially("executions.queue")  # as one types, without Enter
    expect(rows).to_have_count(1, timeout=PATIENCE_MS)

    page.get_by_role("tab", name="Orphans", exact=True).click()
    page.get_by_label("Queue", exact=True).locator("visible=true").select_option(ORPHANS[0])
    page.get_by_label("grace (min)").locator("visible=true").fill("0")
    page.keyboard.press("Tab")
    delete = page.get_by_role("button", name="Delete queue")
    expect(delete).to_be_disabled()
    page.get_by_role("button", name="Dry run").click()
    expect(delete).to_be_enabled(timeout=PATIENCE_MS)
    page.screenshot(path=pictures / "dashboard-orphans.png")
    delete.click()
    eventually(lambda: ORPHANS[0] not in vhost.names("queues"), within=60)
    assert ORPHANS[1] in vhost.names("queues")
    for theme in ("Light", "Dark"):
        look_at(page, theme, pictures)


def look_at(page: Page, theme: str, pictures: Path) -> None:
    """Goes through the tabs in one of JupyterLab's themes; every text of ours has its contrast there."""
    page.get_by_role("menuitem", name="Settings", exact=True).click()
    page.locator(".lm-Menu-itemLabel").get_by_text("Theme", exact=True).hover()
    page.locator(".lm-Menu-itemLabel").get_by_text(f"JupyterLab {theme}", exact=True).click()
    expect(page.locator("body")).to_have_attribute("data-jp-theme-name", f"JupyterLab {theme}")
    for tab in ("Overview", "Queues", "Doctor", "Start-up", "Drills"):
        page.get_by_role("tab", name=tab, exact=True).click()
        seen = page.locator(".attune-ops").locator("visible=true").last
        expect(seen).to_be_visible()
        page.screenshot(path=pictures / f"dashboard-{tab.lower()}-{theme.lower()}.png")
        texts = contrasts(page, ".attune-ops, .attune-grid")
        assert texts
        assert not [t for t in texts if t.ratio < t.least], (theme, tab)
