"""A small healthy installation as `Facts`, to be changed by a test: January's topology, three workers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from attune_ops.model.facts import Facts
from attune_ops.model.registry import Execution, RegistryView, Worker
from attune_ops.model.snapshot import (
    BindingState,
    BrokerSnapshot,
    ConnectionState,
    ConsumerState,
    ExchangeState,
    QueueState,
)
from attune_ops.model.topologies import load
from attune_ops.model.topology import Binding, Queue, Topology

NOW = datetime(2026, 1, 16, 12, 0, tzinfo=UTC)


def worker(id: int, **changes: Any) -> Worker:
    """Worker `w{id}` whose heartbeat is 5 s old."""
    return msgspec.structs.replace(
        Worker(id, f"w{id}", role="action", last_heartbeat=NOW - timedelta(seconds=5)), **changes
    )


def queue(declared: Queue | str, **changes: Any) -> QueueState:
    """A queue on the broker, as declared, empty and with one consumer."""
    if isinstance(declared, str):
        declared = Queue(declared)
    made = QueueState(
        declared.name,
        "/",
        durable=declared.durable,
        auto_delete=declared.auto_delete,
        arguments=declared.arguments,
        state="running",
        messages=0,
        messages_ready=0,
        messages_unacknowledged=0,
        consumers=1,
    )
    return msgspec.structs.replace(made, **changes)


def binding(made: Binding) -> BindingState:
    """A binding on the broker."""
    return BindingState("/", made.source, made.destination, made.routing_key, made.destination_kind, made.arguments)


def broker(topology: Topology, ids: tuple[int, ...] = (1, 2, 3), **changes: Any) -> BrokerSnapshot:
    """All that the topology wants for these workers, and the broker's own exchanges."""
    queues = [*topology.base_queues, *(q for i in ids for q in topology.worker_queues(i))]
    bindings = [*topology.base_bindings, *(b for i in ids for b in topology.worker_bindings(i))]
    consumers = [c for c in topology.consumers if "{id}" not in c.queue]
    consumers += [c for i in ids for c in topology.worker_consumers(i)]
    made = BrokerSnapshot(
        "/",
        NOW,
        version="4.3.6",
        cluster="attune",
        exchanges=(
            *(ExchangeState(e.name, "/", e.type) for e in topology.exchanges),
            ExchangeState("", "/", "direct"),
            ExchangeState("amq.topic", "/", "topic"),
        ),
        queues=tuple(queue(q) for q in queues),
        bindings=tuple(binding(b) for b in bindings),
        consumers=tuple(ConsumerState("/", c.queue, c.tag, connection="c1", prefetch=10) for c in consumers),
        connections=(ConnectionState("c1", "/", client_name="executor", connected_at=NOW - timedelta(hours=2)),),
    )
    return msgspec.structs.replace(made, **changes)


def facts(
    workers: tuple[Worker, ...] = (worker(1), worker(2), worker(3)),
    executions: tuple[Execution, ...] = (),
    topology: str = "attune-2026-01",
    **changes: Any,
) -> Facts:
    """A healthy installation; `changes` are to its broker."""
    wanted = load(topology)
    ids = tuple(w.id for w in workers)
    return Facts(wanted, NOW, broker(wanted, ids, **changes), RegistryView("sqlite", workers, executions))
