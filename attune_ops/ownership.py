"""Who a queue on the broker belongs to, and which registered workers live: the join of broker and registry.

Pure questions over `Facts`, asked by the inspections and the checks alike.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from functools import cached_property
from typing import Literal, TypeVar

import msgspec

from attune_ops.errors import SourceError
from attune_ops.facts import Facts, Source
from attune_ops.registry import Worker, WorkerStatus
from attune_ops.snapshot import BindingState, BrokerSnapshot, ConnectionState, ConsumerState, QueueState
from attune_ops.topology import Binding, Per

QueueKind = Literal["base", "worker", "replica", "foreign"]
ExchangeKind = Literal["base", "builtin", "foreign"]
T = TypeVar("T")


class Orphan(msgspec.Struct, frozen=True):
    """A queue that no registered live worker owns, or a registered live worker's queue that is missing."""

    kind: Literal["queue", "worker"]
    queue: str
    worker_id: int
    why: str
    worker: Worker | None = None
    state: QueueState | None = None  # None where the queue is missing


class Ownership:
    """The owners of one `Facts`; raises `SourceError` with the reason when what a question needs was not read."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts

    @cached_property
    def broker(self) -> BrokerSnapshot:
        """The broker as it was seen."""
        if self.facts.broker is None:
            raise SourceError(self.facts.missing.get(Source.BROKER, "the broker was not read"))
        return self.facts.broker

    @cached_property
    def queues(self) -> dict[str, QueueState]:
        """The queues by name."""
        return {q.name: q for q in told(self.facts, self.broker.queues, Source.BROKER)}

    @cached_property
    def workers(self) -> dict[int, Worker]:
        """The registered workers by id."""
        if self.facts.registry is None:
            raise SourceError(self.facts.missing.get(Source.REGISTRY, "the worker registry was not read"))
        return {w.id: w for w in self.facts.registry.workers}

    @cached_property
    def connections(self) -> dict[str, ConnectionState]:
        """The connections by the broker's name for them; empty where they were not told."""
        return {c.name: c for c in self.broker.connections or ()}

    @cached_property
    def _tags(self) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for consumer in told(self.facts, self.broker.consumers, Source.CONSUMERS):
            found.setdefault(consumer.queue, set()).add(consumer.tag)
        return found

    @cached_property
    def _bindings_to(self) -> dict[str, list[BindingState]]:
        found: dict[str, list[BindingState]] = {}
        for binding in told(self.facts, self.broker.bindings, Source.BROKER):
            if binding.destination_kind == "queue":
                found.setdefault(binding.destination, []).append(binding)
        return found

    @cached_property
    def _replica_bindings(self) -> frozenset[tuple[str, str]]:
        labels = {q.name for q in self.facts.topology.queues if q.per is Per.REPLICA}
        return frozenset((b.source, b.routing_key) for b in self.facts.topology.bindings if b.destination in labels)

    @cached_property
    def _base(self) -> frozenset[str]:
        return frozenset(q.name for q in self.facts.topology.base_queues)

    def worker_id(self, queue: str) -> int | None:
        """The id of the worker whose queue has this name, or None."""
        found = self.facts.topology.worker_of(queue)
        return None if found is None else found[0]

    def kind(self, queue: QueueState) -> QueueKind:
        """Whether the topology declares the queue once, per worker or per replica, or does not know it.

        A replica's queue has a name of the broker's, so it is known by being exclusive and bound like one.
        """
        if queue.name in self._base:
            return "base"
        if self.worker_id(queue.name) is not None:
            return "worker"
        if queue.exclusive and self._replica_bindings:
            keys = {(b.source, b.routing_key) for b in self._bindings_to.get(queue.name, ())}
            if keys & self._replica_bindings:
                return "replica"
        return "foreign"

    def wants(self, binding: BindingState) -> bool:
        """Whether the topology makes this binding, arguments included."""
        made = (binding.source, binding.routing_key, binding.arguments)
        return made in [(b.source, b.routing_key, b.arguments) for b in self._wanted(binding)]

    def _wanted(self, binding: BindingState) -> tuple[Binding, ...]:
        topology = self.facts.topology
        if binding.destination_kind == "queue":
            worker = self.worker_id(binding.destination)
            if worker is not None:
                return tuple(b for b in topology.worker_bindings(worker) if b.destination == binding.destination)
            queue = self.queues.get(binding.destination)
            if queue is not None and self.kind(queue) == "replica":
                return tuple(b for b in topology.bindings if (b.source, b.routing_key) in self._replica_bindings)
        return tuple(
            b
            for b in topology.base_bindings
            if (b.destination, b.destination_kind) == (binding.destination, binding.destination_kind)
        )

    def service(self, consumer: ConsumerState) -> str | None:
        """The service that the topology expects to consume that queue by that tag, or None."""
        topology = self.facts.topology
        worker = self.worker_id(consumer.queue)
        expected = topology.consumers if worker is None else topology.worker_consumers(worker)
        return next((c.service for c in expected if (c.queue, c.tag) == (consumer.queue, consumer.tag)), None)

    def is_consumed(self, worker: Worker) -> bool | None:
        """Whether each consumer that the worker should have is there, by queue and tag; None if that was not told."""
        if self.broker.consumers is None:
            return None
        wanted = self.facts.topology.worker_consumers(worker.id)
        return all(c.tag in self._tags.get(c.queue, ()) for c in wanted)

    def backlog(self, worker_id: int) -> int | None:
        """The messages in all queues of that worker id; None where none of them told."""
        queues = (self.queues.get(q.name) for q in self.facts.topology.worker_queues(worker_id))
        counts = [q.messages for q in queues if q is not None and q.messages is not None]
        return sum(counts) if counts else None

    def heartbeat_age(self, worker: Worker) -> timedelta | None:
        """How old the worker's heartbeat was when the facts were taken."""
        return worker.heartbeat_age(self.facts.taken_at)

    def is_stale(self, worker: Worker) -> bool:
        """Whether the heartbeat is older than three of the registry's intervals."""
        assert self.facts.registry is not None
        return worker.is_stale(self.facts.taken_at, self.facts.registry.interval)

    def why_not_live(self, worker_id: int) -> str | None:
        """Why this id is no live worker that takes executions; None for one that is."""
        worker = self.workers.get(worker_id)
        if worker is None:
            return f"no worker {worker_id} in the registry"
        if not worker.has_queues:
            return f"its role is {worker.role}, which takes no executions"
        if worker.status == WorkerStatus.INACTIVE:
            return "it stopped: its status is inactive"
        if not worker.is_registered_live:
            return f"its status is {worker.status}"
        if self.is_stale(worker):
            age = self.heartbeat_age(worker)
            return (
                "it never sent a heartbeat" if age is None else f"its heartbeat is {round(age.total_seconds())} s old"
            )
        return None

    def orphaned_queues(self) -> Iterator[Orphan]:
        """The worker queues on the broker that no registered live worker owns."""
        for queue in self.queues.values():
            worker_id = self.worker_id(queue.name)
            why = None if worker_id is None else self.why_not_live(worker_id)
            if worker_id is not None and why is not None:
                yield Orphan("queue", queue.name, worker_id, why, self.workers.get(worker_id), queue)

    def missing_queues(self, worker: Worker) -> tuple[str, ...]:
        """The queues of a worker that are not on the broker; none for a role that has no queues."""
        if not worker.has_queues:
            return ()
        return tuple(q.name for q in self.facts.topology.worker_queues(worker.id) if q.name not in self.queues)

    def workers_without_queue(self) -> Iterator[Orphan]:
        """The registered live workers' queues that are not on the broker."""
        for worker in self.workers.values():
            if self.why_not_live(worker.id) is None:
                for queue in self.missing_queues(worker):
                    yield Orphan("worker", queue, worker.id, "it is live, but its queue is missing", worker)


def exchange_kind(facts: Facts, name: str) -> ExchangeKind:
    """Whether the topology declares the exchange, the broker brings it, or neither."""
    if facts.topology.exchange(name) is not None:
        return "base"
    return "builtin" if not name or name.startswith("amq.") else "foreign"


def told(facts: Facts, value: T | None, source: Source) -> T:
    """The value, or `SourceError` with the reason why it was not told."""
    if value is None:
        raise SourceError(facts.missing.get(source, f"the broker did not tell its {source}"))
    return value
