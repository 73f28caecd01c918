"""Words that several checks say: lists, counts, ages, sizes, and the commands that cure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

ROOM = 5  # names that a sentence lists; the evidence has them all


def listed(names: Iterable[str], room: int = ROOM) -> str:
    """`a, b, c and 47 more`."""
    names = list(names)
    rest = len(names) - room
    return ", ".join(names) if rest <= 0 else f"{', '.join(names[:room])} and {rest} more"


def counted(number: float, noun: str, plural: str | None = None) -> str:
    """`1 message`, `2 messages`, `12,000 messages`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def aged(age: timedelta) -> str:
    """`45 s`, `12 min`, `3 h`, `9 days`."""
    seconds = abs(age.total_seconds())
    for limit, unit, name in ((120, 1, "s"), (7200, 60, "min"), (172800, 3600, "h")):
        if seconds < limit:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds / 86400:.0f} days"


def sized(size: float) -> str:
    """`512 B`, `1.5 GB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def binding_name(source: str, key: str, destination: str) -> str:
    """How findings name a binding."""
    return f"{source} → {destination} ({key})"


def route_name(exchange: str, key: str) -> str:
    """How findings name a publish."""
    return f"{exchange} {key}".strip()
