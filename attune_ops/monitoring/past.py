"""What the queues held over time, as `attune-ops watch` has recorded it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from itertools import groupby
from typing import Any

import msgspec

from attune_ops.model import display
from attune_ops.model.table import Cell, Column, Kind, Table

SAMPLES = (
    Column("time", Kind.TIME, doc="when it was read"),
    Column("queue", doc="the queue's name"),
    Column("messages", Kind.INTEGER, "messages", "ready and unacknowledged together"),
    Column("unacked", Kind.INTEGER, "messages", "delivered and not yet acknowledged"),
    Column("consumers", Kind.INTEGER, "consumers", "attached consumers"),
    Column("publish_rate", Kind.NUMBER, "messages/s", "in, as the broker averages it"),
    Column("deliver_rate", Kind.NUMBER, "messages/s", "out, likewise"),
)

TRENDS = (
    Column("queue", doc="the queue's name"),
    Column("first", Kind.INTEGER, "messages", "in the first sample", 3),
    Column("last", Kind.INTEGER, "messages", "in the last sample"),
    Column("most", Kind.INTEGER, "messages", "in any sample"),
    Column("growth", Kind.NUMBER, "messages/h", "from the first sample to the last"),
    Column("in", Kind.NUMBER, "messages/s", "mean of the samples", 2),
    Column("out", Kind.NUMBER, "messages/s", "mean of the samples", 2),
    Column("samples", Kind.INTEGER, "samples", "in which it was there", 4),
    Column("over", Kind.AGE, "s", "from its first sample to its last", 4),
)


class Sample(msgspec.Struct, frozen=True):
    """What one queue held at one time; None was not told."""

    time: datetime
    queue: str
    messages: int | None = None
    unacked: int | None = None
    consumers: int | None = None
    publish_rate: float | None = None
    deliver_rate: float | None = None


class Past(display.Shown, msgspec.Struct, frozen=True):
    """The samples of an installation in the order of their times; `vhost` is where."""

    vhost: str
    samples: tuple[Sample, ...]

    @property
    def table(self) -> Table:
        """The samples, a row each."""
        rows = tuple(msgspec.structs.astuple(s) for s in self.samples)
        return Table("samples", SAMPLES, rows, self._until, key=("queue",))

    @property
    def trends(self) -> Table:
        """How each queue went, the one that grows fastest first."""
        by_queue = groupby(sorted(self.samples, key=lambda s: (s.queue, s.time)), key=lambda s: s.queue)
        rows = tuple(_trend(queue, list(samples)) for queue, samples in by_queue)
        times = len({s.time for s in self.samples})
        note = f"{times} samples of virtual host {self.vhost}; attune-ops watch takes more"
        return Table("trends", TRENDS, rows, self._until, (note,), ("queue",)).sorted("-growth")

    def chart(self) -> Any:
        """The depths over time as an altair chart. Needs `attune-ops[notebook]`."""
        return display.form(self, "chart")

    @property
    def _until(self) -> datetime | None:
        return self.samples[-1].time if self.samples else None


def _trend(queue: str, samples: list[Sample]) -> tuple[Cell, ...]:
    told = [s for s in samples if s.messages is not None]
    depths = [s.messages for s in samples if s.messages is not None]
    span = told[-1].time - told[0].time if told else None
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
    told = [r for r in rates if r is not None]
    return sum(told) / len(told) if told else None
