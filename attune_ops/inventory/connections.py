"""The client connections of the virtual host."""

from __future__ import annotations

from attune_ops.inventory import freshness, row
from attune_ops.model.facts import Facts, Source
from attune_ops.model.ownership import broker_of, require
from attune_ops.model.snapshot import ConnectionState
from attune_ops.model.table import Cell, Column, Kind, Table

SOURCES = (Source.BROKER, Source.CONSUMERS, Source.CONNECTIONS)

COLUMNS = (
    Column("name", doc="the broker's name for the connection"),
    Column("client", doc="the client-provided connection name"),
    Column("user", doc="the broker user", priority=2),
    Column("peer", doc="the client's host", priority=3),
    Column("state", Kind.CATEGORY, doc="running, blocked, flow", priority=4),
    Column("channels", Kind.INTEGER, "channels", "open channels", 4),
    Column("consumers", Kind.INTEGER, "consumers", "its consumers"),
    Column("queues", Kind.LIST, doc="the queues that it consumes from", priority=3),
    Column("unacked", Kind.INTEGER, "messages", "delivered to it, not acknowledged"),
    Column("connected", Kind.AGE, "s", "age of the connection", 4),
    Column("heartbeat", Kind.INTEGER, "s", "negotiated AMQP heartbeat; 0 is none", 6),
    Column("product", doc="the client library", priority=6),
    Column("node", doc="the node that it is connected to", priority=8),
)


def connections(facts: Facts) -> Table:
    """Every connection with what it consumes and holds; raises `SourceError` where the broker did not report them."""
    require(facts, Source.BROKER, Source.CONNECTIONS)
    return Table(
        name="connections",
        columns=COLUMNS,
        rows=tuple(_row(facts, c) for c in broker_of(facts).connections or ()),
        taken_at=facts.taken_at,
        notes=freshness(
            facts,
            live={},
            sampled={"connections, channels, unacked": Source.CONNECTIONS, "consumers, queues": Source.CONSUMERS},
        ),
        key=("name", "client"),
    ).sorted("client", "name")


def _row(facts: Facts, connection: ConnectionState) -> tuple[Cell, ...]:
    broker = broker_of(facts)
    consumers = None if broker.consumers is None else [c for c in broker.consumers if c.connection == connection.name]
    held = [c.messages_unacknowledged for c in broker.channels or () if c.connection == connection.name]
    known = [count for count in held if count is not None]  # a young channel has no statistics yet
    since = connection.connected_at
    return row(
        COLUMNS,
        connection,
        client=connection.client_name,
        peer=connection.peer_host,
        consumers=None if consumers is None else len(consumers),
        queues=None if consumers is None else tuple(sorted({c.queue for c in consumers})),
        unacked=None if broker.channels is None or len(known) < len(held) else sum(known),
        connected=None if since is None else facts.taken_at - since,
    )
