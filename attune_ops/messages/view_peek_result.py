"""How a `PeekResult` shows itself: a block per message, the body indented under it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Final, Literal, TypedDict

from attune_ops.messages import view_preview
from attune_ops.messages.preview import PeekResult, Preview
from attune_ops.model.table import Cell, Column, Kind, Table
from attune_ops.model.units import counted
from attune_ops.render import wire
from attune_ops.render.text import Line

SCHEMA: Final = "attune-ops/messages-peek/1"

COLUMNS = (
    Column("n", Kind.INTEGER, doc="position, from the head of the queue"),
    Column("type", Kind.CATEGORY, doc="Attune's message type"),
    Column("id", doc="message id"),
    Column("age", Kind.AGE, "s", "since its creation"),
    Column("retries", Kind.INTEGER, "retries", "retry count of the envelope"),
    Column("exchange", doc="exchange it was delivered from"),
    Column("routing_key", doc="routing key it was delivered with"),
    Column("redelivered", Kind.FLAG, doc="delivered before"),
    Column("size", Kind.INTEGER, "bytes", "of the body"),
    Column("here", doc="why it is in this queue, newest first"),
    Column("headers", doc="AMQP headers, as JSON"),
    Column("body", doc="as JSON, secrets masked"),
)


def lines(result: PeekResult, limit: int | None) -> Iterator[Line]:
    """A block per message."""
    for m in result.messages:
        yield from view_preview.lines(m, None)
    for note in result.notes:
        yield 0, f"note: {note}", "dim"
    masked = "" if result.revealed or not result.messages else "; secrets are masked (--reveal shows them)"
    ready = counted(result.ready, "ready message")
    yield 0, f"{len(result.messages)} of {ready} in queue {result.queue}{masked}", "bold"


class PeekResultJson(TypedDict):
    """The first messages of a queue; `ready` is its number of ready messages."""

    schema: Literal["attune-ops/messages-peek/1"]
    queue: str
    vhost: str
    ready: int
    taken_at: str
    revealed: bool
    messages: list[view_preview.MessageData]
    notes: list[str]


JSON = PeekResultJson


def as_json(result: PeekResult) -> PeekResultJson:
    """`attune-ops/messages-peek/1`."""
    return {
        "schema": SCHEMA,
        "queue": result.queue,
        "vhost": result.vhost,
        "ready": result.ready,
        "taken_at": wire.utc(result.taken_at),
        "revealed": result.revealed,
        "messages": [view_preview.data(m) for m in result.messages],
        "notes": list(result.notes),
    }


def rows(result: PeekResult) -> Table:
    """A record per message."""
    return table(result.messages, result.taken_at, result.notes)


def table(messages: tuple[Preview, ...], taken_at: datetime, notes: tuple[str, ...]) -> Table:
    """Messages as a table, a row each."""
    cells: tuple[tuple[Cell, ...], ...] = tuple(
        (
            m.n, m.type, m.id, m.age, m.retries, m.exchange, m.routing_key, m.redelivered,
            m.size, "; ".join(m.here), view_preview.json_of(m.headers) if m.headers else None,
            m.body_note if m.body is None else view_preview.json_of(m.body),
        )
        for m in messages
    )  # fmt: skip
    return Table("messages", COLUMNS, cells, taken_at, notes)
