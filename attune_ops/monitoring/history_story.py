"""The story of one worker or queue: what happened to it, in the order of time, by the recorded history."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterator
from datetime import datetime
from itertools import pairwise
from typing import Any, Literal, get_args

from attune_ops.installation.config import Settings
from attune_ops.model.errors import ConfigError
from attune_ops.model.table import Column, Kind, Table
from attune_ops.model.units import age, counted
from attune_ops.monitoring.arrow import pa, pc
from attune_ops.monitoring.history import SAMPLES, worker_ids
from attune_ops.monitoring.history_read import Period, Readings, Recorded, micros, moment_of, period, recorded

Subject = Literal["worker", "queue"]
Event = tuple[datetime, str, str]

# Column, event where it becomes true, event where it becomes false.
FLAGS = (
    ("declared", "declared", "queue gone"), ("bound", "bound", "binding gone"),
    ("consumed", "consumed", "consumer gone"),
)  # fmt: skip
QUEUE = ("time", "messages", "consumers", "max_length")
STORY = (
    Column("time", Kind.TIME, doc="of the first reading that shows it; of registered and last seen the registry's own"),
    Column("event", Kind.CATEGORY, doc="what happened"),
    Column("detail", doc="in words"),
)


def story(
    settings: Settings,
    subject: Subject,
    name: str,
    *,
    since: str = "30d",
    until: str = "now",
    folder: str | None = None,
    cluster: str | None = None,
) -> Table:
    """What happened to a worker (by name or id) or a queue, in the order of time, with the gaps. Changes nothing.

    Of a worker: registered, declared, bound, consumed, each change of state, last seen. Raises `ConfigError`,
    `SourceError`.

    >>> _ = ops.history.record("readings", seconds=0.5)
    >>> "last seen" in ops.history.story("worker", "w1", folder="readings")["event"]
    True
    """
    if subject not in get_args(Subject):
        raise ConfigError(f"no story of a {subject!r}; there is one of a worker and of a queue")
    span, source = period(since, until), recorded(settings, folder, cluster)
    found = source.readings(span)
    events = list((_worker if subject == "worker" else _queue)(source, span, found, name))
    for gap in found.gaps:
        over = "" if gap.until is None else f" for {age(gap.until - gap.since)}"
        events.append((gap.since, "gap", f"no reading{over}: {gap.reason}"))
    rows = tuple(sorted(events, key=lambda e: e[0]))
    note = f"{counted(len(found.times), 'reading')} of cluster {source.cluster}, virtual host {source.vhost}"
    last = moment_of(found.times[-1]) if found.times else None
    return Table("story", STORY, rows, last, (note, *source.notes, *found.lost), ("event",))


def _worker(source: Recorded, span: Period, found: Readings, name: str) -> Iterator[Event]:
    ids = worker_ids(source, span, name)
    rows = source.rows(span, "worker", SAMPLES["workers"], worker_id=ids).sort_by([("time", "ascending")])
    if not rows.num_rows:
        raise ConfigError(f"no worker {name!r} is recorded in this period")
    for worker_id in ids:
        records = rows.filter(pc.equal(rows["worker_id"], worker_id))
        told = ("name", "state", "registered", *(column for column, _, _ in FLAGS))
        yield from _worker_events(span, found, worker_id, micros(records["time"]), changes(records, told))


def changes(rows: Any, columns: Collection[str]) -> list[dict[str, Any]]:
    """The first row, the last one, and before and after each change of one of these columns."""
    rows = rows.combine_chunks()
    keep = {0, rows.num_rows - 1}
    for column in columns:
        values = pc.cast(rows[column], pa.string()) if column not in ("name", "state") else rows[column]
        values = pc.fill_null(values, "")
        at = pc.indices_nonzero(pc.not_equal(values[1:], values[:-1])).to_pylist()
        keep.update(at, (i + 1 for i in at))
    made: list[dict[str, Any]] = rows.take(sorted(keep)).to_pylist()
    return made


def _worker_events(
    span: Period, found: Readings, worker_id: int, times: list[int], rows: list[dict[str, Any]]
) -> Iterator[Event]:
    first, last = rows[0], rows[-1]
    who = f"worker {worker_id} {first['name']!r}"
    if first["registered"] is not None and first["registered"] >= span.since:
        yield first["registered"], "registered", who
    done = ", ".join(event for column, event, _ in FLAGS if first[column])
    new = bool(found.whole) and found.whole[0] < times[0]
    known = f"{who}: {first['state'] or 'unknown'}{f'; {done}' if done else ''}"
    yield first["time"], "first seen" if new else "recording begins", known
    for before, now in pairwise(rows):
        for column, event, undone in FLAGS:
            if None not in (before[column], now[column]) and before[column] != now[column]:
                yield now["time"], event if now[column] else undone, who
        if None not in (before["state"], now["state"]) and before["state"] != now["state"]:
            yield now["time"], "state", f"{before['state']} → {now['state']}"
        if before["registered"] != now["registered"] and now["registered"] is not None:
            yield now["registered"], "registered", f"{who}, with a new row"
    yield from _absences(found.whole, times, "no longer registered", "registered again")
    if last["last_heartbeat"] is not None:
        yield last["last_heartbeat"], "last seen", f"its last heartbeat; {last['state'] or 'unknown'}"


def _queue(source: Recorded, span: Period, found: Readings, name: str) -> Iterator[Event]:
    rows = source.rows(span, "queue", QUEUE, name=(name,)).sort_by("time")
    if not rows.num_rows:
        raise ConfigError(f"no queue {name!r} is recorded in this period")
    times, records = micros(rows["time"]), rows.to_pylist()
    new = bool(found.times) and found.times[0] < times[0]
    yield records[0]["time"], "declared" if new else "recording begins", _content(records[0])
    for before, now in pairwise(records):
        known = None not in (before["consumers"], now["consumers"])
        if known and bool(before["consumers"]) != bool(now["consumers"]):
            yield now["time"], "consumed" if now["consumers"] else "no consumer", _content(now)
        if _is_full(now) and not _is_full(before):
            yield now["time"], "full", f"{_content(now)}, max-length {now['max_length']:,}"
    yield from _absences(found.times, times, "gone", "declared again")
    deepest = max(records, key=lambda r: r["messages"] or 0)
    if deepest["messages"]:
        yield deepest["time"], "deepest", _content(deepest)
    yield records[-1]["time"], "last seen", _content(records[-1])


def _content(row: dict[str, Any]) -> str:
    messages, consumers = row["messages"], row["consumers"]
    shown = "an unknown number of messages" if messages is None else counted(messages, "message")
    return shown + ("" if consumers is None else f", {counted(consumers, 'consumer')}")


def _is_full(row: dict[str, Any]) -> bool:
    return row["max_length"] is not None and row["messages"] is not None and row["messages"] >= row["max_length"]


def _absences(readings: tuple[int, ...], times: list[int], went: str, came: str) -> Iterator[Event]:
    """When readings lacked it between two that have it, and after the last one."""
    for before, after in pairwise([*times, None]):
        assert before is not None
        at = bisect_right(readings, before)
        missed = readings[at] if at < len(readings) else None
        if missed is not None and (after is None or missed < after):
            yield moment_of(missed), went, "not in this reading"
            if after is not None:
                yield moment_of(after), came, "in this reading"
