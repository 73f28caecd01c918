"""How `Reaped` shows itself: each orphaned queue with its verdict."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from attune_ops.cleanup.reaped import Candidate, Reaped
from attune_ops.model import units
from attune_ops.model.command_lines import line
from attune_ops.model.notice import Notice
from attune_ops.model.table import Cell, Column, Kind, Table
from attune_ops.render import view_notice, view_table, wire
from attune_ops.render.text import COPY, Line

SCHEMA = "attune-ops/reap/1"

COLUMNS = (
    Column("queue", doc="the orphaned queue"),
    Column("verdict", Kind.CATEGORY, doc="deletes, waits or kept; after --apply deleted, given back or kept"),
    Column("reason", doc="the reason for the verdict"),
    Column("why", doc="why it is an orphan"),
    Column("worker_id", Kind.INTEGER, doc="the id in the queue's name"),
    Column("messages", Kind.INTEGER, "messages", "in it when it was looked at"),
    Column("orphaned_for", Kind.AGE, "s", "since it was first seen orphaned"),
    Column("saved_messages", Kind.INTEGER, "messages", "saved from it"),
    Column("saved", doc="the file with them"),
)
PLANNED = ("queue", "verdict", "reason", "messages", "orphaned_for", "why")
SAVED = ("saved_messages", "saved")  # told where anything was
STYLES = {"deletes": "yellow", "deleted": "green", "given back": "yellow", "waits": "dim", "kept": "dim"}


def lines(reaped: Reaped, limit: int | None) -> Iterator[Line]:
    """A block for each queue and a line that sums up."""
    for c in reaped.candidates:
        yield 0, f"{c.verdict:<8} {c.queue}: {c.reason}", STYLES[c.verdict]
        depth = "depth not told" if c.messages is None else units.counted(c.messages, "message")
        since = f"first seen so {units.age(c.orphaned_for)} ago" if c.orphaned_for else "seen so for the first time"
        yield 9, f"orphaned because {c.why}; {since}; {depth}", "dim"
        if c.saved is not None:
            back = line("messages", "restore", c.saved, "--apply")
            yield 9, f"{units.counted(c.saved_messages, 'message')} saved: {back}", COPY
    for note in reaped.notes:
        yield 0, f"note: {note}", "dim"
    yield 0, summary(reaped), "bold"


def summary(reaped: Reaped) -> str:
    """One line."""
    if not reaped.candidates:
        return "no orphaned queues"
    counts = {v: reaped.count(v) for v in ("deleted", "given back", "deletes", "waits", "kept")}
    words = {"deletes": "to be deleted", "waits": "waiting"}
    told = ", ".join(f"{n} {words.get(v, v)}" for v, n in counts.items() if n)
    return f"{units.counted(len(reaped.candidates), 'orphaned queue')}: {told}"


def as_json(reaped: Reaped) -> dict[str, Any]:
    """`attune-ops/reap/1`."""
    return {
        "schema": SCHEMA,
        "applied": reaped.applied,
        "taken_at": wire.plain(reaped.taken_at),
        "grace_ms": wire.plain(reaped.grace),
        "queues": [_candidate(c) for c in reaped.candidates],
        "notes": list(reaped.notes),
    }


def _candidate(c: Candidate) -> dict[str, Any]:
    found = {name: getattr(c, name) for name in c.__struct_fields__ if name != "orphaned_for"}
    return found | {"seen_since": wire.plain(c.seen_since), "orphaned_for_ms": wire.plain(c.orphaned_for)}


def as_html(reaped: Reaped) -> str:
    """The summary, and the queues as a table."""
    told = PLANNED + (SAVED if any(c.saved for c in reaped.candidates) else ())
    return view_notice.as_html(Notice(summary(reaped))) + view_table.as_html(rows(reaped).select(told))


def rows(reaped: Reaped) -> Table:
    """A row a queue."""
    found: tuple[tuple[Cell, ...], ...] = tuple(tuple(getattr(c, k.name) for k in COLUMNS) for c in reaped.candidates)
    return Table("orphaned queues", COLUMNS, found, reaped.taken_at, reaped.notes)
