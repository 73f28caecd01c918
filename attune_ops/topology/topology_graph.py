"""A topology as a graph: publishers, exchanges, queues, consumers, and the routes of dead letters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from attune_ops.model.facts import Facts, Source
from attune_ops.model.graph import Graph, GraphEdge, GraphNode, Mark
from attune_ops.model.snapshot import QueueState
from attune_ops.model.topology import Per, Queue, Topology
from attune_ops.model.units import counted

SOURCES = (Source.BROKER, Source.DEPTHS, Source.CONSUMERS, Source.REGISTRY)


def topology_graph(source: Topology | Facts) -> Graph:
    """The graph of a topology; of facts with queue depths, consumers and missing objects (needs `Source.BROKER`)."""
    if isinstance(source, Topology):
        return Graph(source.name, tuple(_nodes(source, None)), tuple(_edges(source)))
    topology = source.topology
    title = f"{topology.name} in virtual host {source.vhost}"
    return Graph(title, tuple(_nodes(topology, source)), tuple(_edges(topology)))


def _nodes(topology: Topology, facts: Facts | None) -> Iterator[GraphNode]:
    for service in dict.fromkeys(s for p in topology.publishes for s in p.by):
        yield GraphNode(
            f"by {service}", f"{service} service" if service == "any" else service, "service", ("publishes",)
        )
    for exchange in topology.exchanges:
        there = facts is None or exchange.name in facts.actual.exchange_named
        marks: tuple[Mark, ...] = () if there else ("error", "missing")
        yield GraphNode(f"exchange {exchange.name}", exchange.name, "exchange", (exchange.type,), marks)
    for queue in topology.queues:
        notes, marks = (_kind(queue), ()) if facts is None else _live(queue, facts)
        yield GraphNode(f"queue {queue.name}", queue.name, "queue", notes, marks)
    for service in dict.fromkeys(c.service for c in topology.consumers):
        yield GraphNode(f"to {service}", service, "service", ("consumes",))


def _kind(queue: Queue) -> tuple[str, ...]:
    often = {Per.ONCE: (), Per.WORKER: ("one per worker",), Per.REPLICA: (f"one per {queue.service} replica",)}[
        queue.per
    ]
    lives = "exclusive" if queue.exclusive else "" if queue.durable else "transient"
    auto = "auto-delete" if queue.auto_delete else ""
    return (*often, *((", ".join(filter(None, (lives, auto))),) if lives or auto else ()))


def _live(queue: Queue, facts: Facts) -> tuple[tuple[str, ...], tuple[Mark, ...]]:
    if queue.per is Per.REPLICA:
        return _kind(queue), ()
    if queue.per is Per.ONCE:
        found = facts.actual.queue_named.get(queue.name)
        return (("missing",), ("error", "missing")) if found is None else _depth((found,), facts)
    ids = {w.id for w in facts.live_workers} | facts.worker_queues.keys()
    names = [q.name for i in ids for q in facts.topology.worker_queues(i) if _template(facts, q.name) == queue.name]
    there = tuple(facts.actual.queue_named[n] for n in names if n in facts.actual.queue_named)
    notes, marks = _depth(there, facts)
    missing = len(names) - len(there)
    if missing:
        return (f"{counted(len(there), 'queue')}, {missing} missing", *notes), ("error",)
    return (counted(len(there), "queue"), *notes), marks


def _template(facts: Facts, name: str) -> str | None:
    owner = facts.topology.worker_of(name)
    return owner[1].name if owner else None


def _depth(queues: tuple[QueueState, ...], facts: Facts) -> tuple[tuple[str, ...], tuple[Mark, ...]]:
    """Messages and consumers of these queues together; what is unknown is left out, never 0."""
    counts = [q.messages for q in queues if q.messages is not None]
    notes = [counted(sum(counts), "message")] if counts else []
    consumers = None
    if Source.CONSUMERS not in facts.missing and facts.actual.consumers is not None:
        consumers = sum(len(facts.actual.consumers_of.get(q.name, ())) for q in queues)
        notes.append(counted(consumers, "consumer"))
    waiting = bool(sum(counts)) and consumers == 0
    return tuple(notes), (("warning",) if waiting else ())


def _edges(topology: Topology) -> Iterator[GraphEdge]:
    yield from _merged(
        ((f"by {service}", f"exchange {p.exchange}", p.routing_key) for p in topology.publishes for service in p.by),
        "keys",
    )
    for binding in topology.bindings:
        target = f"{binding.destination_kind} {binding.destination}"
        yield GraphEdge(f"exchange {binding.source}", target, binding.routing_key)
    for exchange in topology.exchanges:
        if "alternate-exchange" in exchange.arguments:
            target = f"exchange {exchange.arguments['alternate-exchange']}"
            yield GraphEdge(f"exchange {exchange.name}", target, "alternate", dashed=True)
    for queue in topology.queues:
        if "x-dead-letter-exchange" in queue.arguments:
            target = f"exchange {queue.arguments['x-dead-letter-exchange']}"
            key = queue.arguments.get("x-dead-letter-routing-key")
            yield GraphEdge(f"queue {queue.name}", target, "" if key is None else str(key), dashed=True)
    yield from _merged(((f"queue {c.queue}", f"to {c.service}", c.tag) for c in topology.consumers), "consumers")


def _merged(edges: Iterable[tuple[str, str, str]], noun: str) -> Iterator[GraphEdge]:
    """One arrow for each pair, with its label, or with the number of labels."""
    found: dict[tuple[str, str], list[str]] = {}
    for source, target, label in edges:
        found.setdefault((source, target), []).append(label)
    for (source, target), labels in found.items():
        yield GraphEdge(source, target, labels[0] if len(labels) == 1 else f"{len(labels)} {noun}")
