"""Trends: how a number grew over time, when it reaches its limit, and its course in one line of text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta

BLOCKS = "▁▂▃▄▅▆▇█"
NOTHING = "·"  # in a line: no number at that time
FIT = 0.5  # of the variance that a straight line explains: below that there is no trend to go on with
LONGEST = timedelta(days=365)

Point = tuple[float, float]  # s, value


def slope(points: Sequence[Point]) -> float | None:
    """The growth a second of the straight line that fits best; None for fewer than two times."""
    line = _line(points)
    return None if line is None else line[0]


def time_until(points: Sequence[Point], limit: float | None, *, falls: bool = False) -> timedelta | None:
    """How long until the last value reaches `limit`, if it goes on like the points; from above if it `falls`.

    None where it does not move there, where the points are no line (r² below 0.5), where it takes longer than a year,
    and without a limit. Zero where it is reached.
    """
    if limit is None or not points:
        return None
    left = limit - points[-1][1]
    if (left >= 0) if falls else (left <= 0):
        return timedelta(0)
    line = _line(points)
    if line is None or line[1] < FIT or line[0] == 0 or (line[0] < 0) is not falls:
        return None
    seconds = left / line[0]
    return timedelta(seconds=seconds) if seconds <= LONGEST.total_seconds() else None


def sparkline(values: Iterable[float | None]) -> str:
    """The values as blocks of eight heights, from 0 to the largest one; `·` for None."""
    values = list(values)
    most = max((v for v in values if v is not None), default=0)
    return "".join(
        NOTHING if v is None else BLOCKS[0 if most <= 0 else min(7, max(0, round(v / most * 7)))] for v in values
    )


def _line(points: Sequence[Point]) -> tuple[float, float] | None:
    """Slope, and how much of the variance the line explains (r²)."""
    n = len(points)
    if n < 2:
        return None
    mx, my = sum(x for x, _ in points) / n, sum(y for _, y in points) / n
    xx = sum((x - mx) ** 2 for x, _ in points)
    yy = sum((y - my) ** 2 for _, y in points)
    xy = sum((x - mx) * (y - my) for x, y in points)
    if xx == 0:
        return None
    return xy / xx, 0.0 if yy == 0 else xy * xy / (xx * yy)
