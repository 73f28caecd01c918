"""The report to send, opened from a file: it sorts, filters, prints its facts and asks nobody."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec
import pytest
from playwright.sync_api import Browser, Locator, Page, Request, expect

from attune_ops.doctor.diagnosis import read_and_diagnose
from attune_ops.doctor.html_report import write_report
from attune_ops.installation.config import check_settings
from tests.unit.doctor.checks.world import change, healthy
from tests.unit.facts import worker
from tests.world import loaded

WORKERS = 1000


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of the report of a thousand workers, whose queues hold as many messages as their ids say."""
    facts = healthy(workers=tuple(worker(i) for i in range(1, WORKERS + 1)))
    queues = facts.actual.queue_named.values()
    deep = tuple(msgspec.structs.replace(q, messages=_number(q.name), messages_ready=_number(q.name)) for q in queues)
    file: Path = tmp_path_factory.mktemp("report") / "report.html"
    write_report(read_and_diagnose(lambda: change(facts, queues=deep), check_settings({})), str(file))
    return file.as_uri()


def _number(name: str) -> int:
    return int("".join(c for c in name if c.isdigit()) or 0)


def cells(page: Page, column: int) -> list[str]:
    rows = page.locator(f"section[data-name=queues] tbody tr:not([hidden]) td:nth-child({column})")
    return rows.all_text_contents()


def heading(page: Page, name: str) -> Locator:
    return page.locator("section[data-name=queues] th", has_text=name).first


def test_it_opens_quickly_and_asks_nobody(page: Page, report: str) -> None:
    asked: list[Request] = []
    page.on("request", lambda request: asked.append(request))
    began = time.perf_counter()
    page.goto(report)
    expect(page.get_by_text(f"{WORKERS + 3} rows").first).to_be_visible()
    took = time.perf_counter() - began
    assert [r.url for r in asked if not r.url.startswith("data:")] == [report]
    assert took < loaded(10), "2 s on an idle machine"


def test_it_sorts(page: Page, report: str) -> None:
    page.goto(report)
    button = heading(page, "messages").get_by_role("button")
    button.click()
    assert cells(page, 2)[:2] == ["1000", "999"], "as numbers, the largest first"
    expect(heading(page, "messages")).to_have_attribute("aria-sort", "descending")
    button.click()
    assert cells(page, 2)[-1] == "1000"
    heading(page, "name").get_by_role("button").click()
    names = [n for n in cells(page, 1) if n.startswith("worker.")]
    assert names.index("worker.2.executions") < names.index("worker.10.executions"), "as people count"


def test_it_filters(page: Page, report: str) -> None:
    page.goto(report)
    page.get_by_label("Filter queues").fill("worker.77 EXEC")
    assert cells(page, 1) == [f"worker.77{n}.executions" for n in ("", *range(10))]
    expect(page.get_by_text(f"11 of {WORKERS + 3} rows", exact=True)).to_be_visible()
    page.get_by_label("Filter queues").fill("no such thing")
    assert cells(page, 1) == []
    expect(page.get_by_text(f"0 of {WORKERS + 3} rows")).to_be_visible()


def test_many_rows_are_cut_on_the_screen_until_asked_for_and_never_on_paper(page: Page, report: str) -> None:
    page.goto(report)
    heading(page, "messages").get_by_role("button").click()
    section = page.locator("section[data-name=queues]")
    rows = section.locator("tbody tr:visible")
    expect(rows).to_have_count(300)
    expect(section.get_by_text(f"{WORKERS + 3} rows, the first 300 shown")).to_be_visible()
    expect(rows.first).to_contain_text("worker.1000.executions")
    page.emulate_media(media="print")
    expect(rows).to_have_count(WORKERS + 3)
    page.emulate_media(media="screen")
    section.get_by_role("button", name="show all").click()
    expect(rows).to_have_count(WORKERS + 3)


def test_a_command_is_copied_and_the_contents_stay_in_sight(page: Page, tmp_path: Path) -> None:
    facts = change(healthy(), queues=tuple(q for q in healthy().actual.queue_named.values() if "worker" not in q.name))
    write_report(read_and_diagnose(lambda: facts, check_settings({})), str(tmp_path / "report.html"))
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto((tmp_path / "report.html").as_uri())
    command = page.locator(".command", has_text="attune-ops").first
    command.get_by_role("button", name="Copy").click()
    expect(command.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == command.locator("code").text_content()
    page.get_by_role("link", name="Snapshot", exact=True).click()
    expect(page.get_by_role("navigation")).to_be_in_viewport()
    page.emulate_media(media="print")
    expect(page.get_by_role("button", name="Copy").first).to_be_hidden()


def test_it_reads_without_javascript(browser: Browser, report: str) -> None:
    page = browser.new_page(java_script_enabled=False)
    try:
        page.goto(report)
        expect(page.get_by_role("heading", name="Findings")).to_be_visible()
        assert len(cells(page, 1)) == WORKERS + 3
    finally:
        page.close()


def test_the_snapshot_can_be_saved(page: Page, report: str, tmp_path: Path) -> None:
    from attune_ops.model.snapshot_file import load_facts

    page.goto(report)
    with page.expect_download() as download:
        page.get_by_role("link", name="snapshot.json.gz").click()
    download.value.save_as(tmp_path / "snapshot.json.gz")
    assert len(load_facts(str(tmp_path / "snapshot.json.gz")).live_workers) == WORKERS
