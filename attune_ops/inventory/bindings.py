"""The bindings of the virtual host."""

from __future__ import annotations

from attune_ops.inventory import arguments, row
from attune_ops.model.facts import Facts, Source
from attune_ops.model.ownership import broker_of, is_desired
from attune_ops.model.table import Column, Kind, Table

SOURCES = (Source.BROKER,)

COLUMNS = (
    Column("source", doc="the source exchange"),
    Column("routing_key", doc="the binding key"),
    Column("destination", doc="the queue or exchange that is bound"),
    Column("destination_kind", Kind.CATEGORY, doc="queue or exchange", priority=3),
    Column("wanted", Kind.FLAG, doc="desired: the topology has this binding", priority=2),
    Column("arguments", Kind.LIST, doc="arguments of the binding, used by headers exchanges", priority=4),
)


def bindings(facts: Facts) -> Table:
    """Every binding but the implicit ones of the default exchange; raises `SourceError` without a broker."""
    return Table(
        name="bindings",
        columns=COLUMNS,
        rows=tuple(
            row(COLUMNS, b, wanted=is_desired(facts, b), arguments=arguments(b.arguments))
            for b in broker_of(facts).bindings or ()
        ),
        taken_at=facts.taken_at,
        key=("source", "routing_key", "destination"),
    ).sorted("source", "routing_key", "destination")
