"""How a `Transfer` shows itself: what became of the messages, or would."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from attune_ops.messages.transfer import STAYS, Share, Transfer
from attune_ops.model.table import Cell, Column, Kind, Table
from attune_ops.model.units import counted
from attune_ops.render import wire
from attune_ops.render.text import COPY, Line

SCHEMA = "attune-ops/messages-transfer/1"

COLUMNS = (
    Column("fate", Kind.CATEGORY, doc="what became of the messages, or would"),
    Column("messages", Kind.INTEGER, "messages", "how many"),
    Column("exchange", doc="where they were published; '' is the default exchange"),
    Column("routing_key", doc="with which key"),
    Column("why", doc="why they stayed where they were"),
)
WORDS = {
    "drained": "drained to the file", "published": "published and confirmed", "returned": "returned",
    "refused": "refused", "kept": "kept back", "other": "left alone", "duplicate": "left out", "before": "left out",
    "damaged": "unreadable",
}  # fmt: skip
PLANNED = {"drained": "to drain to the file", "published": "to publish"}
DONE = {"drain": ("drain", "drained"), "restore": ("publish", "published"), "move": ("move", "moved")}


def lines(transfer: Transfer, limit: int | None) -> Iterator[Line]:
    """A line for each group, the notes, and a last line that sums up."""
    width = max((len(str(s.messages)) for s in transfer.shares), default=1)
    for share in transfer.shares[:limit]:
        style = "red" if share.fate in STAYS else "green" if share.fate in ("drained", "published") else "dim"
        upper = "at most " if transfer.at_most and share.fate in PLANNED else ""
        yield width - len(str(share.messages)), f"{upper}{share.messages} {_words(transfer, share)}", style
    if limit is not None and len(transfer.shares) > limit:
        yield 0, f"… and {len(transfer.shares) - limit} more groups; --format json lists them", "dim"
    for note in transfer.notes:
        yield 0, f"note: {note}", "dim"
    yield 0, summary(transfer), "bold"
    if transfer.undo:
        yield 0, f"undo: {transfer.undo}", COPY


def _words(transfer: Transfer, share: Share) -> str:
    words = WORDS[share.fate] if transfer.applied else PLANNED.get(share.fate, WORDS[share.fate])
    if share.exchange is not None:
        there = share.exchange and f"exchange {share.exchange}, key {share.routing_key}"
        words += f" {'from' if share.fate in STAYS else 'to'} {there or f'queue {share.routing_key}'}"
    return f"{words}: {share.why}" if share.why else words


def summary(transfer: Transfer) -> str:
    """One line: how many of how many, from where, to where."""
    moved = transfer.count("drained", "published")
    way = f"from {transfer.source} to {transfer.target}"
    stayed = transfer.count(*STAYS)
    rest = f", {counted(stayed, 'stays', 'stay')}" if stayed else ""
    would, did = DONE[transfer.what]
    if not transfer.applied:
        upper = "at most " if transfer.at_most else ""
        return f"would {would} {upper}{counted(moved, 'message')} {way}{rest}"
    seconds = transfer.duration_ms / 1000
    rate = f" ({moved / seconds:.0f}/s)" if moved and seconds else ""
    return f"{did} {counted(moved, 'message')} {way} in {seconds:.1f} s{rate}{rest}"


def as_json(transfer: Transfer) -> dict[str, Any]:
    """`attune-ops/messages-transfer/1`."""
    return {
        "schema": SCHEMA,
        "what": transfer.what,
        "source": transfer.source,
        "target": transfer.target,
        "applied": transfer.applied,
        "at_most": transfer.at_most,
        "messages": {share: transfer.count(share) for share in dict.fromkeys(s.fate for s in transfer.shares)},
        "shares": [
            {
                "fate": s.fate,
                "messages": s.messages,
                "exchange": s.exchange,
                "routing_key": s.routing_key,
                "why": s.why or None,
            }
            for s in transfer.shares
        ],
        "taken_at": wire.plain(transfer.taken_at),
        "duration_ms": round(transfer.duration_ms, 3),
        "notes": list(transfer.notes),
        "undo": transfer.undo or None,
    }


def rows(transfer: Transfer) -> Table:
    """A row a group."""
    found: tuple[tuple[Cell, ...], ...] = tuple(
        (s.fate, s.messages, s.exchange, s.routing_key, s.why or None) for s in transfer.shares
    )
    return Table(f"messages-{transfer.what}", COLUMNS, found, transfer.taken_at, transfer.notes)
