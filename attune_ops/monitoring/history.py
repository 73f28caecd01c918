"""The recorded history of the queues: samples in a small SQLite file for each broker and virtual host."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any

import msgspec

from attune_ops.installation.collect import collect
from attune_ops.installation.config import Settings
from attune_ops.model import deadline, display
from attune_ops.model.errors import ActionError, ConfigError
from attune_ops.model.facts import Facts, Source
from attune_ops.model.files import make_private, state_folder
from attune_ops.model.ownership import require
from attune_ops.model.table import Cell, Column, Kind, Table

SOURCES = (Source.BROKER, Source.DEPTHS)
KEPT = timedelta(days=30)
LEAST_INTERVAL_S = 0.5
LONGEST_S = 366 * 86400.0

_TABLES = """
create table if not exists sample (
    time real not null, queue text not null, messages integer, unacked integer, consumers integer,
    publish_rate real, deliver_rate real
);
create index if not exists sample_time on sample (time);
"""


SAMPLES = (
    Column("time", Kind.TIME, doc="time of the reading"),
    Column("queue", doc="the queue's name"),
    Column("messages", Kind.INTEGER, "messages", "ready and unacknowledged together"),
    Column("unacked", Kind.INTEGER, "messages", "delivered and not yet acknowledged"),
    Column("consumers", Kind.INTEGER, "consumers", "attached consumers"),
    Column("publish_rate", Kind.NUMBER, "messages/s", "published per second, as the broker averages it"),
    Column("deliver_rate", Kind.NUMBER, "messages/s", "delivered per second, as the broker averages it"),
)

TRENDS = (
    Column("queue", doc="the queue's name"),
    Column("first", Kind.INTEGER, "messages", "in the first sample", 3),
    Column("last", Kind.INTEGER, "messages", "in the last sample"),
    Column("most", Kind.INTEGER, "messages", "in any sample"),
    Column("growth", Kind.NUMBER, "messages/h", "from the first sample to the last"),
    Column("in", Kind.NUMBER, "messages/s", "mean publish rate of the samples", 2),
    Column("out", Kind.NUMBER, "messages/s", "mean deliver rate of the samples", 2),
    Column("samples", Kind.INTEGER, "samples", "samples with this queue", 4),
    Column("over", Kind.AGE, "s", "from the first sample to the last", 4),
)


class Sample(msgspec.Struct, frozen=True):
    """The state of one queue at one time; None is unknown."""

    time: datetime
    queue: str
    messages: int | None = None
    unacked: int | None = None
    consumers: int | None = None
    publish_rate: float | None = None
    deliver_rate: float | None = None


class History(display.Shown, msgspec.Struct, frozen=True):
    """The samples of the queues of one virtual host, in the order of their times."""

    vhost: str
    samples: tuple[Sample, ...]

    @property
    def table(self) -> Table:
        """The samples, a row each."""
        rows = tuple(msgspec.structs.astuple(s) for s in self.samples)
        return Table("samples", SAMPLES, rows, self._until, key=("queue",))

    @property
    def trends(self) -> Table:
        """The trend of each queue, fastest growth first."""
        by_queue = groupby(sorted(self.samples, key=lambda s: (s.queue, s.time)), key=lambda s: s.queue)
        rows = tuple(_trend(queue, list(samples)) for queue, samples in by_queue)
        times = len({s.time for s in self.samples})
        note = f"{times} samples of virtual host {self.vhost}; record more with attune-ops watch"
        return Table("trends", TRENDS, rows, self._until, (note,), ("queue",)).sorted("-growth")

    def chart(self) -> Any:
        """The depths over time as an altair chart. Needs `attune-ops[notebook]`."""
        return display.form(self, "chart")

    @property
    def _until(self) -> datetime | None:
        return self.samples[-1].time if self.samples else None


def file(settings: Settings) -> Path:
    """The file with the samples of an installation; delete it to discard them."""
    return state_folder("history", f"{settings.amqp.file_name}.sqlite")


def record(settings: Settings, facts: Facts) -> int:
    """Records a sample of every queue and deletes samples older than 30 days; returns the number of queues.

    Writes this tool's own file, nothing on the installation. Raises `SourceError` if the broker could not be read.
    """
    require(facts, *SOURCES)
    taken = facts.taken_at.timestamp()
    rows = [
        (taken, q.name, q.messages, q.messages_unacknowledged, q.consumers, q.publish_rate, q.deliver_rate)
        for q in facts.actual.queue_named.values()
    ]
    with _open(settings) as database:
        database.executemany("insert into sample values (?, ?, ?, ?, ?, ?, ?)", rows)
        database.execute("delete from sample where time < ?", (taken - KEPT.total_seconds(),))
    return len(rows)


def read(settings: Settings, since: timedelta = KEPT) -> History:
    """Reads the samples of the last `since` from this tool's own file. Sends no request, changes nothing."""
    after = datetime.now(UTC).timestamp() - since.total_seconds()
    with _open(settings) as database:
        rows = database.execute("select * from sample where time >= ? order by time, queue", (after,)).fetchall()
    samples = tuple(Sample(datetime.fromtimestamp(taken, UTC), *rest) for taken, *rest in rows)
    return History(settings.vhost, samples)


