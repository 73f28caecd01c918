"""Messages as `peek` shows them: decoded, with words for their dead-lettering, secrets masked."""

from __future__ import annotations

from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

import msgspec

from attune_ops.messages.message import LARGEST, Message
from attune_ops.model.display import Shown
from attune_ops.model.redaction import Redactor
from attune_ops.model.units import size

TEXT = 4096  # bytes shown of a body that is not JSON, with --reveal
LEVELS = 50  # nested objects and arrays that are shown; each takes some calls to mask and to print
TOO_DEEP = "nested too deeply to show"
HISTORY = ("x-death", "x-first-death-exchange", "x-first-death-queue", "x-first-death-reason", "x-last-death-exchange",
           "x-last-death-queue", "x-last-death-reason")  # fmt: skip


class Preview(Shown, msgspec.Struct, frozen=True):
    """One message, ready to be shown: secrets are masked, unless they were asked for.

    `here` says why it is in this queue, newest first. `body` is the JSON; where it is not JSON or too large, `body`
    is None and `body_note` says so. `retries`, `age` and others are None where the message lacks them.
    """

    n: int
    exchange: str
    routing_key: str
    redelivered: bool
    size: int  # bytes of the body
    here: tuple[str, ...]
    type: str | None = None
    id: str | None = None
    made_at: datetime | None = None
    age: timedelta | None = None
    retries: int | None = None
    deliveries: int | None = None  # of a quorum queue, before this one
    replays: int | None = None  # by this tool
    properties: dict[str, Any] = {}
    headers: dict[str, Any] = {}
    body: Any = None
    body_note: str = ""


class PeekResult(Shown, msgspec.Struct, frozen=True):
    """The first messages of a queue. `ready` is its number of ready messages; `notes` say what peeking changed."""

    queue: str
    vhost: str
    ready: int
    messages: tuple[Preview, ...]
    taken_at: datetime
    revealed: bool = False
    notes: tuple[str, ...] = ()


def preview(message: Message, at: datetime, redactor: Redactor | None) -> Preview:
    """The message as it is shown at that time; without a redactor every secret is shown."""
    body, note = _body(message, revealed=redactor is None)
    decoded = message.decoded
    shown: dict[str, Any] = {
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
        "headers": {
            name: TOO_DEEP if too_deep(v) else plain(v) for name, v in message.headers.items() if name not in HISTORY
        },
        "body": body,
        "body_note": note,
    }
    masked = shown if redactor is None else redactor.value(shown)
    return Preview(
        **masked | {"here": tuple(masked["here"])},
        n=message.n,
        redelivered=message.redelivered,
        size=len(message.body),
        made_at=message.made_at,
        age=message.age(at),
        retries=message.retries,
        deliveries=message.deliveries if "x-delivery-count" in message.headers else None,
        replays=message.replays or None,
    )


def _published(message: Message) -> str:
    """How it was published; for a dead letter, to the queue that first dead-lettered it."""
    exchange, key = message.exchange, message.routing_key
    if message.deaths:
        oldest = message.deaths[-1]
        exchange, key = oldest.exchange, ", ".join(oldest.routing_keys)
    if exchange == "":
        return f"it was published to queue {key} (default exchange)"
    return f"it was published to exchange {exchange} with key {key!r}"


def _body(message: Message, revealed: bool) -> tuple[Any, str]:
    """The JSON of the body, or a note in its place."""
    count = len(message.body)
    encoding = f", content encoding {message.decoded.content_encoding}" if message.decoded.content_encoding else ""
    if count > LARGEST:
        return None, f"{size(count)}{encoding}: too large to show; drain it to a file"
    if message.data is not None:
        if too_deep(message.data):
            return None, f"{size(count)}{encoding}: {TOO_DEEP}; drain it to a file"
        return plain(message.data), ""
    if not count:
        return None, "no body"
    digest = sha256(message.body).hexdigest()[:16]
    what = f"{count} bytes, not JSON{encoding} (sha256 {digest}…)"
    if not revealed:
        return None, what
    more = "…" if count > TEXT else ""
    return None, f"{what}: {message.body[:TEXT].decode(errors='backslashreplace')}{more}"


def too_deep(value: Any) -> bool:
    """Whether objects and arrays are nested in more than `LEVELS`."""
    level = [value]
    for _ in range(LEVELS + 1):
        level = [
            inner
            for outer in level
            if isinstance(outer, (dict, list, tuple))
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
    return bool(level)


def plain(value: Any) -> Any:
    """A header's value as JSON can hold it."""
    if isinstance(value, dict):
        return {str(name): plain(v) for name, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, bytes):
        return value.decode(errors="backslashreplace")
    if isinstance(value, datetime):
        return value.isoformat()
    return value if value is None or isinstance(value, (str, int, float, bool)) else str(value)
