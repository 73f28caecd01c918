"""A message made ready to be shown: decoded, in words, secrets masked."""

from __future__ import annotations

from datetime import datetime
from hashlib import sha256
from typing import Any

from attune_ops.messages.message import Message
from attune_ops.messages.peeked import Look
from attune_ops.messages.replay import replays
from attune_ops.model.redaction import Redactor
from attune_ops.model.units import size

LARGEST = 1 << 20  # bytes of a body that is still shown
TEXT = 4096  # bytes shown of a body that is no JSON, where secrets may be seen
HISTORY = ("x-death", "x-first-death-exchange", "x-first-death-queue", "x-first-death-reason", "x-last-death-exchange",
           "x-last-death-queue", "x-last-death-reason")  # fmt: skip


def view(message: Message, at: datetime, redactor: Redactor | None) -> Look:
    """The message as it is shown at that time; without a redactor with every secret in it."""
    body, note = _body(message, revealed=redactor is None)
    decoded = message.decoded
    told: dict[str, Any] = {
        "type": message.type,
        "id": message.id,
        "exchange": message.exchange,
        "routing_key": message.routing_key,
        "here": [*(d.words for d in message.deaths), _published(message)],
        "properties": {
            name: value
            for name in decoded.__struct_fields__
            if name != "headers" and (value := getattr(decoded, name)) is not None
        },
        "headers": {name: plain(v) for name, v in message.headers.items() if name not in HISTORY},
        "body": body,
        "body_note": note,
    }
    masked = told if redactor is None else redactor.value(told)
    return Look(
        **masked | {"here": tuple(masked["here"])},
        n=message.n,
        redelivered=message.redelivered,
        size=len(message.body),
        made_at=message.made_at,
        age=message.age(at),
        retries=message.retries,
        deliveries=message.deliveries if "x-delivery-count" in message.headers else None,
        replays=replays(message) or None,
    )


def _published(message: Message) -> str:
    """How it came: for a dead letter as it was published in the queue that it died in."""
    exchange, key = message.exchange, message.routing_key
    if message.deaths:
        oldest = message.deaths[-1]
        exchange, key = oldest.exchange, ", ".join(oldest.routing_keys)
    if exchange == "":
        return f"it was published straight to queue {key}"
    return f"it was published to exchange {exchange} with key {key!r}"


def _body(message: Message, revealed: bool) -> tuple[Any, str]:
    """The JSON of the body, or what to say in its place."""
    count = len(message.body)
    encoding = f", content encoding {message.decoded.content_encoding}" if message.decoded.content_encoding else ""
    if count > LARGEST:
        return None, f"{size(count)}{encoding}: too large to show; drain it to a file"
    if message.data is not None:
        return plain(message.data), ""
    if not count:
        return None, "no body"
    digest = sha256(message.body).hexdigest()[:16]
    what = f"{count} bytes that are no JSON{encoding} (sha256 {digest}…)"
    if not revealed:
        return None, what
    more = "…" if count > TEXT else ""
    return None, f"{what}: {message.body[:TEXT].decode(errors='backslashreplace')}{more}"


def plain(value: Any) -> Any:
    """A header's value as JSON can have it."""
    if isinstance(value, dict):
        return {str(name): plain(v) for name, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, bytes):
        return value.decode(errors="backslashreplace")
    if isinstance(value, datetime):
        return value.isoformat()
    return value if value is None or isinstance(value, (str, int, float, bool)) else str(value)
