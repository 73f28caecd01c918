"""Which worker owns a queue on the broker, and which registered workers are live: broker and registry joined.

Pure functions of `Facts`, for the inspections and the checks. A caller makes sure that the
sources were read (`require`, or a check's `needs`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from attune_ops.model import units
from attune_ops.model.errors import ConfigError, SourceError
from attune_ops.model.facts import Facts, Source
from attune_ops.model.registry import Worker, WorkerStatus
from attune_ops.model.snapshot import BindingState, BrokerSnapshot, ConsumerState, QueueState
from attune_ops.model.topology import ID, Binding, Consumer, Per, Topology

QueueKind = Literal["base", "worker", "replica", "foreign"]
ExchangeKind = Literal["base", "builtin", "foreign"]

MOST_IDS = 5  # that a sentence names
WRONG_REGISTRY = "check --database-url (ATTUNE_OPS_DATABASE_URL)"


def require(facts: Facts, *needs: Source) -> Facts:
    """The facts; raises `SourceError` with the reason if something of `needs` could not be read."""
    reason = facts.missing_reason(needs)
    if reason is not None:
        raise SourceError(reason)
    return facts


def broker_of(facts: Facts) -> BrokerSnapshot:
    """The broker as it was read; raises `SourceError` with the reason where it was not."""
    require(facts, Source.BROKER)
    assert facts.broker is not None
    return facts.broker


def worker_id(topology: Topology, queue: str) -> int | None:
    """The id of the worker that owns a queue of this name, or None."""
    found = topology.worker_of(queue)
    return None if found is None else found[0]


def owner_and_template(facts: Facts, queue: str) -> tuple[int, str] | None:
    """The worker's id of a queue by its name, and its name in the topology file; None where it is no worker's."""
    worker_id = facts.owner_of.get(queue)  # of those on the broker, found before
    if worker_id is not None:
        return worker_id, facts.worker_templates[queue]
    owner = facts.topology.worker_of(queue)
    return None if owner is None else (owner[0], owner[1].name)


def queue_kind(facts: Facts, queue: QueueState) -> QueueKind:
    """Whether the topology declares the queue once, per worker or per replica, or not at all.

    The broker names a replica's queue; it is recognised as exclusive and bound like one.
    """
    if any(q.name == queue.name for q in facts.topology.base_queues):
        return "base"
    if worker_id(facts.topology, queue.name) is not None:
        return "worker"
    if queue.exclusive and facts.broker is not None:
        bound = {(b.source, b.routing_key) for b in facts.broker.bindings_to_queue.get(queue.name, ())}
        if bound & {(b.source, b.routing_key) for b in _replica_bindings(facts.topology)}:
            return "replica"
    return "foreign"


def exchange_kind(topology: Topology, name: str) -> ExchangeKind:
    """Whether the topology declares the exchange, it is built in, or neither."""
    if topology.exchange(name) is not None:
        return "base"
    return "builtin" if not name or name.startswith("amq.") else "foreign"


def is_desired(facts: Facts, binding: BindingState) -> bool:
    """Whether the topology makes this binding, arguments included."""
    found = (binding.source, binding.routing_key, binding.arguments)
    return found in [(b.source, b.routing_key, b.arguments) for b in _wanted_to(facts, binding)]


def service_of(facts: Facts, consumer: ConsumerState) -> str | None:
    """The service that the topology expects to consume that queue by that tag, or None."""
    owner = owner_and_template(facts, consumer.queue)
    own_id, template = (str(owner[0]), owner[1]) if owner else ("", consumer.queue)
    for service, tag in facts.memo(tags_by_queue).get(template, ()):
        if tag.replace(ID, own_id) == consumer.tag:
            return service
    return None


def tags_by_queue(facts: Facts) -> Mapping[str, list[tuple[str, str]]]:
    """For `facts.memo`: service and tag of each consumer of the topology, by the queue's name in the topology file."""
    found: dict[str, list[tuple[str, str]]] = {}
    for c in facts.topology.consumers:
        found.setdefault(c.queue, []).append((c.service, c.tag))
    return found


def expected_consumers(facts: Facts) -> Mapping[int, tuple[Consumer, ...]]:
    """For `facts.memo`: the consumers that each live worker should have on its own queues."""
    return {w.id: facts.topology.worker_consumers(w.id) for w in facts.live_workers}


def expected_prefetch(facts: Facts) -> Mapping[tuple[str, str], int | None]:
    """For `facts.memo`: queue and tag of each consumer that should be there, with its prefetch; None where unknown.

    It is of the queues that exist once, and of those of live workers; no tag is one that the broker chooses.
    """
    base = {q.name for q in facts.topology.base_queues}
    found = {(c.queue, c.tag): _prefetch(c, None) for c in facts.topology.consumers if c.queue in base and c.tag}
    expected_of = facts.memo(expected_consumers)
    for worker in facts.live_workers:
        for c in expected_of[worker.id]:
            if c.tag:
                found[c.queue, c.tag] = _prefetch(c, worker.concurrency)
    return found