def watch(
    settings: Settings,
    *,
    interval: float = 10.0,
    seconds: float | None = None,
    on_progress: Callable[[Facts], None] = lambda facts: None,
) -> int:
    """Records the queues every `interval` s, for `seconds` or until interrupted; returns the number of samples.

    Reads the broker, needs tag monitoring; writes this tool's own file, nothing on the installation. `on_progress` gets
    the facts of each sample. Raises `SourceError` if the first read fails; later it retries. Raises `ConfigError` for
    an interval below 0.5 s: the broker would do nothing else.
    """
    if not (LEAST_INTERVAL_S <= interval <= LONGEST_S and (seconds is None or 0 <= seconds <= LONGEST_S)):
        raise ConfigError(f"the interval is {LEAST_INTERVAL_S:g} s or more, and no time is longer than a year")
    started, samples = time.monotonic(), 0
    while True:
        facts = collect(settings, SOURCES)
        if samples == 0 or facts.missing_reason(SOURCES) is None:
            record(settings, facts)
        on_progress(facts)
        samples += 1
        left = None if seconds is None else started + seconds - time.monotonic()
        if left is not None and left <= 0:
            return samples
        time.sleep(max(0.0, interval if left is None else min(interval, left)))
        deadline.ended()  # each sample has the whole time


@contextmanager
def _open(settings: Settings) -> Iterator[sqlite3.Connection]:
    path = file(settings)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        make_private(path)  # SQLite itself would leave the mode to the umask
        with contextlib.closing(sqlite3.connect(path, timeout=10)) as database, database:
            database.executescript(_TABLES)
            yield database
    except (OSError, sqlite3.Error) as e:
        raise ActionError(f"the history {path} cannot be used: {e}; delete it to start a new one") from None


def _trend(queue: str, samples: list[Sample]) -> tuple[Cell, ...]:
    known = [s for s in samples if s.messages is not None]
    depths = [s.messages for s in known if s.messages is not None]
    span = known[-1].time - known[0].time if known else None
    hours = span.total_seconds() / 3600 if span else 0.0
    return (
        queue,
        depths[0] if depths else None,
        depths[-1] if depths else None,
        max(depths, default=None),
        (depths[-1] - depths[0]) / hours if hours else None,
        _mean(s.publish_rate for s in samples),
        _mean(s.deliver_rate for s in samples),
        len(samples),
        span,
    )


def _mean(rates: Iterable[float | None]) -> float | None:
    known = [r for r in rates if r is not None]
    return sum(known) / len(known) if known else None
