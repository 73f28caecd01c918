"""Parts of several answers: counters, rates, times, and values of any type."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec


class Rate(msgspec.Struct):
    """A counter's `…_details`."""

    rate: float | None = None


class MessageStats(msgspec.Struct):
    """The counters and rates of an object; absent ones have not counted anything yet."""

    publish_details: Rate | None = None
    deliver_get_details: Rate | None = None
    ack_details: Rate | None = None
    redeliver_details: Rate | None = None
    deliver_get: int | None = None
    publish: int | None = None
    ack: int | None = None
    deliver_no_ack: int | None = None
    get_no_ack: int | None = None
    publish_in: int | None = None
    publish_out: int | None = None
    return_unroutable: int | None = None
    drop_unroutable: int | None = None


def consumed(stats: MessageStats) -> int | None:
    """The messages that consumers took for good; None where nothing was counted yet."""
    counts = [n for n in (stats.ack, stats.deliver_no_ack, stats.get_no_ack) if n is not None]
    return sum(counts) if counts else None


def rate(details: Rate | None) -> float | None:
    """The rate in messages per second, None where none was reported."""
    return None if details is None else details.rate


def from_seconds(value: int | None, unit: int = 1) -> datetime | None:
    """A time in seconds since 1970 (`unit` 1) or milliseconds (1000), None for an impossible one."""
    try:
        return None if value is None else datetime.fromtimestamp(value / unit, UTC)
    except (OverflowError, OSError, ValueError):
        return None


def from_text(value: str | None) -> datetime | None:
    """A time as text; releases before 3.10 omit the zone and mean UTC."""
    try:
        found = None if value is None else datetime.fromisoformat(value)
    except ValueError:
        return None
    return found if found is None or found.tzinfo else found.replace(tzinfo=UTC)


def text(value: Any) -> str | None:
    """The value if it is text: client properties may hold anything."""
    return value if isinstance(value, str) else None


def number(value: Any) -> int | None:
    """The value if it is a number."""
    return value if isinstance(value, int) else None
