"""How `Peeked` shows itself: a block a message, the body indented under it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from attune_ops.messages.peeked import SCHEMA, Look, Peeked
from attune_ops.model.table import Cell, Column, Kind, Table
from attune_ops.model.units import age, counted, size
from attune_ops.render import wire
from attune_ops.render.text import Line

COLUMNS = (
    Column("n", Kind.INTEGER, doc="position, from the head of the queue"),
    Column("type", Kind.CATEGORY, doc="Attune's message type"),
    Column("id", doc="message id"),
    Column("age", Kind.AGE, "s", "since it was made"),
    Column("retries", Kind.INTEGER, "retries", "as the envelope tells"),
    Column("exchange", doc="the exchange that it came by"),
    Column("routing_key", doc="the key that it came with"),
    Column("redelivered", Kind.FLAG, doc="handed out before"),
    Column("size", Kind.INTEGER, "bytes", "of the body"),
    Column("here", doc="why it is in this queue, the newest first"),
    Column("headers", doc="AMQP headers, as JSON"),
    Column("body", doc="as JSON, secrets masked"),
)


# Members of an envelope that are told in words, or stand in the properties.
SAID = ("message_id", "message_type", "timestamp", "correlation_id")


def lines(peeked: Peeked, limit: int | None) -> Iterator[Line]:
    """A block for each message."""
    for look in peeked.messages:
        yield 0, f"{look.n}  {_title(look)}", "bold"
        yield 3, "; ".join(_facts(look)), "dim"
        for i, reason in enumerate(look.here):
            yield 3, f"{'here because ' if i == 0 else 'before that '}{reason}", ""
        for name, values in (("headers", look.headers), ("properties", _unsaid(look))):
            if values:
                yield 3, f"{name} {_json(values)}", "dim"
        yield from ((3, line, "") for line in _body(look))
        yield 0, "", ""
    for note in peeked.notes:
        yield 0, f"note: {note}", "dim"
    masked = "" if peeked.revealed or not peeked.messages else "; secrets are masked (--reveal asks to show them)"
    yield 0, f"{len(peeked.messages)} of {counted(peeked.ready, 'message')} in queue {peeked.queue}{masked}", "bold"


def _title(look: Look) -> str:
    return f"{look.type or 'no message type'}{f'  {look.id}' if look.id else ''}"


def _facts(look: Look) -> Iterator[str]:
    yield "age not told" if look.age is None else f"{age(look.age)} old"
    if look.retries is not None:
        yield counted(look.retries, "retry", "retries")
    yield size(look.size)
    if look.redelivered:
        yield "handed out before"
    if look.deliveries is not None:
        yield f"delivered {counted(look.deliveries, 'time')} before"
    if look.replays is not None:
        yield f"replayed {counted(look.replays, 'time')}"
    yield f"came by exchange {look.exchange or '(default)'}, key {look.routing_key!r}"


def _unsaid(look: Look) -> dict[str, Any]:
    """The properties that are not said already."""
    return {name: v for name, v in look.properties.items() if name not in ("message_id", "type", "timestamp")}


def _body(look: Look) -> Iterator[str]:
    """The body; of an envelope the parts that the lines above do not tell."""
    if look.body is None:
        yield look.body_note
    elif not isinstance(look.body, dict) or "payload" not in look.body:
        yield f"body {_json(look.body)}"
    else:
        yield from (f"{name} {_json(value)}" for name, value in look.body.items() if name not in SAID)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def as_json(peeked: Peeked) -> dict[str, Any]:
    """`attune-ops/messages-peek/1`."""
    return {
        "schema": SCHEMA,
        "queue": peeked.queue,
        "vhost": peeked.vhost,
        "ready": peeked.ready,
        "taken_at": wire.plain(peeked.taken_at),
        "revealed": peeked.revealed,
        "messages": [_look(look) for look in peeked.messages],
        "notes": list(peeked.notes),
    }


def _look(look: Look) -> dict[str, Any]:
    found = {name: getattr(look, name) for name in look.__struct_fields__ if name != "age"}
    told = {"here": list(look.here), "made_at": wire.plain(look.made_at), "age_ms": wire.plain(look.age)}
    return found | told


def rows(peeked: Peeked) -> Table:
    """A row a message."""
    found: tuple[tuple[Cell, ...], ...] = tuple(
        (
            look.n, look.type, look.id, look.age, look.retries, look.exchange, look.routing_key, look.redelivered,
            look.size, "; ".join(look.here), _json(look.headers) if look.headers else None,
            look.body_note if look.body is None else _json(look.body),
        )
        for look in peeked.messages
    )  # fmt: skip
    return Table("messages", COLUMNS, found, peeked.taken_at, peeked.notes)
