"""Health of one worker: its row in the registry, its queues, their bindings and consumers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from attune_ops.doctor.health_check import Health, HealthCheck, heartbeat, starting
from attune_ops.installation import registry_read, registry_session
from attune_ops.installation.broker_release import recognised
from attune_ops.installation.config.settings import Settings
from attune_ops.installation.management import Management, open_management
from attune_ops.installation.management_types.objects import OneQueue
from attune_ops.model.errors import SourceError
from attune_ops.model.registry import Worker
from attune_ops.model.snapshot import UNAVAILABLE
from attune_ops.model.topology import Binding, Consumer, Topology


def check_worker(settings: Settings, id_or_name: str | None) -> Health:
    """Checks one worker once, this host's own for None; raises as `health.worker_health` does."""
    name = id_or_name or settings.own_worker
    check = HealthCheck("worker", name)
    worker = _registered(settings, name)
    if worker is None:
        hint = "" if id_or_name else "; this is the name of this host's worker: give an id or a name"
        check.expect(False, "", f"not registered (registry {settings.registry.shown}){hint}")
        return check.health()
    check.name = f"{worker.id} ({worker.name})"
    limit, now = timedelta(seconds=settings.stale_after), datetime.now(UTC)
    if not worker.has_queues:
        heartbeat(check, worker, limit, now)
        return check.health()
    with open_management(settings, light=True) as management:
        try:
            _by_management(check, management, settings, worker, now)
        except SourceError as e:
            from attune_ops.doctor.passive_health import by_passive_declare

            check = HealthCheck("worker", check.name)
            topology = e.topology if isinstance(e, NoConsumers) else None
            by_passive_declare(check, settings, worker, now, e, topology)
            if isinstance(e, NoConsumers):
                for queue in e.queues:
                    _bound(check, management, e.topology, worker.id, queue)
    return check.health()


class NoConsumers(SourceError):
    """The management API has no statistics: it knows these queues of the worker and their bindings, no consumers."""

    def __init__(self, settings: Settings, queues: list[str]) -> None:
        super().__init__(f"management API {settings.management} lists no consumers: its statistics are disabled")
        self.topology, self.queues = settings.topology, queues


def _by_management(
    check: HealthCheck, management: Management, settings: Settings, worker: Worker, now: datetime
) -> None:
    limit = timedelta(seconds=settings.stale_after)
    settings = recognised(settings, management)
    found = {q.name: management.queue(q.name) for q in settings.topology.worker_queues(worker.id)}
    there = [q for q in found.values() if q is not None]
    if any(q.consumer_details is None for q in there):
        raise NoConsumers(settings, [q.name for q in there])
    if worker.can_be_starting(now, limit) and all(q and q.consumer_details == [] for q in found.values()):
        starting(check, worker, now)
        return
    tags = {c.tag for c in settings.topology.worker_consumers(worker.id)}
    consumes = any(c.consumer_tag in tags for q in there for c in q.consumer_details or ())
    heartbeat(check, worker, limit, now, consumes=consumes and not settings.topology.sets_active)
    _queues(check, management, settings, worker.id, found)


def _registered(settings: Settings, id_or_name: str) -> Worker | None:
    with registry_session.session(settings.registry, settings.timeout) as session:
        return registry_read.read_worker(session, id_or_name)


def _queues(
    check: HealthCheck, management: Management, settings: Settings, worker_id: int, queues: dict[str, OneQueue | None]
) -> None:
    topology = settings.topology
    consumers = topology.worker_consumers(worker_id)
    for queue in topology.worker_queues(worker_id):
        found = queues[queue.name]
        if gone := _not_there(management, queue.name, found):
            check.expect(False, "", f"queue {queue.name} is {gone}")
        if found is None or gone:
            continue
        _bound(check, management, topology, worker_id, queue.name)
        tags = [c.consumer_tag for c in found.consumer_details or ()]
        wrong = _drift(tags, [c for c in consumers if c.queue == queue.name])
        check.expect(not wrong, f"consumer {', '.join(tags) or 'none, as expected'}", f"{queue.name} has {wrong}")
        if _is_at_prefetch(found):  # no reason against it: a long action looks the same, and a restart would end it
            check.expect(True, f"{queue.name}: busy or stuck, its consumer holds its whole prefetch", "")


def _not_there(management: Management, name: str, found: OneQueue | None) -> str | None:
    """Why a queue cannot be used, None where it can.

    While its node is down, a single queue is not found before 4.0. Since then it is found as running, without consumers
    and counts, as a queue without statistics yet is.
    """
    if found is not None and (found.consumer_details or found.messages is not None):
        return None
    if found is None:
        management.exchanges()  # raises if the virtual host is missing
    listed = management.declared(name)
    if listed is None:
        return "missing"
    down = found is None or listed.state in UNAVAILABLE
    return f"unavailable (state {listed.state or 'unknown'})" if down else None


def _bound(check: HealthCheck, management: Management, topology: Topology, worker_id: int, queue: str) -> None:
    actual = {(b.source, b.routing_key) for b in management.bindings_of(queue)}
    desired = [b for b in topology.worker_bindings(worker_id) if b.destination == queue]
    missing = [b for b in desired if (b.source, b.routing_key) not in actual]
    check.expect(not missing, f"{queue} bound ({_keys(desired)})", f"{queue} is not bound: {_keys(missing)}")


def _is_at_prefetch(queue: OneQueue) -> bool:
    """Whether messages are ready and the only consumer holds its whole prefetch."""
    consumers, held = queue.consumer_details or (), queue.messages_unacknowledged or 0
    return len(consumers) == 1 and bool(queue.messages_ready) and 0 < (consumers[0].prefetch_count or 0) <= held


def _drift(tags: list[str], desired: list[Consumer]) -> str | None:
    """How a queue's consumers differ from the topology, or None; a topology may leave a tag to the broker."""
    expected = sorted(c.tag for c in desired if c.tag)
    if not tags and desired:
        return "no consumer (a new one is listed after up to 10 s)"
    if len(tags) != len(desired):
        return f"{len(tags)} consumers ({', '.join(sorted(tags))}) instead of {len(desired)}"
    return f"consumer {', '.join(sorted(tags))} instead of {', '.join(expected)}" if set(expected) - set(tags) else None


def _keys(bindings: list[Binding]) -> str:
    return ", ".join(f"{b.source} / {b.routing_key}" for b in bindings)
