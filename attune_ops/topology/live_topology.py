"""The topology that a broker amounts to, worker queues recognised by the patterns of a known one."""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

from attune_ops.model.facts import Facts
from attune_ops.model.ownership import exchange_kind, queue_kind
from attune_ops.model.snapshot import BindingState, ExchangeState, QueueState
from attune_ops.model.topology import ID, Binding, Exchange, Per, Queue, Topology


def live_topology(facts: Facts, name: str) -> Topology:
    """What is on the broker, as a topology of that name; needs `Source.BROKER`.

    The queues of workers become one template each, as most of them are declared, and so do their bindings.
    Who publishes and what replicas hold cannot be seen on a broker: that is taken from the known topology, as
    far as its exchanges and queues are there. What the broker brings itself is left out unless something is
    bound to it.
    """
    broker, known = facts.actual, facts.topology
    exchanges = tuple(
        _exchange(e)
        for e in broker.exchanges or ()
        if e.name and (exchange_kind(known, e.name) != "builtin" or e.name in broker.bindings_from)
    )
    there = {e.name for e in exchanges}
    kinds = {q.name: queue_kind(facts, q) for q in broker.queues or ()}
    once = tuple(_queue(q) for q in broker.queues or () if kinds[q.name] in ("base", "foreign") and not q.exclusive)
    replicas = tuple(
        q for q in known.queues
        if q.per is Per.REPLICA and any(b.source in there for b in known.bindings_to(q.name))
    )  # fmt: skip
    queues = (*once, *_templates(facts), *replicas)
    labels = {q.name for q in queues}
    replica_labels = {q.name for q in replicas}
    bindings = dict.fromkeys(_hashable(b) for b in _bindings(facts, there, labels))
    kept = (b for b in known.bindings if b.destination in replica_labels and b.source in there)
    return Topology(
        name=name,
        exchanges=exchanges,
        queues=queues,
        bindings=(*(_thawed(b) for b in bindings), *kept),
        publishes=tuple(p for p in known.publishes if p.exchange in there | {""}),
        consumers=tuple(c for c in known.consumers if c.queue in labels),
    )


def _exchange(found: ExchangeState) -> Exchange:
    return Exchange(found.name, found.type, found.durable, found.auto_delete, found.internal, found.arguments)


def _queue(found: QueueState) -> Queue:
    """The queue as it would be declared: 4.x adds the type to the arguments of a classic one itself."""
    arguments = {k: v for k, v in found.arguments.items() if (k, v) != ("x-queue-type", "classic")}
    return Queue(found.name, found.durable, found.auto_delete, found.exclusive, arguments)


def _templates(facts: Facts) -> tuple[Queue, ...]:
    """A template for each kind of worker queue that is there, declared as most of them are."""
    alike: dict[str, dict[bytes, list[Queue]]] = {}
    for queues in facts.worker_queues.values():
        for found in queues:
            owner = facts.topology.worker_of(found.name)
            if owner is None:
                continue
            known = owner[1]
            queue = msgspec.structs.replace(_queue(found), name=known.name, per=Per.WORKER, service=known.service)
            same = alike.setdefault(known.name, {})
            same.setdefault(msgspec.json.encode(queue, order="deterministic"), []).append(queue)
    most = {name: max(several.values(), key=len)[0] for name, several in alike.items()}
    return tuple(most[q.name] for q in facts.topology.queues if q.name in most)


def _bindings(facts: Facts, exchanges: set[str], queues: set[str]) -> Iterable[Binding]:
    for found in facts.actual.bindings or ():
        is_queue = found.destination_kind == "queue"
        owner = facts.topology.worker_of(found.destination) if is_queue else None
        binding = _binding(found)
        if owner is not None:
            key = re.sub(rf"(?<![0-9]){owner[0]}(?![0-9])", lambda _: ID, found.routing_key)
            binding = msgspec.structs.replace(binding, destination=owner[1].name, routing_key=key)
        if found.source in exchanges and binding.destination in (queues if is_queue else exchanges):
            yield binding


def _binding(found: BindingState) -> Binding:
    return Binding(found.source, found.destination, found.routing_key, found.destination_kind, found.arguments)


def _hashable(binding: Binding) -> bytes:
    return msgspec.json.encode(binding, order="deterministic")


def _thawed(data: bytes) -> Binding:
    return msgspec.json.decode(data, type=Binding)
