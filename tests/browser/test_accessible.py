"""Everybody can read the report: contrast by WCAG 2 AA; headings, tables, pictures as a screen reader needs them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from attune_ops.doctor.diagnosis import read_and_diagnose
from attune_ops.doctor.html_report import write_report
from attune_ops.installation.config import check_settings
from tests.browser.contrast import contrasts
from tests.unit.doctor.checks.world import change, healthy
from tests.unit.facts import worker

# What somebody would miss who does not see the page.
MISSING = """() => {
  const all = (selector) => Array.from(document.querySelectorAll(selector)), found = [];
  const named = (e) => e.getAttribute("aria-label") || e.getAttribute("aria-labelledby");
  if (!document.documentElement.lang) found.push("language");
  if (!document.title.trim()) found.push("title");
  for (const one of ["h1", "main", "header"]) if (all(one).length !== 1) found.push(`exactly one ${one}`);
  let level = 0;
  for (const heading of all("h1, h2, h3, h4, h5, h6")) {
    const next = Number(heading.tagName[1]);
    if (next > level + 1) found.push(`heading level before ${heading.textContent}`);
    level = next;
  }
  for (const table of all("table")) {
    if (!table.caption && !named(table)) found.push(`name of the table ${table.textContent.trim().slice(0, 40)}`);
    if (!table.tHead || !table.tHead.querySelector("th")) found.push("table headers");
  }
  for (const th of all("th")) if (!th.scope) found.push(`scope of ${th.textContent}`);
  for (const svg of all("svg")) {
    const told = svg.getAttribute("role") === "img" && svg.querySelector(":scope > title");
    if (!told && svg.getAttribute("aria-hidden") !== "true") found.push("text for a picture");
  }
  for (const image of all("img")) if (!image.alt) found.push("text for an image");
  for (const input of all("input, select")) if (!input.labels.length && !named(input)) found.push("label of a field");
  for (const control of all("button, a, summary")) if (!control.textContent.trim()) found.push("name of a control");
  const scrolls = (e) => e.scrollWidth > e.clientWidth && getComputedStyle(e).overflowX === "auto";
  for (const e of all("*")) if (scrolls(e) && e.tabIndex < 0) found.push("a way to scroll by key");
  const ids = all("[id]").map((e) => e.id);
  for (const id of ids) if (ids.indexOf(id) !== ids.lastIndexOf(id)) found.push(`one element of id ${id}`);
  const leads = (a) => ids.includes(a.hash.slice(1));
  for (const a of all("a[href^='#']")) if (!leads(a)) found.push(`the place that ${a.hash} leads to`);
  return found;
}"""


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A report with errors, warnings, notes, and queues that hold messages."""
    facts = healthy(workers=tuple(worker(i) for i in range(1, 6)))
    queues = [q for q in facts.actual.queue_named.values() if q.name != "worker.3.executions"]
    file: Path = tmp_path_factory.mktemp("report") / "report.html"
    write_report(read_and_diagnose(lambda: change(facts, queues=tuple(queues)), check_settings({})), str(file))
    return file.as_uri()


@pytest.mark.parametrize("scheme", ["light", "dark", "print"])
def test_its_contrast_is_enough(page: Page, url: str, scheme: str) -> None:
    if scheme == "print":
        page.emulate_media(media="print")
    else:
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    page.goto(url)
    for details in page.locator("details").all():
        details.evaluate("e => e.open = true")
    texts = contrasts(page)
    assert len(texts) > 200
    assert any("error AT" in t.text for t in texts)
    assert not [t for t in texts if t.ratio < t.least]


@pytest.mark.parametrize("script", [True, False], ids=["with its script", "without"])
def test_a_screen_reader_misses_nothing(browser: Browser, url: str, script: bool) -> None:
    page = browser.new_page()
    try:
        if not script:  # its own alone: with JavaScript switched off the test could not ask anything either
            page.route("**/*", lambda route: route.fulfill(body=without_script(url), content_type="text/html"))
        page.goto(url)
        assert bool(page.locator("input").count()) is script
        assert page.evaluate(MISSING) == []
    finally:
        page.close()


def without_script(url: str) -> str:
    return re.sub(r"<script>.*?</script>", "", Path(url.removeprefix("file://")).read_text(), flags=re.DOTALL)
