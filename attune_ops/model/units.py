"""Spans, sizes, rates, counts and lists in words."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DIGITS = re.compile(r"([0-9]+)")


def seconds(text: str) -> float | None:
    """The seconds of `500ms`, `30s`, `5m`, `1h`, `2d`, or of a number without unit; None for another text."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)?", text.strip(), re.ASCII)
    return float(found[1]) * _SECONDS[found[2] or "s"] if found else None


def age(span: timedelta) -> str:
    """A time span in its two largest units; clock skew may make it negative."""
    seconds = span.total_seconds()
    if seconds < 0:
        return f"-{age(-span)}"
    if seconds < 10:
        return f"{seconds:.1f} s".replace(".0 s", " s")
    whole = round(seconds)
    for size_of, unit, smaller_size, smaller in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size_of:
            rest = whole % size_of // smaller_size
            return f"{whole // size_of} {unit} {rest} {smaller}" if rest else f"{whole // size_of} {unit}"
    return f"{whole} s"


def size(count: float) -> str:
    """A number of bytes with a binary unit."""
    units = iter(("B", "KiB", "MiB", "GiB"))
    unit = next(units)
    while abs(count) >= 1024:
        count, unit = count / 1024, next(units, "TiB")
        if unit == "TiB":
            break
    return f"{number(count)} {unit}"


def number(value: float) -> str:
    """A number with three digits, or all before the point."""
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"


def counted(number: float, noun: str, plural: str | None = None) -> str:
    """`1 message`, `2 messages`, `12,000 messages`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def listed(names: Iterable[str], limit: int = 5) -> str:
    """`a, b, c and 47 more`: at most `limit` names."""
    names = list(names)
    rest = len(names) - limit
    return ", ".join(names) if rest <= 0 else f"{', '.join(names[:limit])} and {rest:,} more"


def spanned(names: Iterable[str], limit: int = 5) -> str:
    """As `listed`; where it leaves names out, also the first and the last in the order of their numbers.

    `w1, w2, w3, w4, w5 and 47 more (w1 to w52)`
    """
    names = list(names)
    if len(names) <= limit:
        return listed(names, limit)
    ordered = list(zip(map(_in_order, names), names, strict=True))
    return f"{listed(names, limit)} ({min(ordered)[1]} to {max(ordered)[1]})"


def _in_order(name: str) -> list[Any]:
    """A sort key in which `w2` comes before `w10`: texts and numbers in turn."""
    parts: list[Any] = _DIGITS.split(name)
    parts[1::2] = map(int, parts[1::2])
    return parts
