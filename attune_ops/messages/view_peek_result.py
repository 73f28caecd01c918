"""How a `PeekResult` shows itself: a block per message, the body indented under it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from attune_ops.messages.preview import PeekResult, Preview
from attune_ops.model.table import Cell, Column, Kind, Table
from attune_ops.model.units import age, counted, size
from attune_ops.render import wire
from attune_ops.render.text import Line

SCHEMA = "attune-ops/messages-peek/1"

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

# Members of an envelope that are shown in words or among the properties.
SHOWN = ("message_id", "message_type", "timestamp", "correlation_id")


def lines(result: PeekResult, limit: int | None) -> Iterator[Line]:
    """A block per message."""
    for m in result.messages:
        yield 0, f"{m.n}  {_title(m)}", "bold"
        yield 3, "; ".join(_facts(m)), "dim"
        for i, reason in enumerate(m.here):
            yield 3, f"{'here because ' if i == 0 else 'before that '}{reason}", ""
        for name, values in (("headers", m.headers), ("properties", _properties(m))):
            if values:
                yield 3, f"{name} {_json(values)}", "dim"
        yield from ((3, line, "") for line in _body(m))
        yield 0, "", ""
    for note in result.notes:
        yield 0, f"note: {note}", "dim"
    masked = "" if result.revealed or not result.messages else "; secrets are masked (--reveal shows them)"
    yield 0, f"{len(result.messages)} of {counted(result.ready, 'message')} in queue {result.queue}{masked}", "bold"


def _title(m: Preview) -> str:
    return f"{m.type or 'no message type'}{f'  {m.id}' if m.id else ''}"


def _facts(m: Preview) -> Iterator[str]:
    yield "age unknown" if m.age is None else f"{age(m.age)} old"
    if m.retries is not None:
        yield counted(m.retries, "retry", "retries")
    yield size(m.size)
    if m.redelivered:
        yield "redelivered"
    if m.deliveries is not None:
        yield f"delivered {counted(m.deliveries, 'time')} before"
    if m.replays is not None:
        yield f"replayed {counted(m.replays, 'time')}"
    yield f"exchange {m.exchange or '(default)'}, key {m.routing_key!r}"


def _properties(m: Preview) -> dict[str, Any]:
    """The properties that are not shown elsewhere."""
    return {name: v for name, v in m.properties.items() if name not in ("message_id", "type", "timestamp")}


def _body(m: Preview) -> Iterator[str]:
    """The body; of an envelope the members that are not shown above."""
    if m.body is None:
        yield m.body_note
    elif not isinstance(m.body, dict) or "payload" not in m.body:
        yield f"body {_json(m.body)}"
    else:
        yield from (f"{name} {_json(value)}" for name, value in m.body.items() if name not in SHOWN)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def as_json(result: PeekResult) -> dict[str, Any]:
    """`attune-ops/messages-peek/1`."""
    return {
        "schema": SCHEMA,
        "queue": result.queue,
        "vhost": result.vhost,
        "ready": result.ready,
        "taken_at": wire.plain(result.taken_at),
        "revealed": result.revealed,
        "messages": [_preview(m) for m in result.messages],
        "notes": list(result.notes),
    }


def _preview(m: Preview) -> dict[str, Any]:
    found = {name: getattr(m, name) for name in m.__struct_fields__ if name != "age"}
    plain = {"here": list(m.here), "made_at": wire.plain(m.made_at), "age_ms": wire.plain(m.age)}
    return found | plain


def rows(result: PeekResult) -> Table:
    """A record per message."""
    cells: tuple[tuple[Cell, ...], ...] = tuple(
        (
            m.n, m.type, m.id, m.age, m.retries, m.exchange, m.routing_key, m.redelivered,
            m.size, "; ".join(m.here), _json(m.headers) if m.headers else None,
            m.body_note if m.body is None else _json(m.body),
        )
        for m in result.messages
    )  # fmt: skip
    return Table("messages", COLUMNS, cells, result.taken_at, result.notes)
