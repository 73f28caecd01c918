"""The outcome of a health check, and what collects it; light to load."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

import msgspec

from attune_ops.model import units
from attune_ops.model.display import Shown
from attune_ops.model.passive import MANAGEMENT_API, PASSIVE_DECLARE
from attune_ops.model.registry import Worker, WorkerStatus

SCHEMA: Final = "attune-ops/health/1"
Kind = Literal["worker", "broker", "route"]


class Health(Shown, msgspec.Struct, frozen=True):
    """The outcome of one check: `reasons` against health (none if healthy), and `seen`, what was found in order.

    `origin` is where the queues were read: the management API, or passive declares over AMQP, which do not tell
    everything: `skipped` is what was not checked, with the reason.
    """

    kind: Kind
    name: str
    reasons: tuple[str, ...]
    seen: tuple[str, ...]
    taken_at: datetime
    duration_ms: float
    origin: str = MANAGEMENT_API
    skipped: tuple[str, ...] = ()

    @property
    def healthy(self) -> bool:
        """Whether there is no reason against it."""
        return not self.reasons

    @property
    def line(self) -> str:
        """The whole result in one line."""
        details = "; ".join([*(self.reasons or self.seen), *self.skipped])
        return f"{'healthy' if self.healthy else 'not healthy'}: {self.kind} {self.name}: {details}"


class HealthCheck:
    """Collects the observations of one check."""

    def __init__(self, kind: Kind, name: str) -> None:
        self._kind, self.name = kind, name
        self._reasons: list[str] = []
        self._seen: list[str] = []
        self._started = time.perf_counter()
        self.origin = MANAGEMENT_API
        self._skipped: list[str] = []

    def skip(self, what: str, reason: str, origin: str = PASSIVE_DECLARE) -> None:
        """Records what was not checked, and how the rest was read."""
        self.origin = origin
        self._skipped.append(f"not checked: {what} ({reason})")

    def expect(self, good: bool, seen: str, reason: str) -> None:
        """Records what was seen if it is good, else the reason against health."""
        (self._seen if good else self._reasons).append(seen if good else reason)

    def health(self) -> Health:
        """The outcome."""
        spent = (time.perf_counter() - self._started) * 1000
        return Health(
            self._kind, self.name, tuple(self._reasons), tuple(self._seen), datetime.now(UTC), spent, self.origin,
            tuple(self._skipped),
        )  # fmt: skip


def starting(check: HealthCheck, worker: Worker, now: datetime) -> None:
    """Records that the worker may be starting."""
    check.expect(False, "", f"starting: its queues exist, no consumer yet; heartbeat {_ago(worker, now)}")


def heartbeat(check: HealthCheck, worker: Worker, limit: timedelta, now: datetime, *, consumes: bool = False) -> None:
    """Records the worker's status and heartbeat, as registered.

    `consumes`: its process is alive, and no heartbeat sets it active again (`Topology.sets_active`).
    """
    ago, is_stale = _ago(worker, now), worker.is_stale(now, limit)
    inactive = worker.status == WorkerStatus.INACTIVE
    if consumes and inactive and worker.beat_last and not is_stale:  # see `ownership.is_wrongly_inactive`
        reason = (
            f"status is inactive, but it consumes and sends heartbeats (last {ago}): it gets no work while inactive"
        )
        check.expect(False, "", reason)
        return
    if not worker.is_registered_live:
        stopped = {True: " (crashed: its heartbeat stopped)", False: " (stopped cleanly)", None: ""}[worker.crashed]
        check.expect(False, "", f"status is {worker.status}{stopped}, last heartbeat {ago}")
        return
    late = f" (stale: more than {limit.total_seconds():g} s)" if worker.last_heartbeat else ""
    check.expect(not is_stale, f"heartbeat {ago}", f"heartbeat {ago}{late}")
    if worker.cordoned:
        check.expect(True, "cordoned: it receives no new work", "")


def _ago(worker: Worker, now: datetime) -> str:
    age = worker.heartbeat_age(now)
    return "never sent" if age is None else f"{units.age(timedelta(seconds=max(0, round(age.total_seconds()))))} ago"
