"""The live view by Textual's own pilot: keys and layout, without a broker; and what it keeps over a long run."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import msgspec
import pytest
from rich.console import Console
from textual.widgets import DataTable, Footer, Input, Static

from attune_ops.doctor.findings import Consequence, Subject
from attune_ops.installation.config import Settings, resolve
from attune_ops.model.facts import Facts
from attune_ops.monitoring.live import LiveView
from attune_ops.monitoring.live_detail import findings_about
from attune_ops.monitoring.live_head import tiles, verdict
from attune_ops.monitoring.live_pages import DetailScreen, HelpScreen
from attune_ops.monitoring.live_reading import MOST_POINTS, POINTS, Depths, Reading
from attune_ops.monitoring.live_rows import QUEUES, drawn, listing, spark, widths
from tests.unit.facts import facts, queue, worker


def settings() -> Settings:
    return resolve({"amqp_url": "amqp://u:p@127.0.0.1:1/", "topology": "attune-2026-01"}, {})


def reading(made: Facts, away: str | None = None) -> Reading:
    from attune_ops.doctor.diagnosis import diagnose_live

    return Reading(diagnose_live(settings(), facts=made), made.taken_at, 0.1, away, made.taken_at if away else None)


def depths_of(*counts: int) -> Facts:
    base = facts()
    queues = tuple(queue(f"q{i}", messages=n) for i, n in enumerate(counts))
    return msgspec.structs.replace(base, broker=msgspec.structs.replace(base.actual, queues=queues))


def test_depths_stay_bounded_and_forget_what_is_gone() -> None:
    depths = Depths()
    for n in range(3 * POINTS):
        depths.add(depths_of(n, 5))
    assert depths.of("q0") == list(range(2 * POINTS, 3 * POINTS))
    assert depths.of("q0", "q1")[-1] == 3 * POINTS - 1 + 5
    depths.add(depths_of(1))
    assert depths.of("q1") == []
    many = depths_of(*range(MOST_POINTS // 20))
    for _ in range(30):
        depths.add(many)
    assert len(depths.of("q3")) == 20


def test_an_unknown_number_is_not_green() -> None:
    def colours(made: Facts) -> list[str]:
        shown = tiles(reading(made), Depths(), 80)
        return [str(shown[name].spans[-1].style).split()[-1] for name in ("workers", "orphaned")]

    assert colours(facts()) == ["green", "green"]
    assert colours(msgspec.structs.replace(facts(), registry=None)) == ["default", "default"]


def test_a_failed_reading_is_a_gap() -> None:
    depths = Depths()
    depths.add(depths_of(4))
    depths.add(Facts(topology=facts().topology, taken_at=datetime.now(UTC)))
    depths.add(depths_of(8))
    assert depths.of("q0") == [4, None, 8]
    assert spark(depths.of("q0"), 4)[-2] == " "


@pytest.mark.parametrize("total", [40, 78, 98, 138, 198])
def test_columns_fit(total: int) -> None:
    made = widths(QUEUES, total)
    assert sum(made.values()) + 2 * len(made) <= max(total, 68)


def test_a_cordoned_worker_is_read_in_full_at_80_columns() -> None:
    report = reading(facts((worker(1, cordoned=True),))).report
    assert report
    listed = listing("Workers", report, Depths())
    (row,), size = listed.rows, widths(listed.columns, 78)
    assert drawn(row.cells[0], row.mark, listed.columns[0], size[0]).plain == "√ ready, cordoned"


def test_keys_and_states() -> None:
    async def drive() -> None:
        app = LiveView(settings(), 3600)
        app.reader.start = lambda: None  # type: ignore[method-assign]
        async with app.run_test(size=(80, 24)) as pilot:
            assert "first reading" in str(app.query_one("#verdict", Static).content)
            app._read(reading(facts()))
            await pilot.pause()
            await pilot.press("2")
            table, note = app.query_one(DataTable), app.query_one("#note", Static)
            assert table.row_count == len(facts().actual.queue_named)
            await pilot.press("slash", *"zzz")
            assert app.query_one("#filter", Input).value == "zzz"
            keys = {b.description for b in app.query_one(Footer).query("FooterKey")}  # type: ignore[attr-defined]
            assert keys == {"Keep the filter", "Clear it", "Next tab"}
            assert table.row_count == 0
            assert "no match for 'zzz'" in str(note.content)
            await pilot.press("escape")
            assert table.row_count == len(facts().actual.queue_named)
            await pilot.press("s")
            assert "sorted by state, from A to Z" in str(note.content)
            await pilot.press("end")
            assert table.cursor_row == table.row_count - 1 > 0
            await pilot.press("home")
            assert table.cursor_row == 0
            await pilot.press("enter")
            assert isinstance(app.screen, DetailScreen)
            await pilot.press("escape", "question_mark")
            assert isinstance(app.screen, HelpScreen)
            await pilot.press("escape", "p")
            assert app.reader.paused
            app._read(reading(facts(), away="connection refused"))
            await pilot.pause()
            assert app.screen.has_class("stale")
            assert "broker away since" in str(app.query_one("#verdict", Static).content)
            await pilot.resize_terminal(200, 60)
            await pilot.pause()
            assert "type" in [str(c.label).strip() for c in table.columns.values()]
            await pilot.press("q")
        assert app.return_value == 3, "the last reading saw no broker"

    asyncio.run(drive())


def test_no_mark_contradicts_the_verdict() -> None:
    """A backlog that the design explains is a warning for the doctor; one that it reports as an error stays one."""
    there = facts().actual
    queues = tuple(
        msgspec.structs.replace(q, messages=5, messages_ready=5, consumers=0)
        if q.name in ("attune.events.queue", "attune.executions.queue")
        else q
        for q in there.queues or ()
    )
    consumers = tuple(c for c in there.consumers or () if c.queue != "attune.executions.queue")
    broker = msgspec.structs.replace(there, queues=queues, consumers=consumers)
    report = reading(msgspec.structs.replace(facts(), broker=broker)).report
    assert report is not None
    marks = {r.cells[1]: (r.cells[0], r.mark[0]) for r in listing("Queues", report, Depths()).rows}
    assert marks["attune.events.queue"] == ("unread", "!")
    assert marks["attune.executions.queue"] == ("no consumer", "×")


def test_a_finding_is_listed_with_what_follows_from_it() -> None:
    report = reading(facts()).report
    assert report is not None
    first = report.findings[0]
    follows = Consequence("AT401", Subject("queue", "worker.1.executions"), "is missing")
    report = msgspec.structs.replace(report, findings=(msgspec.structs.replace(first, consequences=(follows,)),))
    assert [f.code for f in findings_about("worker 1", report)] == [first.code]
    assert findings_about("worker 2", report) == []


@pytest.mark.parametrize("width", [80, 200])
def test_the_verdict_of_an_absent_broker_is_whole(width: int) -> None:
    reason = "management API http://h: connection refused; check that the broker is running and the port is correct "
    reason += "(default 15672), and that the plug-in is enabled; --management-url sets another URL"
    text = verdict(reading(facts(), away=reason), 0, width)
    lines = text.wrap(Console(width=width - 2), width - 2)
    assert len(lines) <= 3
    assert "connection refused" in text.plain
    assert text.plain.endswith("…" if width == 80 else "sets another URL")


@pytest.mark.parametrize(
    ("reason", "shown"),
    [("http://h:40313: no answer within 10 s", "broker away"), ("http://h:15672: 403 for /api/nodes", "no access")],
)
def test_digits_of_a_port_are_no_status(reason: str, shown: str) -> None:
    assert shown in verdict(reading(facts(), away=reason), 0, 80).plain


@pytest.mark.parametrize("width", [40, 78, 98, 198])
@pytest.mark.parametrize("count", [3, 12_345_678])
def test_a_trend_stays_in_its_tile(width: int, count: int) -> None:
    depths, made = Depths(), depths_of(count)
    for _ in range(100):
        depths.add(made)
    shown = tiles(reading(made), depths, width)["messages"].plain
    assert f"{count:,}" in shown
    assert max(map(len, shown.splitlines())) < max(width // 4, len(f"{count:,}") + 2)
