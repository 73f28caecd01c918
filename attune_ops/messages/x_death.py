"""Why a message is where it is: the history in its `x-death` header, and the same in words."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

WORDS = {
    "rejected": "a consumer of {queue} rejected it",
    "expired": "its time to live ran out in {queue}",
    "maxlen": "{queue} was full",
    "delivery_limit": "{queue} gave it up after too many deliveries",
}


class Death(msgspec.Struct, frozen=True):
    """One entry of `x-death`: how often a queue gave the message up for a reason, and as what it had come there."""

    queue: str
    reason: str
    count: int
    exchange: str
    routing_keys: tuple[str, ...]
    time: datetime | None  # of the first time

    @property
    def words(self) -> str:
        """What happened, in words."""
        happened = WORDS.get(self.reason, "{queue} gave it up ({reason})").format(queue=self.queue, reason=self.reason)
        return happened if self.count == 1 else f"{happened}, {self.count} times"


def read(headers: Mapping[str, Any] | None) -> tuple[Death, ...]:
    """The deaths, newest first (rabbit_dead_letter puts the newest in front); () for what is no history."""
    told = (headers or {}).get("x-death")
    entries = told if isinstance(told, list) else []
    return tuple(_death(e) for e in entries if isinstance(e, dict) and isinstance(e.get("queue"), str))


def _death(entry: dict[str, Any]) -> Death:
    keys = entry.get("routing-keys")
    count, time = entry.get("count"), entry.get("time")
    return Death(
        queue=entry["queue"],
        reason=str(entry.get("reason", "")),
        count=count if isinstance(count, int) else 1,
        exchange=str(entry.get("exchange", "")),
        routing_keys=tuple(k for k in keys if isinstance(k, str)) if isinstance(keys, list) else (),
        time=time if isinstance(time, datetime) else None,
    )
