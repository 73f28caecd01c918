"""The readings of `attune-ops watch`: one after another in one thread, and the depths of the last ones."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Literal, TypedDict

import msgspec

from attune_ops.doctor.diagnosis import diagnose_live
from attune_ops.doctor.findings import Report
from attune_ops.installation.collect import collect
from attune_ops.installation.config import Settings
from attune_ops.installation.management import SAMPLE_INTERVAL_S
from attune_ops.inventory.workers import workers
from attune_ops.model import deadline
from attune_ops.model.errors import AttuneOpsError
from attune_ops.model.facts import Facts, Source
from attune_ops.model.orphans import orphaned_queues
from attune_ops.model.ownership import check_registry
from attune_ops.model.secret import scrub

SCHEMA = "attune-ops/watch/1"
LINE_SOURCES = (Source.BROKER, Source.DEPTHS, Source.REGISTRY, Source.CONSUMERS)
POINTS = 240  # depths that are kept of one queue
MOST_POINTS = 400_000  # of all queues: the memory stays bounded however many there are


class Depths:
    """The depth of each queue in the last readings; a queue that is gone is forgotten, a gap is None."""

    def __init__(self) -> None:
        self._of: dict[str, deque[int | None]] = {}
        self._times: deque[datetime] = deque(maxlen=POINTS)

    def add(self, facts: Facts) -> None:
        """Adds a reading; one without the broker adds a gap."""
        self._times.append(facts.taken_at)
        known = facts.missing_reason((Source.BROKER, Source.DEPTHS)) is None
        now = {q.name: q.messages for q in facts.actual.queue_named.values()} if known else dict.fromkeys(self._of)
        points = max(8, min(POINTS, MOST_POINTS // max(1, len(now))))
        kept: dict[str, deque[int | None]] = {}
        for name, depth in now.items():
            values = kept[name] = self._of.get(name) or deque()
            values.append(depth)
            while len(values) > points:
                values.popleft()
        self._of = kept

    def of(self, *queues: str) -> list[int | None]:
        """The depths of these queues together, oldest first; None where none of them is known."""
        found = [list(self._of[q]) for q in queues if q in self._of]
        longest = max(map(len, found), default=0)
        gaps: list[list[int | None]] = [[None] * (longest - len(values)) for values in found]
        sums: list[int | None] = []
        for at in zip(*(gap + values for gap, values in zip(gaps, found, strict=True)), strict=True):
            known = [v for v in at if v is not None]
            sums.append(sum(known) if known else None)
        return sums

    def since(self, count: int) -> datetime | None:
        """When the oldest one of the last `count` readings was taken."""
        times = list(self._times)[-count:]
        return times[0] if times else None


class Reading(msgspec.Struct, frozen=True):
    """One reading: the last report of a broker that answered, and why this one has none.

    `away` is the reason why the broker or its counts could not be read now; `away_since` is when that began.
    """

    report: Report | None
    taken_at: datetime
    duration: float
    away: str | None = None
    away_since: datetime | None = None

    @property
    def unseen(self) -> bool:
        """Whether it did not see all that the doctor has to see: its verdict would be `unknown`, or worse."""
        return self.away is not None or self.report is None or bool(self.report.unread)

    @property
    def age(self) -> float:
        """The age of the values in s: of the last report."""
        return (datetime.now(UTC) - self.report.facts.taken_at).total_seconds() if self.report else 0.0


class Reader:
    """Reads an installation every `interval` s in one thread, and hands each reading to `on_reading` in it."""

    def __init__(self, settings: Settings, interval: float, on_reading: Callable[[Reading], None]) -> None:
        self._settings, self.interval, self._on_reading = settings, interval, on_reading
        self.depths = Depths()
        self.paused = False
        self._end = threading.Event()
        self._since: float | None = None  # monotonic, of the reading that is under way
        self._wake = threading.Event()
        self._last: Reading | None = None
        self._thread = threading.Thread(target=self._run, name="attune-ops watch", daemon=True)

    @property
    def busy(self) -> float:
        """For how many s the reading under way has lasted; 0 where there is none."""
        since = self._since
        return 0.0 if since is None else time.monotonic() - since

    def start(self) -> None:
        """Starts to read."""
        self._thread.start()

    def stop(self) -> None:
        """Starts no further reading; one that is under way ends with the process."""
        self._end.set()
        self._wake.set()

    def now(self) -> None:
        """Reads as soon as the reading under way has ended, also while paused."""
        self._wake.set()

    def _run(self) -> None:
        with deadline.whole_command(None):  # each wait has its own timeout
            while not self._end.is_set():
                self._wake.clear()
                self._since = time.monotonic()
                reading = self._read()
                left, self._since = self._since + self.interval - time.monotonic(), None
                if self._end.is_set():
                    return
                self._on_reading(reading)
                self._wake.wait(max(0.1, left))
                while self.paused and not self._wake.is_set():
                    self._wake.wait(0.2)

    def _read(self) -> Reading:
        began, at = time.monotonic(), datetime.now(UTC)
        last, report = self._last, None
        try:
            earlier = last.report.facts if last is not None and last.report is not None else None
            fresh = earlier is not None and (at - earlier.taken_at).total_seconds() >= SAMPLE_INTERVAL_S
            first = earlier.broker if earlier is not None and fresh else None
            facts = collect(self._settings, earlier=first, skip_worker_statistics=True, confirm=True)
            self.depths.add(facts)
            at, away = facts.taken_at, facts.missing_reason((Source.BROKER, Source.DEPTHS))
            if away is None or last is None or last.report is None:
                report = diagnose_live(self._settings, facts=facts)
        except AttuneOpsError as e:
            away = str(e)
        except Exception as e:  # noqa: BLE001 - the next reading may succeed
            away = f"unexpected {type(e).__name__}: {e} (a bug)"
        since = None if away is None else (last.away_since if last is not None and last.away_since else at)
        away = None if away is None else " ".join(scrub(away, self._settings.secrets).split())
        kept = report or (last.report if last is not None else None)
        self._last = Reading(kept, at, time.monotonic() - began, away, since)
        return self._last


def orphans_known(facts: Facts) -> str | None:
    """Why orphaned queues are unknown, or None: without the registry of this broker, all would seem orphaned."""
    missing = facts.missing_reason((Source.BROKER, Source.REGISTRY))
    if missing is not None:
        return missing
    try:
        check_registry(facts)
    except AttuneOpsError as e:
        return str(e)
    return None


def numbers(facts: Facts) -> Mapping[str, int | None]:
    """The numbers of a reading in one line; None is unknown."""
    found: dict[str, int | None] = dict.fromkeys(
        ("queues", "messages", "ready", "unacknowledged", "workers", "workers_ready", "orphaned_queues")
    )
    if facts.missing_reason((Source.BROKER, Source.DEPTHS)) is None:
        queues = list(facts.actual.queue_named.values())
        found |= {
            "queues": len(queues),
            "messages": _sum(q.messages for q in queues),
            "ready": _sum(q.messages_ready for q in queues),
            "unacknowledged": _sum(q.messages_unacknowledged for q in queues),
        }
    if facts.missing_reason((Source.REGISTRY,)) is None:
        states = [r["state"] for r in facts.memo(workers).records()]
        registered = [s for s in states if s != "unregistered"]
        found["workers"] = len(registered)
        if facts.missing_reason((Source.BROKER,)) is None:
            found["workers_ready"] = None if None in registered else registered.count("ready")
    if orphans_known(facts) is None:
        found["orphaned_queues"] = sum(1 for _ in orphaned_queues(facts))
    return found


def _sum(values: Any) -> int | None:
    """The sum of what is known, None where nothing is; a young queue has no count yet."""
    given = list(values)
    known = [v for v in given if v is not None]
    return sum(known) if known or not given else None


class ReadingJson(TypedDict):
    """A line of `watch --json-lines`: null is unknown, and `reason` says why."""

    schema: Literal["attune-ops/watch/1"]
    taken_at: str
    vhost: str
    topology: str
    reason: str | None
    queues: int | None
    messages: int | None
    ready: int | None
    unacknowledged: int | None
    workers: int | None
    workers_ready: int | None
    orphaned_queues: int | None


JSON = ReadingJson


def as_json(facts: Facts, secrets: tuple[Any, ...]) -> dict[str, Any]:
    """`attune-ops/watch/1`: a reading as one object; null is unknown, `reason` says why."""
    reason = facts.missing_reason(LINE_SOURCES)
    return {
        "schema": SCHEMA,
        "taken_at": facts.taken_at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "vhost": facts.vhost,
        "topology": facts.topology.name,
        "reason": None if reason is None else scrub(reason, secrets),
        **numbers(facts),
    }
