"""The worker registry as Attune keeps it: workers, executions, and when a heartbeat is too old."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

HEARTBEAT_INTERVAL = timedelta(seconds=30)
STALE_AFTER_INTERVALS = 3


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


class Worker(msgspec.Struct, frozen=True, omit_defaults=True):
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
        return self.role in (None, WorkerRole.ACTION, WorkerRole.HYBRID)

    @property
    def is_registered_live(self) -> bool:
        """Whether its status is active or busy (its heartbeat may be stale)."""
        return self.status in (WorkerStatus.ACTIVE, WorkerStatus.BUSY)

    def heartbeat_age(self, at: datetime) -> timedelta | None:
        """The age of the last heartbeat at that time; None without one."""
        return None if self.last_heartbeat is None else at - self.last_heartbeat

    def is_stale(self, at: datetime, interval: timedelta = HEARTBEAT_INTERVAL) -> bool:
        """Whether the heartbeat is older than three intervals at that time, or missing."""
        age = self.heartbeat_age(at)
        return age is None or age > STALE_AFTER_INTERVALS * interval


class Execution(msgspec.Struct, frozen=True, omit_defaults=True):
    """A row of the `execution` table that has not ended."""

    id: int
    action_ref: str
    status: str
    worker: int | None = None
    created: datetime | None = None
    updated: datetime | None = None
    started_at: datetime | None = None


class RegistryView(msgspec.Struct, frozen=True, omit_defaults=True):
    """The registry at one time; `executions` is None where the table is missing or was not read.

    `kind` is postgresql or sqlite. `notes` name missing and unknown columns.
    `heartbeat_interval` is in seconds.
    """

    kind: str
    workers: tuple[Worker, ...]
    executions: tuple[Execution, ...] | None = None
    notes: tuple[str, ...] = ()
    heartbeat_interval: float = HEARTBEAT_INTERVAL.total_seconds()

    @property
    def interval(self) -> timedelta:
        """The heartbeat interval as a timedelta."""
        return timedelta(seconds=self.heartbeat_interval)
