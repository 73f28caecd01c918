"""How one message is shown: a block of lines."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final, Literal, TypedDict

from attune_ops.messages.preview import Preview
from attune_ops.model.units import age, counted, size
from attune_ops.render import wire
from attune_ops.render.text import Line

SCHEMA: Final = "attune-ops/message/1"

# Members of an envelope that are shown in words or among the properties.
SHOWN = ("message_id", "message_type", "timestamp", "correlation_id")


def lines(m: Preview, limit: int | None) -> Iterator[Line]:
    """Title, facts, why it is here, headers, properties, body, and an empty line."""
    yield 0, f"{m.n}  {_title(m)}", "bold"
    yield 3, "; ".join(_facts(m)), "dim"
    for i, reason in enumerate(m.here):
        yield 3, f"{'here because ' if i == 0 else 'before that '}{reason}", ""
    for name, values in (("headers", m.headers), ("properties", _properties(m))):
        if values:
            yield 3, f"{name} {json_of(values)}", "dim"
    yield from ((3, line, "") for line in _body(m))
    yield 0, "", ""


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
        yield f"body {json_of(m.body)}"
    else:
        yield from (f"{name} {json_of(value)}" for name, value in m.body.items() if name not in SHOWN)


def json_of(value: Any) -> str:
    """JSON on one line."""
    return json.dumps(value, ensure_ascii=False)


class MessageData(TypedDict):
    """One message, secrets masked; `here` says why it is in this queue; `size` is in bytes; null is what it lacks."""

    n: int
    exchange: str
    routing_key: str
    redelivered: bool
    size: int
    here: list[str]
    type: str | None
    id: str | None
    made_at: str | None
    retries: int | None
    deliveries: int | None
    replays: int | None
    properties: dict[str, Any]
    headers: dict[str, Any]
    body: Any
    body_note: str
    age_ms: float | None


class MessageJson(MessageData):
    """One message."""

    schema: Literal["attune-ops/message/1"]


JSON = MessageJson


def as_json(m: Preview) -> MessageJson:
    """`attune-ops/message/1`."""
    return {"schema": SCHEMA, **data(m)}


def data(m: Preview) -> MessageData:
    """One message as JSON, a part of what peek and tap print."""
    return {
        "n": m.n,
        "exchange": m.exchange,
        "routing_key": m.routing_key,
        "redelivered": m.redelivered,
        "size": m.size,
        "here": list(m.here),
        "type": m.type,
        "id": m.id,
        "made_at": None if m.made_at is None else wire.utc(m.made_at),
        "retries": m.retries,
        "deliveries": m.deliveries,
        "replays": m.replays,
        "properties": m.properties,
        "headers": m.headers,
        "body": m.body,
        "body_note": m.body_note,
        "age_ms": None if m.age is None else wire.milliseconds(m.age),
    }
