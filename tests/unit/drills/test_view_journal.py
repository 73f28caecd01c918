"""A journal shows itself in every form, whatever its texts hold."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from datetime import UTC, datetime

import msgspec
import pytest

from attune_ops.drills.journal import (
    DepthSample,
    DoctorStatus,
    Event,
    Expected,
    Journal,
    JournalComparison,
    Ledger,
    Loss,
    Verdict,
    decode,
)
from attune_ops.drills.view_journal import numbers
from attune_ops.drills.view_journal_comparison import differences, rows
from attune_ops.render import form
from tests.hostile import NAMES, is_safe


def journal(name: str) -> Journal:
    """A journal whose every text is `name`."""
    return Journal(
        drill=name, hypothesis=name, promise=name, source="https://www.rabbitmq.com/docs", verdict="held", reason=name,
        started_at=datetime(2026, 1, 16, tzinfo=UTC), duration_ms=900, versions={"rabbitmq": "3.10.8"}, topology=name,
        parameters={"seed": 1}, steps=(Event(100, "fault", name), Event(500, "undo", name)),
        expectations=(Expected(name, True, 1000, 5, name), Expected(name, False, 1000, None, name)),
        ledger=Ledger(attempted=2, lost=2, classes={"lost": 2}, losses=(Loss(name, (1, 2)),)),
        before=DoctorStatus("healthy"), after=DoctorStatus("degraded", (name,)), remedy=name, queues=(name, "q"),
        samples=(
            DepthSample(0, (None, 3), (None, 1)), DepthSample(300, (7, None), (0, None)),
            DepthSample(800, (0, 2), (1, 1)),
        ),
    )  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_hostile_texts(name: str) -> None:
    made = journal(name)
    both = JournalComparison(made, msgspec.structs.replace(made, remedy=None))
    for value in (made, both):
        assert is_safe(form(value, "text"))
        assert is_safe(form(value, "markdown"))
        assert "<script>" not in form(value, "html")
        ET.fromstring(form(value, "svg"))
        assert decode(msgspec.json.encode(form(value, "json"))) == value


def test_the_timeline_breaks_where_a_queue_is_missing() -> None:
    ways = [line for line in form(journal("a drill"), "svg").splitlines() if line.startswith("<path")]
    assert [way.count("M") for way in ways] == [1, 2, 1, 2]


def test_numbers_are_runs() -> None:
    assert numbers((5, 1, 2, 3, 9)) == "1–3, 5, 9"
    assert numbers(tuple(range(0, 100, 2))).endswith("and 30 more")


@pytest.mark.parametrize(
    ("look", "words"),
    [
        (DoctorStatus("unknown"), "before unknown, after"),
        (DoctorStatus("healthy"), "before healthy, after"),
        (DoctorStatus("degraded"), "before degraded (by design only), after"),
        (DoctorStatus("degraded", ("AT302 q",)), "before degraded (AT302 q), after"),
    ],
)
def test_only_what_was_found_is_called_design(look: DoctorStatus, words: str) -> None:
    assert words in form(msgspec.structs.replace(journal("a drill"), before=look), "text")


@pytest.mark.parametrize(
    ("verdict", "missing", "says"),
    [
        ("held", (), "95 of 100 messages lost, as predicted"),
        ("violated", (), "95 of 100 messages lost; a prediction failed"),
        ("held", (3, 4), "95 of 100 messages lost, 2 not accounted for"),
    ],
)
def test_what_was_lost_comes_first_and_once(verdict: Verdict, missing: tuple[int, ...], says: str) -> None:
    lost = Loss("deleted together with its queue", tuple(range(6, 101)))
    classes = {"acknowledged_once": 5, "lost": 95}
    ledger = Ledger(attempted=100, lost=95, classes=classes, losses=(lost,), missing=missing)
    made = msgspec.structs.replace(journal("a drill"), verdict=verdict, ledger=ledger)
    lines = form(made, "text").splitlines()
    assert lines[:3] == [says, "  deleted together with its queue: 6–100", "  the other messages: 5 acknowledged once"]
    assert sum("95" in line for line in lines) == 1


def test_a_comparison_says_what_cannot_be_compared() -> None:
    """Fewer lost messages are no improvement where the others are unknown, or where another drill ran."""
    one = msgspec.structs.replace(journal("worker-crash"), remedy=None)
    unknown = Ledger(attempted=2, unaccounted=2, missing=(1, 2))
    other = msgspec.structs.replace(one, remedy="durable", ledger=unknown)
    made = rows(JournalComparison(one, other))
    assert [row[1:] for row in made.rows if row[0] == "not accounted for"] == [(0, 2, 2)]
    assert differences(JournalComparison(one, other)) == ""
    other = msgspec.structs.replace(other, drill="worker-hang", versions={"rabbitmq": "4.3.6"}, parameters={"seed": 2})
    both = JournalComparison(one, other)
    words = "not the same conditions: drill worker-crash and worker-hang, RabbitMQ 3.10.8 and 4.3.6, seed 1 and 2"
    assert differences(both) == words
    for name in ("text", "markdown", "html"):
        assert words in " ".join(str(form(both, name)).replace("\\", "").split())


def test_no_message_is_no_message_kept() -> None:
    assert form(msgspec.structs.replace(journal("a drill"), ledger=Ledger()), "text").startswith(
        "no messages were sent"
    )
