"""The queues of the virtual host."""

from __future__ import annotations

from collections.abc import Callable, Collection

from attune_ops.inventory import arguments, consumer_count, freshness, origin, row
from attune_ops.model.errors import ConfigError
from attune_ops.model.facts import Facts, Source
from attune_ops.model.ownership import broker_of, queue_kind, unread_by_design, worker_id
from attune_ops.model.snapshot import QueueState
from attune_ops.model.table import Cell, Column, Kind, Table

SOURCES = (Source.BROKER, Source.DEPTHS, Source.CONSUMERS, Source.REGISTRY)

COLUMNS = (
    Column("name", doc="the queue's name"),
    Column("messages", Kind.INTEGER, "messages", "ready and unacknowledged"),
    Column("bytes", Kind.INTEGER, "bytes", "size of the message bodies; unknown in the first seconds of a message", 2),
    Column("consumers", Kind.INTEGER, "consumers", "attached consumers; unknown in the first seconds of a queue"),
    Column(
        "alert",
        Kind.CATEGORY,
        doc="no consumer: a backlog without consumers; unread: the same of a foreign queue, or "
        "of one that no service of the topology consumes; stuck: the consumers hold "
        "their whole prefetch and acknowledge nothing; prefetch full: the same of a worker, which may be busy, or "
        "where acknowledgements are unknown; "
        "unavailable: no answer from the queue; else ok",
    ),
    Column("ready", Kind.INTEGER, "messages", "ready for delivery", 2),
    Column("unacked", Kind.INTEGER, "messages", "delivered, not acknowledged", 2),
    Column("kind", Kind.CATEGORY, doc="base, worker, replica: of the topology; foreign: unmanaged", priority=3),
    Column("worker", doc="the registered name of the worker that owns it", priority=2),
    Column("worker_id", Kind.INTEGER, doc="the worker id in its name", priority=8),
    Column("type", Kind.CATEGORY, doc="classic, quorum or stream", priority=5),
    Column("state", Kind.CATEGORY, doc="state reported by the broker", priority=4),
    Column("durable", Kind.FLAG, doc="survives a broker restart", priority=6),
    Column("auto_delete", Kind.FLAG, doc="deleted with its last consumer", priority=6),
    Column("exclusive", Kind.FLAG, doc="used and deleted with one connection", priority=8),
    Column("policy", doc="the effective policy", priority=5),
    Column("dead_letter_exchange", doc="from its argument or policy", priority=9),
    Column("publish_rate", Kind.NUMBER, "messages/s", "published", 7),
    Column("deliver_rate", Kind.NUMBER, "messages/s", "delivered", 7),
    Column("oldest", Kind.AGE, "s", "age of the first message, if publishers set a timestamp", 7),
    Column("memory", Kind.INTEGER, "bytes", "memory of the queue process", 9),
    Column("node", doc="the node that hosts the queue (leader)", priority=9),
    Column("arguments", Kind.LIST, doc="as declared", priority=9),
    origin(),
)


# As in the rows.
SORTED_BY: dict[str, Callable[[Facts, QueueState], Cell]] = {
    "name": lambda facts, queue: queue.name,
    "messages": lambda facts, queue: queue.messages,
    "ready": lambda facts, queue: queue.messages_ready,
    "unacked": lambda facts, queue: queue.messages_unacknowledged,
    "consumers": lambda facts, queue: consumer_count(facts, queue),
    "publish_rate": lambda facts, queue: queue.publish_rate,
    "deliver_rate": lambda facts, queue: queue.deliver_rate,
}

# What a passive declare does not tell.
_UNKNOWN: dict[str, Cell] = dict.fromkeys(("type", "durable", "auto_delete", "exclusive", "arguments"))


def queues(facts: Facts, names: Collection[str] | None = None) -> Table:
    """Every queue with its depth, consumers and owner, or only `names`; raises `SourceError` without a broker."""
    known = broker_of(facts).queue_named
    chosen = known.values() if names is None else [known[name] for name in names if name in known]
    return Table(
        name="queues",
        columns=COLUMNS,
        rows=tuple(_row(facts, queue) for queue in chosen),
        taken_at=facts.taken_at,
        notes=freshness(
            facts,
            live={"messages": Source.DEPTHS, "worker": Source.REGISTRY},
            sampled={"consumers": Source.CONSUMERS, "bytes, rates": Source.BROKER},
        ),
    ).sorted("name")


def sort_keys(facts: Facts, column: str) -> Table:
    """The names of all queues and one of the columns in `SORTED_BY`: what decides which rows of many are drawn.

    Sorted by name where that is not the column itself. Raises `SourceError` without a broker, and `ConfigError` for
    another column.
    """
    known = broker_of(facts).queue_named.values()
    if column not in SORTED_BY:
        raise ConfigError(f"queues are not sorted by {column!r} here, only by {', '.join(SORTED_BY)}")
    value = SORTED_BY[column]
    columns = tuple(c for c in COLUMNS if c.name in ("name", column))
    rows = tuple((q.name,) if column == "name" else (q.name, value(facts, q)) for q in known)
    table = Table(name="queues", columns=columns, rows=rows, taken_at=facts.taken_at)
    return table if column == "name" else table.sorted("name")


def _row(facts: Facts, queue: QueueState) -> tuple[Cell, ...]:
    owner = worker_id(facts.topology, queue.name)
    worker = None if owner is None else facts.worker_named.get(owner)
    policy = queue.effective_policy or {}
    dead_letters = queue.arguments.get("x-dead-letter-exchange", policy.get("dead-letter-exchange"))
    head = queue.head_message_timestamp
    kind, consumers = queue_kind(facts, queue), consumer_count(facts, queue)
    return row(
        COLUMNS,
        queue,
        bytes=queue.message_bytes or (None if queue.messages else queue.message_bytes),  # not yet in the statistics
        consumers=consumers,
        alert=_alert(facts, queue, kind, consumers),
        ready=queue.messages_ready,
        unacked=queue.messages_unacknowledged,
        kind=kind,
        worker=None if worker is None else worker.name,
        worker_id=owner,
        dead_letter_exchange=None if dead_letters is None else str(dead_letters),
        oldest=None if head is None else facts.taken_at - head,
        origin=facts.origin,
        **(_UNKNOWN if facts.only_names else {"arguments": arguments(queue.arguments)}),
    )


def _alert(facts: Facts, queue: QueueState, kind: str, consumers: int | None) -> str | None:
    """What an operator must notice about a queue; None where that is unknown."""
    if queue.is_unavailable:
        return "unavailable"
    if queue.is_silent and not facts.only_names and facts.missing_reason((Source.DEPTHS,)) is None:
        return "unavailable"
    if queue.messages is None or consumers is None:
        return None
    if not consumers:
        unread = kind == "foreign" or queue.name in facts.memo(unread_by_design)
        return "ok" if not queue.messages else "unread" if unread else "no consumer"
    limits = [c.prefetch for c in facts.actual.consumers_of.get(queue.name, ()) if c.ack_required is not False]
    prefetch = sum(limit or 0 for limit in limits)
    full = len(limits) == consumers and all(limits) and (queue.messages_unacknowledged or 0) >= prefetch
    if not full or not queue.messages_ready or queue.ack_rate:
        return "ok"
    return "stuck" if queue.ack_rate == 0 and kind != "worker" else "prefetch full"
