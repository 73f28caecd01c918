"""The recorded history: trends of queues, states of workers, resources of nodes, gaps; from the Parquet data set."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any, Literal, get_args

import msgspec

from attune_ops.installation.config import Settings
from attune_ops.model import display
from attune_ops.model.errors import ConfigError
from attune_ops.model.table import Cell, Column, Kind, Table, matcher
from attune_ops.model.units import age, counted
from attune_ops.monitoring.arrow import pa, pc
from attune_ops.monitoring.history_read import Period, Readings, Recorded, moment_of, period, recorded
from attune_ops.monitoring.history_scan import lost_files
from attune_ops.monitoring.trends import Point, slope, sparkline, time_until

Of = Literal["queues", "workers", "nodes", "gaps"]
BUCKETS = 24  # of a period, for its line and its growth
CHARTED = 480  # samples of a queue in a chart

QUEUES = (
    Column("queue", doc="the queue's name"),
    Column("trend", doc="depth over the period, from 0 to the most; · where it was not there or not read", priority=2),
    Column("last", Kind.INTEGER, "messages", "in the last reading with this queue"),
    Column("p50", Kind.NUMBER, "messages", "half of the readings had at most this depth", 3),
    Column("p95", Kind.NUMBER, "messages", "95 % of the readings had at most this depth", 2),
    Column("most", Kind.INTEGER, "messages", "in any reading"),
    Column("growth", Kind.NUMBER, "messages/h", "slope of the straight line that fits best", 2),
    Column("full_in", Kind.AGE, "s", "until its max-length or max-length-bytes, if it grows on so", 1),
    Column("in", Kind.NUMBER, "messages/s", "mean publish rate", 3),
    Column("out", Kind.NUMBER, "messages/s", "mean deliver rate", 3),
    Column("consumers", Kind.INTEGER, "consumers", "in the last reading", 3),
    Column("came", Kind.TIME, doc="first reading with it, if an earlier one was without", priority=4),
    Column("went", Kind.TIME, doc="first reading without it", priority=2),
    Column("limit", Kind.INTEGER, "messages", "its effective max-length", 5),
    Column("readings", Kind.INTEGER, "readings", "with this queue", 5),
)
WORKERS = (
    Column("worker", doc="the registered name"),
    Column("id", Kind.INTEGER, doc="the id in the registry"),
    Column("state", Kind.CATEGORY, doc="in the last reading with it"),
    Column("states", Kind.LIST, doc="percentage of the readings in each state", priority=2),
    Column("changes", Kind.INTEGER, "changes", "of its state", 2),
    Column("last_heartbeat", Kind.TIME, doc="in the last reading with it", priority=3),
    Column("came", Kind.TIME, doc="first reading with it, if an earlier one was without", priority=4),
    Column("went", Kind.TIME, doc="first reading without it", priority=2),
    Column("readings", Kind.INTEGER, "readings", "with this worker", 5),
)
NODES = (
    Column("node", doc="the node's name"),
    Column("disk", doc="free disk over the period", priority=3),
    Column("disk_free", Kind.INTEGER, "bytes", "in the last reading"),
    Column("disk_limit", Kind.INTEGER, "bytes", "below it the node blocks publishers", 2),
    Column("disk_full_in", Kind.AGE, "s", "until that limit, if it falls on so"),
    Column("memory", doc="used memory over the period", priority=3),
    Column("memory_used", Kind.INTEGER, "bytes", "in the last reading"),
    Column("memory_limit", Kind.INTEGER, "bytes", "above it the node blocks publishers", 2),
    Column("memory_full_in", Kind.AGE, "s", "until that limit, if it grows on so"),
    Column("readings", Kind.INTEGER, "readings", "with this node", 5),
)
GAPS = (
    Column("since", Kind.TIME, doc="the last reading before; where none is in the period, the first that failed"),
    Column("until", Kind.TIME, doc="the first reading after; unknown: it has not ended in the period"),
    Column("over", Kind.AGE, "s", "between the two"),
    Column("reason", doc="why a reading failed; or nothing was recorded"),
)
# The columns of the data set that each one reads.
SAMPLES = {
    "queues": (
        "time", "name", "worker_id", "state", "messages", "ready", "unacked", "consumers", "bytes", "publish_rate",
        "deliver_rate", "ack_rate", "max_length", "max_bytes",
    ),
    "workers": (
        "time", "name", "worker_id", "state", "messages", "declared", "bound", "consumed", "registered",
        "last_heartbeat",
    ),
    "nodes": ("time", "name", "state", "disk_free", "disk_free_limit", "memory_used", "memory_limit"),
}  # fmt: skip
COLUMNS = {"queues": QUEUES, "workers": WORKERS, "nodes": NODES, "gaps": GAPS}


class History(display.Shown, msgspec.Struct, frozen=True):
    """What is recorded of the queues (workers, nodes) of one cluster and virtual host in a period.

    `rows` is the pyarrow table of the samples, by name and time; `.frame` has them as a DataFrame.
    """

    cluster: str
    vhost: str
    period: Period
    of: str
    readings: Readings
    rows: Any
    notes: tuple[str, ...]

    @property
    def table(self) -> Table:
        """A row for each queue, worker or node, fastest growth first; or for each gap."""
        made = Table(
            self.of, COLUMNS[self.of], tuple(self._lines()), self._until, self._notes, (COLUMNS[self.of][0].name,)
        )
        return made.sorted(*{"queues": ("-growth", "queue"), "workers": ("id",), "nodes": ("node",)}.get(self.of, ()))

    def chart(self) -> Any:
        """The depths over time as an altair chart. Needs the extra `notebook`."""
        return display.form(self, "chart")

    @property
    def _until(self) -> datetime | None:
        return moment_of(self.readings.times[-1]) if self.readings.times else None

    @property
    def _notes(self) -> tuple[str, ...]:
        times, gaps = self.readings.times, self.readings.gaps
        said = f"{counted(len(times), 'reading')} of cluster {self.cluster}, virtual host {self.vhost}"
        if times:
            said += f" from {moment_of(times[0]):%Y-%m-%d %H:%M:%SZ} to {moment_of(times[-1]):%Y-%m-%d %H:%M:%SZ}"
        notes = [said]
        if gaps and self.of != "gaps":
            longest = max(gaps, key=lambda g: (g.until or self.period.until) - g.since)
            over = age((longest.until or self.period.until) - longest.since)
            notes.append(
                f"{counted(len(gaps), 'gap')}, the longest {over} from {longest.since:%Y-%m-%d %H:%M:%SZ}: "
                f"{longest.reason}"
            )
        if partial := len(times) - len(self.readings.whole):
            notes.append(f"{counted(partial, 'reading')} without all sources: {self.readings.lacks}")
        return (*notes, *self.notes, *dict.fromkeys((*lost_files(self.rows), *self.readings.lost)))

    def groups(self, key: str = "name") -> Iterator[tuple[Any, Any]]:
        """The rows of each name, in the order of their times."""
        at = 0
        for entry in self.rows[key].value_counts().to_pylist():
            yield entry["values"], self.rows.slice(at, entry["counts"])
            at += entry["counts"]

    def course(self, rows: Any, column: str, parts: int = BUCKETS) -> list[Point | None]:
        """The mean of a column in each part of the recorded time, with its time in s; None where none is.

        A part without a reading is left out, unless it is in a gap.
        """
        first, width = self._scale(parts)
        times = pc.cast(rows["time"], pa.int64())
        part = pc.min_element_wise(pc.divide(pc.subtract(times, first), width), parts - 1)
        found = pa.table({"part": part, "time": times, "value": rows[column]})
        known = found.filter(pc.is_valid(found["value"]))
        means = known.group_by("part").aggregate([("time", "mean"), ("value", "mean")])
        made: list[Point | None] = [None] * parts
        for row in means.to_pylist():
            made[row["part"]] = (row["time_mean"] / 1e6, row["value_mean"])
        return [p for i, p in enumerate(made) if p or self._is_shown(first + i * width, first + (i + 1) * width)]

    def _is_shown(self, since: int, until: int) -> bool:
        """Whether there is a reading in these microseconds, or a gap."""
        times = self.readings.times
        if bisect_left(times, since) < bisect_left(times, until):
            return True
        begin, end = moment_of(since), moment_of(until)
        return any(g.since < end and (g.until is None or g.until > begin) for g in self.readings.gaps)

    def _scale(self, parts: int) -> tuple[int, int]:
        times = self.readings.times
        return (times[0], max(1, (times[-1] - times[0]) // parts)) if times else (0, 1)

    def _lines(self) -> Iterator[tuple[Cell, ...]]:
        if self.of == "gaps":
            for gap in self.readings.gaps:
                yield gap.since, gap.until, (gap.until or self.period.until) - gap.since, gap.reason
            return
        make: Callable[[Any, Any], tuple[Cell, ...]] = self._queue
        if self.of != "queues":
            make = self._worker if self.of == "workers" else self._node
        for name, rows in self.groups("worker_id" if self.of == "workers" else "name"):
            yield make(name, rows)

    def _queue(self, name: str, rows: Any) -> tuple[Cell, ...]:
        depths, course = rows["messages"], self.course(rows, "messages")
        p50, p95 = pc.quantile(depths, [0.5, 0.95]).to_pylist()
        points, limit = [p for p in course if p], _last(rows["max_length"])
        full = [time_until(points, limit)]
        if (size := _last(rows["max_bytes"])) is not None:
            full.append(time_until([p for p in self.course(rows, "bytes") if p], size))
        growth = slope(points)
        return (
            name, sparkline(p and p[1] for p in course), _last(depths), p50, p95, pc.max(depths).as_py(),
            None if growth is None else growth * 3600, min((f for f in full if f is not None), default=None),
            pc.mean(rows["publish_rate"]).as_py(), pc.mean(rows["deliver_rate"]).as_py(), _last(rows["consumers"]),
            *self._presence(rows, self.readings.times), limit, rows.num_rows,
        )  # fmt: skip

    def _worker(self, worker_id: int, rows: Any) -> tuple[Cell, ...]:
        states = pc.fill_null(rows["state"], "unknown")
        counts = sorted(states.value_counts().to_pylist(), key=lambda c: -c["counts"])
        shares = tuple(f"{c['values']} {100 * c['counts'] / len(states):.3g} %" for c in counts)
        changes = pc.sum(pc.not_equal(states[1:], states[:-1])).as_py() or 0
        return (
            rows["name"][-1].as_py(), worker_id, states[-1].as_py(), shares, changes,
            rows["last_heartbeat"][-1].as_py(),
            *self._presence(rows, self.readings.whole), rows.num_rows,
        )  # fmt: skip

    def _node(self, name: str, rows: Any) -> tuple[Cell, ...]:
        disk, memory = self.course(rows, "disk_free"), self.course(rows, "memory_used")
        disk_limit, memory_limit = _last(rows["disk_free_limit"]), _last(rows["memory_limit"])
        return (
            name, sparkline(p and p[1] for p in disk), _last(rows["disk_free"]), disk_limit,
            time_until([p for p in disk if p], disk_limit, falls=True),
            sparkline(p and p[1] for p in memory), _last(rows["memory_used"]), memory_limit,
            time_until([p for p in memory if p], memory_limit), rows.num_rows,
        )  # fmt: skip

    def _presence(self, rows: Any, times: tuple[int, ...]) -> tuple[datetime | None, datetime | None]:
        """When it came and when it went: None where the first (last) of these readings has it."""
        first, last = pc.cast(rows["time"], pa.int64())[0].as_py(), pc.cast(rows["time"], pa.int64())[-1].as_py()
        after = bisect_right(times, last)
        came = moment_of(first) if times and times[0] < first else None
        return came, moment_of(times[after]) if after < len(times) else None

    def depths(self, queues: Iterable[str]) -> Iterator[tuple[datetime, str, float | None]]:
        """The depths of these queues for a chart: at most 480 of each, and None where a gap begins."""
        wanted = set(queues)
        breaks = [(gap.since + timedelta(microseconds=1)) for gap in self.readings.gaps]
        for name, rows in self.groups():
            if name in wanted:
                step = -(-rows.num_rows // CHARTED)
                thin = rows.select(["time", "messages"]).take(list(range(0, rows.num_rows, step)))
                points = [(r["time"], name, r["messages"]) for r in thin.to_pylist()]
                yield from sorted([*points, *((t, name, None) for t in breaks)], key=lambda p: p[0])


def show(
    settings: Settings,
    pattern: str | None = None,
    *,
    of: Of = "queues",
    worker: str | None = None,
    since: str = "24h",
    until: str = "now",
    folder: str | None = None,
    cluster: str | None = None,
) -> History:
    """What `record` recorded of queues, workers or nodes in a period, or its gaps. Changes nothing.

    `pattern` chooses names, `worker` (a name or an id) the queues of one worker. `since` and `until` are times or how
    long ago ("24h"). The broker is asked for its cluster's name, unless `cluster` names it. Raises `ConfigError`,
    `SourceError`.

    >>> _ = ops.history.record("readings", seconds=0.5)
    >>> trends = ops.history.show("worker.*", since="1h", folder="readings")
    >>> sorted(trends.table["queue"])
    ['worker.1.executions', 'worker.2.executions']
    """
    if of not in get_args(Of):
        raise ConfigError(f"no history of {of!r}; there is one of {', '.join(get_args(Of))}")
    return read(recorded(settings, folder, cluster), period(since, until), of, pattern, worker)


def read(
    source: Recorded, span: Period, of: str = "queues", pattern: str | None = None, worker: str | None = None
) -> History:
    """The history of a period; raises `ConfigError` for a worker that is not in it."""
    readings = source.readings(span)
    only: dict[str, Collection[Any]] = {}
    if worker is not None:
        only["worker_id"] = worker_ids(source, span, worker)
    is_name = pattern is not None and not set(pattern) & set("*?[]/")
    if is_name:
        only["name"] = (pattern,)
    rows = source.rows(span, of.removesuffix("s"), SAMPLES.get(of, SAMPLES["queues"]), **only)
    if pattern is not None and not is_name:
        match = matcher(pattern)
        names = [n for n in pc.unique(rows["name"]).to_pylist() if n is not None and match(n)]
        rows = rows.filter(pc.is_in(rows["name"], value_set=pa.array(names, pa.string())))
    key = "worker_id" if of == "workers" else "name"
    rows = rows.sort_by([(key, "ascending"), ("time", "ascending")]).combine_chunks()
    return History(source.cluster, source.vhost, span, of, readings, rows, source.notes)


def worker_ids(source: Recorded, span: Period, worker: str) -> list[int]:
    """The ids of the worker of this name, or the id itself; raises `ConfigError` where there is none."""
    ids = list[int]()
    for part in (source.sampled, source):
        if not ids:
            ids = pc.unique(part.rows(span, "worker", ("worker_id",), name=(worker,))["worker_id"]).to_pylist()
    if not ids and worker.isdecimal():
        ids = [int(worker)]
    if not ids:
        raise ConfigError(f"no worker {worker!r} is recorded in this period")
    return ids


def _last(column: Any) -> Any:
    """The value in the last reading; an earlier one is no answer where it is unknown, or a limit was removed."""
    return column[-1].as_py()
