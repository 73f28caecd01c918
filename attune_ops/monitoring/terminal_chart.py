"""A chart of one number over time, in lines of text as wide and high as a terminal has room for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from attune_ops.monitoring.trends import NOTHING

FILLED = " ▁▂▃▄▅▆▇█"  # eighths of a line
LEAST, MOST = 4, 16  # lines
MARGIN = 8  # columns for the largest and the least number


def columns(width: int) -> int:
    """How many values a chart has room for at a width of the terminal."""
    return max(10, width - MARGIN - 2)


def chart(title: str, values: Sequence[float | None], since: datetime, until: datetime, height: int) -> list[str]:
    """A column for each value, from 0 to the largest one; `·` where there is none. `height` is 4 to 16 lines."""
    height = max(LEAST, min(MOST, height))
    most = max((v for v in values if v is not None), default=0.0)
    eighths = [None if v is None else round(v / most * height * 8) if most > 0 else 0 for v in values]
    lines = [title]
    for line in reversed(range(height)):
        label = f"{most:,.6g}" if line == height - 1 else ""
        lines.append(f"{label:>{MARGIN}} │{''.join(_cell(e, line) for e in eighths)}".rstrip())
    lines.append(f"{0:>{MARGIN}} └{'─' * len(values)}")
    first, last = f"{since:%Y-%m-%d %H:%MZ}", f"{until:%Y-%m-%d %H:%MZ}"
    lines.append(" " * (MARGIN + 2) + first + last.rjust(max(len(last) + 1, len(values) - len(first))))
    return lines


def _cell(eighths: int | None, line: int) -> str:
    if eighths is None:
        return NOTHING if line == 0 else " "
    return FILLED[max(0, min(8, eighths - 8 * line))]
