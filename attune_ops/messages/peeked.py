"""Messages that were looked at and left in their queue."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import msgspec

from attune_ops.model.display import Shown

SCHEMA = "attune-ops/messages-peek/1"


class Look(msgspec.Struct, frozen=True):
    """One message, ready to be shown: secrets are masked, unless somebody asked to see them.

    `here` says in words why it is in this queue, the newest first. `body` is the JSON; where it is none or too large,
    it is None and `body_note` says so. `retries`, `age` and the others are None where the message does not tell them.
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


class Peeked(Shown, msgspec.Struct, frozen=True):
    """The first messages of a queue. `ready` is how many there were; `notes` say what looking changed."""

    queue: str
    vhost: str
    ready: int
    messages: tuple[Look, ...]
    taken_at: datetime
    revealed: bool = False
    notes: tuple[str, ...] = ()
