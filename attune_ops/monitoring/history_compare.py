"""Two periods of the recorded history, compared queue by queue."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

import msgspec

from attune_ops.installation.config import Settings
from attune_ops.model.errors import ConfigError
from attune_ops.model.table import Cell, Column, Kind, Table
from attune_ops.monitoring.history import read
from attune_ops.monitoring.history_read import Period, Recorded, moment_of, period, recorded

COMPARED = (
    Column("queue", doc="the queue's name"),
    Column("before", Kind.NUMBER, "messages", "median depth in the first period"),
    Column("after", Kind.NUMBER, "messages", "median depth in the second period"),
    Column("change", Kind.NUMBER, "messages", "of the median"),
    Column("p95_before", Kind.NUMBER, "messages", "95 % of the readings had at most this depth", 2),
    Column("p95_after", Kind.NUMBER, "messages", "the same of the second period", 2),
    Column("in_before", Kind.NUMBER, "messages/s", "mean publish rate", 3),
    Column("in_after", Kind.NUMBER, "messages/s", "the same of the second period", 3),
    Column("out_before", Kind.NUMBER, "messages/s", "mean deliver rate", 3),
    Column("out_after", Kind.NUMBER, "messages/s", "the same of the second period", 3),
    Column("consumers_before", Kind.INTEGER, "consumers", "in the last reading", 4),
    Column("consumers_after", Kind.INTEGER, "consumers", "the same of the second period", 4),
    Column("presence", Kind.CATEGORY, doc="both; new: not in the first period; gone: not in the second", priority=1),
)


def compare(
    settings: Settings,
    before: str = "48h..24h",
    after: str = "24h..now",
    *,
    pattern: str | None = None,
    folder: str | None = None,
    cluster: str | None = None,
) -> Table:
    """Compares two recorded periods, queue by queue, largest change first. Changes nothing.

    A period is two times with `..` between them, as `show` takes them: "48h..24h", "2026-11-28..2026-11-29". Raises
    `ConfigError` where nothing is recorded in one of them, `SourceError`.

    >>> _ = ops.history.record("readings", seconds=0.5)
    >>> len(ops.history.compare("1h..now", "1h..now", pattern="worker.*", folder="readings"))
    2
    """
    spans = [_period(text) for text in (before, after)]
    source = recorded(settings, folder, cluster)
    first, second = (read(source, span, "queues", pattern) for span in spans)
    for made, text in ((first, before), (second, after)):
        if not made.readings.times:
            raise ConfigError(f"nothing is recorded in the period {text}; {_extent(source)}")
    was, now = ({str(r["queue"]): r for r in made.table.records()} for made in (first, second))
    rows = [_compared(name, was.get(name), now.get(name)) for name in {**was, **now}]
    notes = tuple(note for made in (first, second) for note in made.table.notes)
    table = Table("compared", COMPARED, tuple(rows), second.table.taken_at, tuple(dict.fromkeys(notes)), ("queue",))
    ordered: Table = msgspec.structs.replace(table, rows=tuple(sorted(table.sorted("queue").rows, key=_largest)))
    return ordered


def _extent(source: Recorded) -> str:
    """From when to when there are readings."""
    days = [datetime.combine(source.days[i].day, time(), UTC) for i in (0, -1)]
    of_day = [source.readings(Period(day, day + timedelta(days=1))).times for day in days]
    if not all(of_day):
        return f"the recorded days are {days[0]:%Y-%m-%d} to {days[-1]:%Y-%m-%d}"
    first, last = (f"{moment_of(t):%Y-%m-%dT%H:%M:%SZ}" for t in (of_day[0][0], of_day[-1][-1]))
    return f"the readings are of {first} to {last}: name two periods in it"


def _period(text: str) -> Period:
    since, dots, until = text.partition("..")
    if not dots:
        raise ConfigError(f"{text!r} is not a period; use for example 48h..24h, 2026-11-28..2026-11-29, 24h..now")
    return period(since or "3650d", until or "now")


def _compared(name: str, was: dict[str, Cell] | None, now: dict[str, Cell] | None) -> tuple[Cell, ...]:
    def both(column: str) -> tuple[Cell, Cell]:
        return (was[column] if was else None), (now[column] if now else None)

    before, after = both("p50")
    change = after - before if isinstance(before, float) and isinstance(after, float) else None
    presence = "both" if was and now else "gone" if was else "new"
    return (
        name, before, after, change, *both("p95"), *both("in"), *both("out"), *both("consumers"), presence,
    )  # fmt: skip


def _largest(row: tuple[Cell, ...]) -> float:
    """A sort key: the largest change first, also that of a queue that is in one period only."""
    before, after = (v if isinstance(v, float) else 0.0 for v in row[1:3])
    return -abs(after - before)
