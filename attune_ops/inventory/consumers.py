"""The consumers of the virtual host."""

from __future__ import annotations

from collections.abc import Iterator

from attune_ops.inventory import freshness, origin, row
from attune_ops.model.facts import Facts, Source
from attune_ops.model.ownership import broker_of, require, service_of
from attune_ops.model.snapshot import ConsumerState
from attune_ops.model.table import Cell, Column, Kind, Table

SOURCES = (Source.BROKER, Source.CONSUMERS, Source.CONNECTIONS)

COLUMNS = (
    Column("queue", doc="the queue that is consumed"),
    Column("tag", doc="the consumer tag"),
    Column("service", Kind.CATEGORY, doc="the service with this tag in the topology; unknown for other tags"),
    Column("prefetch", Kind.INTEGER, "messages", "prefetch limit; 0 is unlimited", 2),
    Column("ack", Kind.FLAG, doc="manual acknowledgement", priority=4),
    Column("active", Kind.FLAG, doc="receives messages (single active consumer)", priority=5),
    Column("activity", Kind.CATEGORY, doc="activity status of the broker", priority=4),
    Column("exclusive", Kind.FLAG, doc="exclusive consumer of the queue", priority=5),
    Column("client", doc="the client-provided connection name", priority=3),
    Column("peer", doc="the client's host", priority=3),
    Column("user", doc="the broker user", priority=4),
    Column("connected", Kind.AGE, "s", "age of its connection", 5),
    Column("connection", doc="the broker's name for the connection", priority=6),
    Column("channel", doc="the broker's name for the channel", priority=6),
    origin(),
)


def consumers(facts: Facts) -> Table:
    """Every consumer with the connection it uses; raises `SourceError` where the broker did not report them."""
    require(facts, Source.BROKER, Source.CONSUMERS)
    return Table(
        name="consumers",
        columns=COLUMNS,
        rows=tuple(_rows(facts)),
        taken_at=facts.taken_at,
        notes=freshness(
            facts,
            live={},
            sampled={"consumers": Source.CONSUMERS, "client, connected": Source.CONNECTIONS},
        ),
        key=("queue", "tag"),
    ).sorted("queue", "tag")


def _rows(facts: Facts) -> Iterator[tuple[Cell, ...]]:
    broker = broker_of(facts)
    if broker.consumers is not None:
        yield from (_row(facts, c) for c in broker.consumers)
        return
    for queue in broker.queues or ():  # by passive declare only their number is known
        known: dict[str, Cell] = {"queue": queue.name, "origin": facts.origin}
        yield from (tuple(known.get(c.name) for c in COLUMNS) for _ in range(queue.consumers or 0))


def _row(facts: Facts, consumer: ConsumerState) -> tuple[Cell, ...]:
    connection = broker_of(facts).connection_named.get(consumer.connection)
    since = None if connection is None else connection.connected_at
    return row(
        COLUMNS,
        consumer,
        service=service_of(facts, consumer),
        ack=consumer.ack_required,
        activity=consumer.activity_status,
        client=None if connection is None else connection.client_name,
        peer=consumer.peer_host,
        connected=None if since is None else facts.taken_at - since,
        connection=consumer.connection or None,
        channel=consumer.channel or None,
        origin=facts.origin,
    )
