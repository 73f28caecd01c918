"""How a `ReapResult` shows itself: each orphaned queue with its verdict."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal, TypedDict

from attune_ops.cleanup.candidates import Candidate, ReapResult, Verdict
from attune_ops.model import units
from attune_ops.model.command_lines import CommandLine, restore, restore_to_queue
from attune_ops.model.notice import Notice
from attune_ops.model.table import Cell, Column, Kind, Table
from attune_ops.render import view_notice, view_table, wire
from attune_ops.render.text import COPY, Line

SCHEMA: Final = "attune-ops/reap/1"

COLUMNS = (
    Column("queue", doc="the orphaned queue"),
    Column("verdict", Kind.CATEGORY, doc="deletes, waits or kept; after --apply deleted, given back or kept"),
    Column("reason", doc="the reason for the verdict"),
    Column("why", doc="why it is orphaned"),
    Column("worker_id", Kind.INTEGER, doc="the id in the queue's name"),
    Column("messages", Kind.INTEGER, "messages", "in the queue when it was read"),
    Column("orphaned_for", Kind.AGE, "s", "since the first run that found it orphaned"),
    Column("saved_messages", Kind.INTEGER, "messages", "saved to the file"),
    Column("saved", doc="the file with its messages"),
)
PLANNED = ("queue", "verdict", "reason", "messages", "orphaned_for", "why")
SAVED = ("saved_messages", "saved")  # shown where messages were saved
STYLES = {"deletes": "yellow", "deleted": "green", "given back": "yellow", "waits": "dim", "kept": "dim"}


def lines(result: ReapResult, limit: int | None) -> Iterator[Line]:
    """A block for each queue, then the summary."""
    for c in result.candidates:
        yield 0, f"{c.verdict:<8} {c.queue}: {c.reason}", STYLES[c.verdict]
        depth = "depth unknown" if c.messages is None else units.counted(c.messages, "message")
        since = f"first found {units.age(c.orphaned_for)} ago" if c.orphaned_for else "first found in this run"
        yield 9, f"orphaned: {c.why}; {since}; {depth}", "dim"
        if c.saved is not None:
            yield 9, f"{units.counted(c.saved_messages, 'message')} saved: {_restore(c, c.saved)}", COPY
    for note in result.notes:
        yield 0, f"note: {note}", "dim"
    yield 0, summary(result), "bold"


def _restore(c: Candidate, file: str) -> CommandLine:
    """To the worker's queue alone: the original exchange would send old messages to all live workers and sensors.

    A leftover's queue does not come back, so for it only the dry run is printed.
    """
    return restore(file) if c.worker_id is None else restore_to_queue(c.queue, file)


def summary(result: ReapResult) -> str:
    """One line."""
    if not result.candidates:
        return "no orphaned queues"
    counts = {v: result.count(v) for v in ("deleted", "given back", "deletes", "waits", "kept")}
    words = {"deletes": "to be deleted", "waits": "waiting"}
    parts = ", ".join(f"{n} {words.get(v, v)}" for v, n in counts.items() if n)
    return f"{units.counted(len(result.candidates), 'orphaned queue')}: {parts}"


class CandidateJson(TypedDict):
    """One orphaned queue: why, and what `reap` does with it; `saved` is the file with its messages."""

    queue: str
    worker_id: int | None
    why: str
    verdict: Verdict
    reason: str
    messages: int | None
    seen_since: str
    saved: str | None
    saved_messages: int
    orphaned_for_ms: float


class ReapResultJson(TypedDict):
    """The orphaned queues and their verdicts; `applied` is false for a dry run."""

    schema: Literal["attune-ops/reap/1"]
    applied: bool
    taken_at: str
    grace_ms: float
    queues: list[CandidateJson]
    notes: list[str]


JSON = ReapResultJson


def as_json(result: ReapResult) -> ReapResultJson:
    """`attune-ops/reap/1`."""
    return {
        "schema": SCHEMA,
        "applied": result.applied,
        "taken_at": wire.utc(result.taken_at),
        "grace_ms": wire.milliseconds(result.grace),
        "queues": [_candidate(c) for c in result.candidates],
        "notes": list(result.notes),
    }


def _candidate(c: Candidate) -> CandidateJson:
    return {
        "queue": c.queue,
        "worker_id": c.worker_id,
        "why": c.why,
        "verdict": c.verdict,
        "reason": c.reason,
        "messages": c.messages,
        "seen_since": wire.utc(c.seen_since),
        "saved": c.saved,
        "saved_messages": c.saved_messages,
        "orphaned_for_ms": wire.milliseconds(c.orphaned_for),
    }


def as_html(result: ReapResult) -> str:
    """The summary, and the queues as a table."""
    shown = PLANNED + (SAVED if any(c.saved for c in result.candidates) else ())
    return view_notice.as_html(Notice(summary(result))) + view_table.as_html(rows(result).select(shown))


def rows(result: ReapResult) -> Table:
    """A row a queue."""
    found: tuple[tuple[Cell, ...], ...] = tuple(tuple(getattr(c, k.name) for k in COLUMNS) for c in result.candidates)
    return Table("orphaned queues", COLUMNS, found, result.taken_at, result.notes)
