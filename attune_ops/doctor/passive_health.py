"""A worker's health without the management API: what passive declares over AMQP tell of its queues."""

from __future__ import annotations

from datetime import datetime, timedelta

from attune_ops.doctor.health_check import HealthCheck, heartbeat, starting
from attune_ops.installation.amqp import short_connection
from attune_ops.installation.config.settings import Settings
from attune_ops.installation.passive import PassiveReader, recognised_by_names
from attune_ops.model.errors import ActionError, SourceError
from attune_ops.model.registry import Worker
from attune_ops.model.snapshot import QueueState
from attune_ops.model.topology import Topology
from attune_ops.model.units import counted

UNSEEN = "consumer tags, stuck consumers"


def by_passive_declare(
    check: HealthCheck,
    settings: Settings,
    worker: Worker,
    now: datetime,
    unread: SourceError,
    topology: Topology | None = None,
) -> None:
    """Records which of the worker's queues exist and have as many consumers as expected; changes nothing.

    Without a `topology`, of the management API, it is recognised by names, and the bindings are not checked.
    `unread` is what the management API answered: it says why the rest is not checked. Raises it again where AMQP does
    not answer, and `SourceError` where the broker refuses to report on a queue.
    """
    try:
        with short_connection(settings, "health") as connection:
            reader = PassiveReader(connection, settings)
            unseen = UNSEEN if topology else f"bindings, {UNSEEN}"
            topology = topology or recognised_by_names(reader, settings) or settings.topology
            queues = {q.name: reader.queue(q.name) for q in topology.worker_queues(worker.id)}
    except SourceError:
        raise unread from None
    except ActionError as e:
        raise SourceError(f"{unread}; over AMQP: {e}") from None
    limit = timedelta(seconds=settings.stale_after)
    if worker.can_be_starting(now, limit) and all(q and q.consumers == 0 for q in queues.values()):
        starting(check, worker, now)
    else:
        consumes = any(q and q.consumers for q in queues.values())
        heartbeat(check, worker, limit, now, consumes=consumes and not topology.sets_active)
        _queues(check, topology, worker.id, queues)
    check.skip(unseen, str(unread))


def _queues(check: HealthCheck, topology: Topology, worker_id: int, queues: dict[str, QueueState | None]) -> None:
    consumers = [c.queue for c in topology.worker_consumers(worker_id)]
    for name, queue in queues.items():
        if queue is None:
            check.expect(False, "", f"queue {name} is missing (passive declare)")
            continue
        if queue.consumers is None:
            raise SourceError(f"queue {name} is exclusive: its consumers cannot be counted")
        there, wanted = counted(queue.consumers, "consumer"), consumers.count(name)
        ready = f"{queue.messages_ready or 0:,} ready"
        check.expect(
            queue.consumers == wanted,
            f"{name} has {there}, {ready} (passive declare)",
            f"{name} has {there} instead of {wanted}, {ready} (passive declare)",
        )
