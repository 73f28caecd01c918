"""The worker registry as Attune keeps it: workers, executions, and when a heartbeat is too old."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

STALE_AFTER = timedelta(seconds=90)  # Attune's own constant, whatever the heartbeat interval
START_LASTS = timedelta(minutes=10)  # a worker syncs packs and builds environments before its first heartbeat
ONE_WRITE = timedelta(seconds=5)  # a registration writes all its times in one statement


class WorkerStatus(StrEnum):
    """`worker_status_enum` of Attune's schema."""

    ACTIVE = "active"
    INACTIVE = "inactive"
    BUSY = "busy"
    ERROR = "error"


class WorkerRole(StrEnum):
    """`worker_role_enum`; only action and hybrid workers have queues."""

    ACTION = "action"
    SENSOR = "sensor"
    HYBRID = "hybrid"


# Asked for every worker by several checks: an enumeration's member takes longer to look up than to compare.
_TAKING_EXECUTIONS = frozenset((None, WorkerRole.ACTION.value, WorkerRole.HYBRID.value))
_RUNNING = frozenset((WorkerStatus.ACTIVE.value, WorkerStatus.BUSY.value))


class Worker(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A row of the `worker` table; None where an older release has no such column."""

    id: int
    name: str
    status: str = WorkerStatus.ACTIVE
    role: str | None = None
    type: str | None = None
    host: str | None = None
    port: int | None = None
    last_heartbeat: datetime | None = None
    cordoned: bool | None = None
    cordon_reason: str | None = None
    concurrency: int | None = None
    created: datetime | None = None
    updated: datetime | None = None

    @property
    def has_queues(self) -> bool:
        """Whether this worker takes executions; a row without a role is of a release with only such workers."""
        return self.role in _TAKING_EXECUTIONS

    @property
    def is_registered_live(self) -> bool:
        """Whether its status is active or busy (its heartbeat may be stale)."""
        return self.status in _RUNNING

    def heartbeat_age(self, at: datetime) -> timedelta | None:
        """The age of the last heartbeat at that time; None without one."""
        return None if self.last_heartbeat is None else at - self.last_heartbeat

    def is_stale(self, at: datetime, after: timedelta = STALE_AFTER) -> bool:
        """Whether the heartbeat is older than `after` at that time, or missing."""
        return self.last_heartbeat is None or at - self.last_heartbeat > after

    @property
    def crashed(self) -> bool | None:
        """Whether an inactive worker crashed (True) or stopped cleanly (False); None where that is unknown.

        A clean stop sets the status at once. After a crash the executor does, when the heartbeat is 90 s old.
        """
        if self.status != WorkerStatus.INACTIVE or self.updated is None or self.last_heartbeat is None:
            return None
        return None if self.updated < self.last_heartbeat else self.updated - self.last_heartbeat >= STALE_AFTER

    @property
    def beat_last(self) -> bool:
        """Whether a heartbeat, not a clean stop, can be its last change; so it is where `updated` is unknown.

        A heartbeat also sets `updated`, by a trigger. A clean stop sets `updated` later than the last heartbeat.
        """
        if self.updated is None or self.last_heartbeat is None:
            return self.last_heartbeat is not None
        return self.updated - self.last_heartbeat <= ONE_WRITE

    def is_beating(self, at: datetime, after: timedelta = STALE_AFTER) -> bool:
        """Whether it sends heartbeats although its status is not that of a running worker: it is alive."""
        if self.is_registered_live or self.last_heartbeat is None or self.is_stale(at, after):
            return False
        return self.status != WorkerStatus.INACTIVE or (self.updated is not None and self.last_heartbeat > self.updated)

    def can_be_starting(self, at: datetime, after: timedelta = STALE_AFTER) -> bool:
        """Whether its row is as a start of the last 10 minutes leaves it: registered, no heartbeat after that.

        Registration is the first heartbeat; the next one is sent when the worker consumes. Until then the heartbeat
        can get stale, and the executor can set the worker inactive, as after a crash.
        """
        if not self.has_queues or not (self.status == WorkerStatus.ACTIVE or self.crashed):
            return False
        since = self.last_heartbeat or self.created
        if since is None or at - since >= START_LASTS:
            return False
        if self.last_heartbeat is None or self.is_stale(at, after):
            return True
        return self.created is not None and self.last_heartbeat - self.created <= ONE_WRITE


class Execution(msgspec.Struct, frozen=True, omit_defaults=True):
    """A row of the `execution` table that has not ended; `parked`: a concurrency policy holds it back."""

    id: int
    action_ref: str
    status: str
    worker: int | None = None
    created: datetime | None = None
    updated: datetime | None = None
    started_at: datetime | None = None
    parked: bool = False


class RegistryView(msgspec.Struct, frozen=True, omit_defaults=True):
    """The registry at one time; `executions` is None where the table is missing or was not read.

    `kind` is postgresql or sqlite. `notes` name missing and unknown columns. A heartbeat is stale after `stale_after`
    seconds. `assigned`: executions name their worker. `parking_known`: executions that are parked are marked so.
    `unreadable` says why executions, or columns of them, could not be read, with the GRANT where one lacks.
    `read_failed`: the query for the executions failed (a time-out, a lost connection).
    """

    kind: str
    workers: tuple[Worker, ...]
    executions: tuple[Execution, ...] | None = None
    notes: tuple[str, ...] = ()
    stale_after: float = STALE_AFTER.total_seconds()
    assigned: bool = True
    parking_known: bool = True
    unreadable: str = ""
    read_failed: bool = False

    @property
    def limit(self) -> timedelta:
        """`stale_after` as a timedelta."""
        return timedelta(seconds=self.stale_after)