def lacking_consumers(facts: Facts) -> frozenset[tuple[str, str]]:
    """For `facts.memo`: queue and tag of each expected consumer that the list of consumers does not have."""
    there = {(c.queue, c.tag) for c in facts.actual.consumers or ()}
    return frozenset(facts.memo(expected_prefetch).keys() - there)


def _prefetch(consumer: Consumer, concurrency: int | None) -> int | None:
    known = concurrency is not None or isinstance(consumer.prefetch, int)
    return consumer.prefetch_at(concurrency or 0) if known else None


def unread_by_design(facts: Facts) -> frozenset[str]:
    """For `facts.memo`: the topology's queues that exist once and that no service consumes; none without consumers."""
    consumed = facts.memo(tags_by_queue)
    return frozenset(q.name for q in facts.topology.base_queues if q.name not in consumed) if consumed else frozenset()


def unknown_consumers(facts: Facts) -> Mapping[str, tuple[ConsumerState, ...]]:
    """For `facts.memo`: the consumers of the topology's queues with a tag that the topology does not have.

    A topology may leave a tag to the broker, which names it `amq.ctag-…`. A queue of a replica is used by one
    connection only, which made it.
    """
    found = {}
    consumers_of, owner_of, known = facts.actual.consumers_of, facts.owner_of, facts.memo(tags_by_queue)
    expected, own = facts.memo(expected_prefetch), facts.memo(own_queues)
    suspects = dict.fromkeys([c.queue for c in facts.actual.consumers or () if (c.queue, c.tag) not in expected])
    for queue in suspects:
        template, there = own.get(queue), consumers_of[queue]
        if template is None:
            continue
        own_id = str(owner_of.get(queue))
        tags = [tag.replace(ID, own_id) for _, tag in known.get(template, ())]
        unknown = [c for c in there if c.tag not in tags and not ("" in tags and c.tag.startswith("amq.ctag-"))]
        if unknown and not facts.actual.queue_named[queue].exclusive:
            found[queue] = tuple(unknown)
    return found


def missing_queues(facts: Facts, worker: Worker) -> tuple[str, ...] | None:
    """The queues of a worker that are missing on the broker; none for a role without queues; None where unknown."""
    wanted = facts.topology.worker_queues(worker.id) if worker.has_queues else ()
    if facts.only_names and any(q.name not in facts.asked for q in wanted):
        return None
    return tuple(q.name for q in wanted if q.name not in facts.actual.queue_named)


def is_consumed(facts: Facts, worker: Worker) -> bool | None:
    """Whether the worker has all its consumers, by queue and tag; None where tags are unknown and none is missing."""
    broker = facts.actual
    wanted = facts.topology.worker_consumers(worker.id)
    if broker.consumers is None:
        return False if any(c.queue in broker.unconsumed for c in wanted) else None
    return all(any(found.tag == c.tag for found in broker.consumers_of.get(c.queue, ())) for c in wanted)


def consumes(facts: Facts, worker: Worker) -> bool:
    """Whether the worker has one of its consumers."""
    wanted = facts.topology.worker_consumers(worker.id)
    return any(found.tag == c.tag for c in wanted for found in facts.actual.consumers_of.get(c.queue, ()))


def backlog(facts: Facts, worker_id: int) -> int | None:
    """The messages in all queues of that worker id; None where those of one are unknown, or it has none."""
    queues = facts.worker_queues.get(worker_id, ())
    counts = [q.messages for q in queues if q.messages is not None]
    return sum(counts) if counts and len(counts) == len(queues) else None


def why_not_live(facts: Facts, worker_id: int) -> str | None:
    """Why this id is not a live worker that takes executions; None for one that is, or may be starting.

    See `Facts.live_workers` and `starting_workers`.
    """
    if worker_id in facts.live_ids or worker_id in facts.memo(starting_workers):
        return None
    worker = facts.worker_named.get(worker_id)
    if worker is None:
        return f"no worker {worker_id} in the registry"
    if not worker.has_queues:
        return f"its role is {worker.role}, which takes no executions"
    if worker.status == WorkerStatus.INACTIVE:
        return _why_inactive(worker, facts)
    if not worker.is_registered_live:
        return f"its status is {worker.status}"
    if facts.registry is not None and worker.is_stale(facts.taken_at, facts.registry.limit):
        age = worker.heartbeat_age(facts.taken_at)
        return "it never sent a heartbeat" if age is None else f"its heartbeat is {units.age(age)} old"
    return None


def is_wrongly_inactive(facts: Facts, worker: Worker) -> bool:
    """Whether a worker is registered as inactive although it sends heartbeats and consumes.

    The executor sets a worker that starts slowly inactive, and before 0.6 a heartbeat did not set it active again.
    The consumers of a worker that stopped cleanly are listed for up to 10 s more.
    """
    return not facts.topology.sets_active and worker.beat_last and consumes_while_inactive(facts, worker)


def consumes_while_inactive(facts: Facts, worker: Worker) -> bool:
    """Whether an inactive worker with a fresh heartbeat is listed with a consumer: it runs, or has just stopped."""
    if worker.status != WorkerStatus.INACTIVE or facts.registry is None or facts.broker is None:
        return False
    return not worker.is_stale(facts.taken_at, facts.registry.limit) and consumes(facts, worker)


