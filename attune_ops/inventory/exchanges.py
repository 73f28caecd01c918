"""The exchanges of the virtual host."""

from __future__ import annotations

from attune_ops.inventory import STATISTICS, arguments, row
from attune_ops.model.facts import Facts, Source
from attune_ops.model.ownership import broker_of, exchange_kind
from attune_ops.model.table import Column, Kind, Table

SOURCES = (Source.BROKER,)

COLUMNS = (
    Column("name", doc='its name; "" is the default exchange'),
    Column("type", Kind.CATEGORY, doc="direct, topic, fanout, headers or a plugin's type"),
    Column(
        "kind", Kind.CATEGORY, doc="base: of the topology; builtin: the broker's own; foreign: unmanaged", priority=2
    ),
    Column("bindings", Kind.INTEGER, "bindings", "with this source; implicit for the default exchange"),
    Column("durable", Kind.FLAG, doc="survives a broker restart", priority=3),
    Column("auto_delete", Kind.FLAG, doc="deleted with its last binding", priority=4),
    Column("internal", Kind.FLAG, doc="clients cannot publish to it", priority=4),
    Column("policy", doc="the effective policy", priority=4),
    Column("published_in", Kind.INTEGER, "messages", "published to it since it was declared", 3),
    Column("published_out", Kind.INTEGER, "messages", "routed from it since it was declared", 3),
    Column("arguments", Kind.LIST, doc="as declared", priority=5),
)


def exchanges(facts: Facts) -> Table:
    """Every exchange with its number of bindings; raises `SourceError` without a broker."""
    broker = broker_of(facts)
    return Table(
        name="exchanges",
        columns=COLUMNS,
        rows=tuple(
            row(
                COLUMNS,
                e,
                kind=exchange_kind(facts.topology, e.name),
                bindings=len(broker.bindings_from.get(e.name, ())) if e.name else None,
                published_in=e.publish_in,
                published_out=e.publish_out,
                arguments=arguments(e.arguments),
            )
            for e in broker.exchanges or ()
        ),
        taken_at=facts.taken_at,
        notes=(f"published_in, published_out: {STATISTICS}; unknown for an exchange without publishes",),
    ).sorted("name")
