"""Reading the history: which cluster and period, the rows of it, and its gaps."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import msgspec

from attune_ops.installation.collect import collect
from attune_ops.installation.config import Settings
from attune_ops.model.errors import ConfigError, SourceError
from attune_ops.model.facts import Source
from attune_ops.model.files import shown
from attune_ops.model.units import counted, listed, seconds
from attune_ops.monitoring.arrow import pa, pc
from attune_ops.monitoring.history_files import Day, Folder
from attune_ops.monitoring.history_scan import Wanted, lost_files, scan
from attune_ops.monitoring.recorder import NAMELESS

NOBODY = "nothing was recorded"
LATE, GRACE_S = 2.5, 5.0  # intervals, s: a reading that comes later than both together ends a gap


class Period(NamedTuple):
    """From `since` up to `until`, both included."""

    since: datetime
    until: datetime


class Gap(msgspec.Struct, frozen=True):
    """A time without a successful reading, and why; `until` is None where it has not ended in the period."""

    since: datetime
    until: datetime | None
    reason: str


class Recorded(NamedTuple):
    """The files of one cluster and virtual host, and notes for people on how they were chosen."""

    folder: Folder
    cluster: str
    vhost: str
    days: tuple[Day, ...]
    notes: tuple[str, ...]

    def rows(self, period: Period, kind: str, columns: Iterable[str], **only: Collection[Any]) -> Any:
        """The rows of a kind in a period with these columns; `only` gives the values that a column may have."""
        files = [f for d in self.days if period.since.date() <= d.day <= period.until.date() for f in d.files]
        return scan(self.folder, files, Wanted(period.since, period.until, kind, only), tuple(columns))

    @property
    def sampled(self) -> Recorded:
        """The first and the last file of each day: what lasts for a day is in one of them."""
        return self._replace(days=tuple(d._replace(files=tuple({d.files[0], d.files[-1]})) for d in self.days))

    def readings(self, period: Period) -> Readings:
        """The readings of a period, and the gaps between them."""
        rows = self.rows(period, "reading", ("time", "state", "reason", "interval_s")).sort_by("time")
        return Readings.of(rows, period)


class Readings(NamedTuple):
    """The times of the readings that succeeded, in microseconds, and the gaps between them.

    `whole` are those of them with consumers and registry; `lacks` says why the last of the others is not. `lost` names
    the files that could not be read: their readings are missing.
    """

    times: tuple[int, ...]
    whole: tuple[int, ...]
    gaps: tuple[Gap, ...]
    lacks: str | None = None
    lost: tuple[str, ...] = ()

    @classmethod
    def of(cls, rows: Any, period: Period) -> Readings:
        """The readings and gaps of the rows of kind `reading` in a period, which are in the order of their times.

        A gap that begins before the first successful reading is known from the first one that failed; where none is
        recorded at all, it is the whole period.
        """
        good = rows.filter(pc.not_equal(rows["state"], "failed"))
        whole = good.filter(pc.equal(good["state"], "ok"))
        lacks = next(iter(pc.drop_null(good["reason"])[-1:].to_pylist()), None)
        bad = rows.filter(pc.equal(rows["state"], "failed"))
        reasons = dict(zip(micros(bad["time"]), bad["reason"].to_pylist(), strict=True))
        times = micros(good["time"])
        due = pc.add(pc.multiply(pc.fill_null(good["interval_s"], 0.0), 1e6 * LATE), 1e6 * GRACE_S)
        nexts = pa.array([*times[1:], *([_micros(period.until)] if times else [])], pa.int64())
        between = pc.subtract(nexts, pa.array(times, pa.int64()))
        late = dict.fromkeys(pc.indices_nonzero(pc.greater(between, due)).to_pylist(), NOBODY)
        failed = {bisect_right(times, t) - 1: reasons[t] or NOBODY for t in sorted(reasons)}
        begin = moment_of(min(reasons)) if reasons else period.since  # of what began before the first good reading
        if not rows.num_rows:
            failed = {-1: NOBODY}
        gaps = [
            Gap(moment_of(times[i]) if i >= 0 else begin, moment_of(times[i + 1]) if i + 1 < len(times) else None, why)
            for i, why in sorted((late | failed).items())
        ]
        return cls(tuple(times), tuple(micros(whole["time"])), tuple(gaps), lacks, lost_files(rows))


def recorded(settings: Settings, folder: str | None = None, cluster: str | None = None) -> Recorded:
    """What is recorded of the installation's cluster and virtual host.

    Without `cluster`, the broker is asked for its name; where it does not answer, the only cluster that is recorded is
    taken. Raises `ConfigError` where nothing is recorded, `SourceError` where the cluster is unknown.
    """
    there = Folder(folder)
    days = [d for d in there.days() if d.files]
    notes = [n for n in (there.old_file,) if n]
    foreign = sum(d.foreign for d in days)
    if foreign:
        notes.append(f"{counted(foreign, 'file')} in {there.name} that this tool did not write: not read")
    if not days:
        old = f"; {notes[0]}" if notes else ""
        raise ConfigError(f"{there.name}: nothing is recorded yet: attune-ops history record{old}")
    clusters = sorted({d.cluster for d in days if d.vhost == settings.vhost})
    if cluster is None:
        facts = collect(settings, (Source.MANAGEMENT,), listings=())
        reason = facts.missing_reason((Source.MANAGEMENT,)) if facts.broker is None else None
        if facts.broker is not None:
            cluster = facts.broker.cluster or NAMELESS
        elif len(clusters) == 1:
            cluster = clusters[0]
            notes.append(f"the broker does not tell its cluster's name ({reason}): the only recorded one is shown")
        else:
            raise SourceError(f"{reason}; to read without the broker, add --cluster: {listed(clusters) or 'none'}")
    mine = tuple(d for d in days if (d.cluster, d.vhost) == (cluster, settings.vhost))
    if not mine:
        others = listed(sorted({f"{shown(d.cluster)} {shown(d.vhost)}" for d in days}))
        what = f"cluster {shown(cluster)}, virtual host {shown(settings.vhost)}"
        raise ConfigError(f"{there.name}: nothing is recorded of {what}; recorded are {others}")
    return Recorded(there, cluster, settings.vhost, mine, tuple(notes))


def period(since: str, until: str = "now", now: datetime | None = None) -> Period:
    """The period between two times: `now`, a duration ago (`24h`, `30d`), or a date or time of RFC 3339 in UTC.

    Raises `ConfigError`.
    """
    now = now or datetime.now(UTC)
    made = Period(_moment(since, now), _moment(until, now))
    if made.since >= made.until:
        raise ConfigError(f"the period from {since!r} to {until!r} is empty")
    return made


def _moment(text: str, now: datetime) -> datetime:
    if text == "now":
        return now
    ago = seconds(text)
    try:
        if ago is not None:
            return now - timedelta(seconds=ago)
        made = datetime.fromisoformat(text)
        return made.replace(tzinfo=UTC) if made.tzinfo is None else made.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ConfigError(
            f"{text!r} is not a time; use for example 24h or 30d (ago), 2026-11-28, 2026-11-28T12:00Z, now"
        ) from None


def moment_of(micros: int) -> datetime:
    """The time of a number of microseconds after 1970."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)


def _micros(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def micros(column: Any) -> list[int]:
    """Times as microseconds after 1970."""
    return pc.cast(column, pa.int64()).to_pylist()  # type: ignore[no-any-return]
