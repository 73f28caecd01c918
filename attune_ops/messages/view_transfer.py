"""How a `Transfer` shows itself: messages by outcome."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal, TypedDict

from attune_ops.messages.transfer import STAYS, Outcome, OutcomeCount, Transfer
from attune_ops.model.table import Cell, Column, Kind, Table
from attune_ops.model.units import counted
from attune_ops.render import wire
from attune_ops.render.text import COPY, Line

SCHEMA: Final = "attune-ops/messages-transfer/1"

COLUMNS = (
    Column("fate", Kind.CATEGORY, doc="outcome of these messages; in a dry run the expected one"),
    Column("messages", Kind.INTEGER, "messages", "number of messages"),
    Column("exchange", doc="exchange they were published to; '' is the default exchange"),
    Column("routing_key", doc="routing key they were published with"),
    Column("why", doc="why they were not published"),
)
WORDS = {
    "drained": "drained to the file", "published": "published and confirmed", "returned": "not published",
    "refused": "not published", "kept": "not published", "other": "skipped", "duplicate": "skipped",
    "before": "skipped", "damaged": "unreadable",
}  # fmt: skip
PLANNED = {"drained": "to drain to the file", "published": "to publish"}
DONE = {"drain": ("drain", "drained"), "restore": ("publish", "published"), "move": ("move", "moved")}


def lines(transfer: Transfer, limit: int | None) -> Iterator[Line]:
    """A line per group, the notes, and a summary."""
    width = max((len(str(o.messages)) for o in transfer.outcomes), default=1)
    for group in transfer.outcomes[:limit]:
        style = "red" if group.outcome in STAYS else "green" if group.outcome in ("drained", "published") else "dim"
        upper = "at most " if transfer.at_most and group.outcome in PLANNED else ""
        yield width - len(str(group.messages)), f"{upper}{group.messages} {_words(transfer, group)}", style
    if limit is not None and len(transfer.outcomes) > limit:
        yield 0, f"… and {len(transfer.outcomes) - limit} more groups; --format json lists them", "dim"
    for note in transfer.notes:
        yield 0, f"note: {note}", "dim"
    yield 0, summary(transfer), "bold"
    if transfer.undo:
        yield 0, f"undo: {transfer.undo}", COPY


def _words(transfer: Transfer, group: OutcomeCount) -> str:
    words = WORDS[group.outcome] if transfer.applied else PLANNED.get(group.outcome, WORDS[group.outcome])
    if group.exchange is not None:
        there = group.exchange and f"exchange {group.exchange}, key {group.routing_key}"
        words += f" to {there or f'queue {group.routing_key}'}"
    return f"{words}: {group.why}" if group.why else words


def summary(transfer: Transfer) -> str:
    """One line: number of messages, source, target."""
    moved = transfer.count("drained", "published")
    path = f"from {transfer.source} to {transfer.target}"
    stayed = transfer.count(*STAYS)
    rest = f", {stayed:,} not published" if stayed else ""
    would, did = DONE[transfer.what]
    if not transfer.applied:
        upper = "at most " if transfer.at_most else ""
        return f"would {would} {upper}{counted(moved, 'message')} {path}{rest}"
    seconds = transfer.duration_ms / 1000
    rate = f" ({moved / seconds:.0f}/s)" if moved and seconds else ""
    return f"{did} {counted(moved, 'message')} {path} in {seconds:.1f} s{rate}{rest}"


class OutcomeJson(TypedDict):
    """The number of messages with one outcome, and where they were published."""

    fate: Outcome
    messages: int
    exchange: str | None
    routing_key: str | None
    why: str | None


class TransferJson(TypedDict):
    """One drain, restore or move: `messages` by outcome; `applied` is false for a dry run."""

    schema: Literal["attune-ops/messages-transfer/1"]
    what: Literal["drain", "restore", "move"]
    source: str
    target: str
    applied: bool
    at_most: bool
    messages: dict[str, int]
    shares: list[OutcomeJson]
    taken_at: str
    duration_ms: float
    notes: list[str]
    undo: str | None


JSON = TransferJson


def as_json(transfer: Transfer) -> TransferJson:
    """`attune-ops/messages-transfer/1`."""
    return {
        "schema": SCHEMA,
        "what": transfer.what,
        "source": transfer.source,
        "target": transfer.target,
        "applied": transfer.applied,
        "at_most": transfer.at_most,
        "messages": {o: transfer.count(o) for o in dict.fromkeys(g.outcome for g in transfer.outcomes)},
        "shares": [
            {
                "fate": o.outcome,
                "messages": o.messages,
                "exchange": o.exchange,
                "routing_key": o.routing_key,
                "why": o.why or None,
            }
            for o in transfer.outcomes
        ],
        "taken_at": wire.utc(transfer.taken_at),
        "duration_ms": round(transfer.duration_ms, 3),
        "notes": list(transfer.notes),
        "undo": str(transfer.undo) if transfer.undo else None,
    }


def rows(transfer: Transfer) -> Table:
    """A record per group."""
    cells: tuple[tuple[Cell, ...], ...] = tuple(
        (o.outcome, o.messages, o.exchange, o.routing_key, o.why or None) for o in transfer.outcomes
    )
    return Table(f"messages-{transfer.what}", COLUMNS, cells, transfer.taken_at, transfer.notes)
