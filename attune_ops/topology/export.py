"""Exports as RabbitMQ definitions or as a topology file: of the desired topology, or of what is on the broker."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from attune_ops.model.definitions import export
from attune_ops.model.facts import Facts, Source
from attune_ops.model.ownership import exchange_kind, queue_kind
from attune_ops.model.snapshot import BrokerSnapshot, ExchangeState, QueueState
from attune_ops.model.topology import ID, Binding, Exchange, Per, Queue, Topology
from attune_ops.model.topology_file import to_toml
from attune_ops.routing.virtual_host import BUILT_IN
from attune_ops.topology.binding_keys import BindingKey, binding_key
from attune_ops.topology.redeclaration import Answers

SOURCES = (Source.BROKER,)
SCHEMA = "#:schema attune-ops-topology.schema.json\n"  # `config schema topology` prints it


def export_topology(source: Topology | Facts, to: str, workers: tuple[int, ...] = ()) -> str:
    """A topology, or the facts of what is on the broker, as RabbitMQ definitions or (`to="toml"`) a topology file.

    The definitions of a topology have the queues and bindings of these workers too; only those of facts have policies.
    """
    return _of_facts(source, to) if isinstance(source, Facts) else _of_topology(source, to, workers)


def _of_topology(topology: Topology, to: str, workers: tuple[int, ...]) -> str:
    if to == "toml":
        return SCHEMA + to_toml(topology)
    queues = (*topology.base_queues, *(q for i in workers for q in topology.worker_queues(i)))
    bindings = (*topology.base_bindings, *(b for i in workers for b in topology.worker_bindings(i)))
    return _json(export(topology.exchanges, queues, bindings))


def _of_facts(facts: Facts, to: str) -> str:
    broker = facts.actual
    if to == "toml":
        name = f"{facts.topology.name}-live"
        read = f"Virtual host {facts.vhost} as read at {facts.taken_at:%Y-%m-%d %H:%M:%S}Z."
        taken = f"Publishers and consumers are taken from {facts.topology.name}: a broker does not know them."
        return SCHEMA + to_toml(live_topology(facts, name), f"{read}\n{taken}")
    return _json(
        export(
            broker.exchanges or (), broker.queues or (), broker.bindings or (), broker.policies or (), broker.version
        )
    )  # fmt: skip


def _json(data: dict[str, Any]) -> str:
    return msgspec.json.format(msgspec.json.encode(data), indent=2).decode()


def live_topology(facts: Facts, name: str) -> Topology:
    """What is on the broker, as a topology of that name; needs `Source.BROKER`.

    Worker queues are recognised by the patterns of the known topology. They become one template each, declared as most
    of them are, with the bindings of the known topology that are there and those that most of them have. Publishers
    and the queues of replicas are not visible on a broker: they are taken from the known topology, as far as its
    exchanges and queues exist. The broker's own exchanges are left out unless something is bound to them.
    """
    broker, known = facts.actual, facts.topology
    exchanges = tuple(
        _exchange(e)
        for e in (*(broker.exchanges or ()), *_unlisted(broker))
        if e.name and (exchange_kind(known, e.name) != "builtin" or e.name in broker.bindings_from)
    )
    there = {e.name for e in exchanges}
    kinds = {q.name: queue_kind(facts, q) for q in broker.queues or ()}
    once = tuple(
        _queue(q, facts) for q in broker.queues or () if kinds[q.name] in ("base", "foreign") and not q.exclusive
    )
    replicas = tuple(
        q for q in known.queues
        if q.per is Per.REPLICA and any(b.source in there for b in known.bindings_to(q.name))
    )  # fmt: skip
    queues = (*once, *_templates(facts), *replicas)
    labels = {q.name for q in queues}
    replica_labels = {q.name for q in replicas}
    bindings = {msgspec.json.encode(b, order="deterministic"): b for b in _bindings(facts, there, labels)}
    kept = (b for b in known.bindings if b.destination in replica_labels and b.source in there)
    return Topology(
        name=name,
        exchanges=exchanges,
        queues=queues,
        bindings=(*bindings.values(), *kept),
        publishes=tuple(p for p in known.publishes if p.exchange in there | {""}),
        consumers=tuple(c for c in known.consumers if c.queue in labels),
        set_up_by=known.set_up_by,
    )


def _unlisted(broker: BrokerSnapshot) -> Iterator[ExchangeState]:
    """The broker's own exchanges that a definitions file does not list, although it has their bindings."""
    for name, type, internal in BUILT_IN:
        if name not in broker.exchange_named:
            yield ExchangeState(name, broker.vhost, type, internal=internal)


def _exchange(found: ExchangeState) -> Exchange:
    return Exchange(found.name, found.type, found.durable, bool(found.auto_delete), found.internal, found.arguments)


def _queue(found: QueueState, facts: Facts) -> Queue:
    """The queue as a service declares it: 4.x itself adds the type to the arguments of a classic queue.

    Where that is not the type that the broker gives to a queue declared without one, it stays.
    """
    known = facts.topology
    service = next((q.service for q in known.base_queues if q.name == found.name), "")
    arguments = {k: v for k, v in found.arguments.items() if (k, v) != ("x-queue-type", "classic")}
    made = Queue(found.name, found.durable, found.auto_delete, found.exclusive, arguments, service=service)
    if Answers.of(facts).type_of(made) == "classic":
        return made
    return msgspec.structs.replace(made, arguments=found.arguments)


def _templates(facts: Facts) -> tuple[Queue, ...]:
    """A template for each kind of worker queue on the broker, declared as most of them are."""
    alike: dict[str, dict[bytes, list[Queue]]] = {}
    for queues in facts.worker_queues.values():
        for found in queues:
            owner = facts.topology.worker_of(found.name)
            if owner is None:
                continue
            known = owner[1]
            queue = msgspec.structs.replace(
                _queue(found, facts), name=known.name, per=Per.WORKER, service=known.service
            )
            same = alike.setdefault(known.name, {})
            same.setdefault(msgspec.json.encode(queue, order="deterministic"), []).append(queue)
    most = {name: max(several.values(), key=len)[0] for name, several in alike.items()}
    return tuple(most[q.name] for q in facts.topology.queues if q.name in most)


def _bindings(facts: Facts, exchanges: set[str], queues: set[str]) -> Iterable[Binding]:
    """The bindings between these; not what only a few worker queues have: a template would give it to every worker."""
    usual = {binding_key(b) for b in facts.topology.worker_binding_templates}
    workers = Counter(facts.worker_templates.values())
    having: dict[BindingKey, tuple[Binding, set[int]]] = {}
    for found in facts.actual.bindings or ():
        is_queue = found.destination_kind == "queue"
        owner = facts.topology.worker_of(found.destination) if is_queue else None
        binding = Binding(found.source, found.destination, found.routing_key, found.destination_kind, found.arguments)
        if owner is not None:
            key = re.sub(rf"(?<![0-9]){owner[0]}(?![0-9])", lambda _: ID, found.routing_key)
            binding = msgspec.structs.replace(binding, destination=owner[1].name, routing_key=key)
        if found.source in exchanges and binding.destination in (queues if is_queue else exchanges):
            if owner is None:
                yield binding
            else:
                having.setdefault(binding_key(binding), (binding, set()))[1].add(owner[0])
    for same, (binding, ids) in having.items():
        if same in usual or len(ids) * 2 > workers[binding.destination]:
            yield binding