def _why_inactive(worker: Worker, facts: Facts) -> str:
    """Whether an inactive worker crashed or stopped cleanly, as far as its row tells."""
    age = worker.heartbeat_age(facts.taken_at)
    if is_wrongly_inactive(facts, worker):
        return "it is registered as inactive, but sends heartbeats and consumes"
    if worker.crashed is None or age is None:
        return "it stopped: its status is inactive"
    return f"it crashed: its heartbeat stopped {units.age(age)} ago" if worker.crashed else "it stopped cleanly"


def starting_workers(facts: Facts) -> Mapping[int, Worker]:
    """For `facts.memo`: the workers that may still be starting, by id; empty where that is unknown.

    Their row is of the last 10 minutes, all their queues exist, and none of them has a consumer yet.
    """
    if facts.registry is None or facts.broker is None or facts.broker.queues is None:
        return {}
    at, limit, unread = facts.taken_at, facts.registry.limit, {facts.owner_of.get(q) for q in facts.actual.unconsumed}
    able = [w for w in facts.registry.workers if w.id in unread and w.can_be_starting(at, limit)]
    return {w.id: w for w in able if _waits_for_consumers(facts, w)}


def _waits_for_consumers(facts: Facts, worker: Worker) -> bool:
    wanted = facts.topology.worker_queues(worker.id)
    return bool(wanted) and all(q.name in facts.actual.unconsumed for q in wanted)


def check_registry(facts: Facts, *, may_be_empty: bool = False) -> None:
    """Raises `ConfigError` where the registry is not the one of this broker's workers.

    So it is where worker queues have consumers and no live worker of the registry has one of their ids, or, unless it
    `may_be_empty`, where there are worker queues and no workers. A heartbeat is sign of life enough: something may
    have set a running worker to inactive. What was not read is not compared.
    """
    if facts.registry is None or facts.broker is None:
        return
    where = f"the {facts.registry.kind} registry"
    if not facts.registry.workers and facts.worker_queues and not may_be_empty:
        raise ConfigError(f"{where} has no workers, the broker has worker queues; {WRONG_REGISTRY}")
    consumed = {i for i, queues in facts.worker_queues.items() if any(has_consumer(facts, q) for q in queues)}
    at, limit = facts.taken_at, facts.registry.limit
    live = {w.id for w in facts.registry.workers if w.is_registered_live or not w.is_stale(at, limit)}
    if consumed and not consumed & live:
        ids = ", ".join(map(str, sorted(consumed)[:MOST_IDS])) + (" and others" if len(consumed) > MOST_IDS else "")
        raise ConfigError(
            f"{where} is not the registry of this broker's workers: worker queues of {ids} have consumers, and it has "
            f"none of {'this id' if len(consumed) == 1 else 'these ids'} as running; {WRONG_REGISTRY}"
        )


def has_consumer(facts: Facts, queue: QueueState) -> bool:
    """Whether a queue has a consumer, by its statistics or by the list of consumers."""
    return bool(queue.consumers or facts.actual.consumers_of.get(queue.name))


def most_consumers(facts: Facts, queue: str) -> int:
    """The consumers of a queue, by its statistics or by the list of consumers, whichever has more."""
    state = facts.actual.queue_named.get(queue)
    listed = len(facts.actual.consumers_of.get(queue, ()))
    return max(listed, (state.consumers or 0) if state is not None else 0)


def not_yet_listed(facts: Facts, queue: str) -> int:
    """How many consumers of a queue the list does not have yet, which is up to 10 s old."""
    return most_consumers(facts, queue) - len(facts.actual.consumers_of.get(queue, ()))


def _replica_bindings(topology: Topology) -> tuple[Binding, ...]:
    labels = {q.name for q in topology.queues if q.per is Per.REPLICA}
    return tuple(b for b in topology.bindings if b.destination in labels)


def _wanted_to(facts: Facts, binding: BindingState) -> tuple[Binding, ...]:
    """The topology's bindings to the destination of `binding`, by its real name."""
    topology = facts.topology
    if binding.destination_kind == "queue":
        owner = worker_id(topology, binding.destination)
        if owner is not None:
            return tuple(b for b in topology.worker_bindings(owner) if b.destination == binding.destination)
        queue = facts.actual.queue_named.get(binding.destination)
        if queue is not None and queue_kind(facts, queue) == "replica":
            return _replica_bindings(topology)
    target = (binding.destination, binding.destination_kind)
    return tuple(b for b in topology.base_bindings if (b.destination, b.destination_kind) == target)


def own_queues(facts: Facts) -> Mapping[str, str]:
    """For `facts.memo`: the names of the topology's queues that are there, each with its name in the topology file."""
    found = {q.name: q.name for q in facts.topology.base_queues if q.name in facts.actual.queue_named}
    found |= facts.worker_templates
    for q in facts.actual.queues or ():
        if q.exclusive and q.name not in found and queue_kind(facts, q) == "replica":
            found[q.name] = q.name
    return found
