"""The queues of the virtual host."""

from __future__ import annotations

from attune_ops.inventory import arguments, freshness
from attune_ops.model.facts import Facts, Source
from attune_ops.model.ownership import broker_of, queue_kind, worker_id
from attune_ops.model.snapshot import QueueState
from attune_ops.model.table import Cell, Column, Kind, Table

SOURCES = (Source.BROKER, Source.DEPTHS, Source.REGISTRY)

COLUMNS = (
    Column("name", doc="the queue's name"),
    Column("messages", Kind.INTEGER, "messages", "ready and unacknowledged together"),
    Column("ready", Kind.INTEGER, "messages", "waiting for a consumer", 2),
    Column("unacked", Kind.INTEGER, "messages", "delivered and not yet acknowledged", 2),
    Column("consumers", Kind.INTEGER, "consumers", "attached consumers; not told while the queue is seconds old"),
    Column("kind", Kind.CATEGORY, doc="base, worker, replica: of the topology; foreign: unknown to it", priority=3),
    Column("worker", doc="the registered name of the worker that owns it", priority=2),
    Column("worker_id", Kind.INTEGER, doc="the id of the worker that its name tells", priority=8),
    Column("type", Kind.CATEGORY, doc="classic, quorum or stream", priority=5),
    Column("state", Kind.CATEGORY, doc="as the broker words it", priority=4),
    Column("durable", Kind.FLAG, doc="survives a restart of the broker", priority=6),
    Column("auto_delete", Kind.FLAG, doc="goes with its last consumer", priority=6),
    Column("exclusive", Kind.FLAG, doc="belongs to one connection", priority=8),
    Column("policy", doc="the policy that applies", priority=5),
    Column("dead_letter_exchange", doc="by argument or policy", priority=9),
    Column("publish_rate", Kind.NUMBER, "messages/s", "in", 7),
    Column("deliver_rate", Kind.NUMBER, "messages/s", "out", 7),
    Column("oldest", Kind.AGE, "s", "age of the message at the head, where publishers set a timestamp", 7),
    Column("memory", Kind.INTEGER, "bytes", "of the queue's process", 9),
    Column("node", doc="where the queue runs", priority=9),
    Column("arguments", Kind.LIST, doc="as declared", priority=9),
)


def queues(facts: Facts) -> Table:
    """Every queue with what it holds, who consumes it and whose it is; raises `SourceError` without a broker."""
    return Table(
        name="queues",
        columns=COLUMNS,
        rows=tuple(_row(facts, queue) for queue in broker_of(facts).queue_named.values()),
        taken_at=facts.taken_at,
        notes=freshness(
            facts,
            live={"messages": Source.DEPTHS, "worker": Source.REGISTRY},
            sampled={"consumers, rates": Source.BROKER},
        ),
    ).sorted("name")


def _row(facts: Facts, queue: QueueState) -> tuple[Cell, ...]:
    owner = worker_id(facts.topology, queue.name)
    worker = None if owner is None else facts.worker_named.get(owner)
    policy = queue.effective_policy or {}
    dead_letters = queue.arguments.get("x-dead-letter-exchange", policy.get("dead-letter-exchange"))
    head = queue.head_message_timestamp
    return (
        queue.name,
        queue.messages,
        queue.messages_ready,
        queue.messages_unacknowledged,
        queue.consumers,
        queue_kind(facts, queue),
        None if worker is None else worker.name,
        owner,
        queue.type,
        queue.state,
        queue.durable,
        queue.auto_delete,
        queue.exclusive,
        queue.policy,
        None if dead_letters is None else str(dead_letters),
        queue.publish_rate,
        queue.deliver_rate,
        None if head is None else facts.taken_at - head,
        queue.memory,
        queue.node,
        arguments(queue.arguments),
    )
