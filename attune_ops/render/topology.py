"""How a topology shows itself: a table for each part, as its documentation has them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attune_ops.render import table, text
from attune_ops.table import Cell, Column, Kind, Table
from attune_ops.topology import Arguments, Per, Queue, Topology
from attune_ops.topology_file import to_dict

if TYPE_CHECKING:
    from rich.console import Group

SCHEMA = "attune-ops/topology/1"

PARTS = ("exchanges", "queues", "bindings", "publishes", "consumers")


def as_table(topology: Topology) -> Group:
    """Its name, then a table for each part."""
    from rich.console import Group
    from rich.text import Text

    from attune_ops.render.fitting import Fitting

    made: list[Any] = [Text(line, overflow="fold") for line in _heading(topology)]
    for part in _parts(topology):
        made += [Text(""), Text(part.name.capitalize(), style="bold"), Fitting(part)]
    return Group(*made)


def as_text(topology: Topology) -> str:
    """The same, uncut."""
    blocks = ("\n".join([part.name.capitalize(), table.as_text(part)]) for part in _parts(topology))
    return "\n\n".join(["\n".join(_heading(topology)), *blocks])


def _heading(topology: Topology) -> list[str]:
    return [text.visible(line) for line in (topology.name, topology.description) if line]


def as_json(topology: Topology) -> dict[str, Any]:
    """`attune-ops/topology/1`: what a topology file holds."""
    return {"schema": SCHEMA, **to_dict(topology)}


def as_csv(topology: Topology) -> str:
    """A record for each exchange, queue, binding, publish and consumer; `part` says which it is."""
    columns = list(dict.fromkeys(c.name for part in _parts(topology) for c in part.columns))
    rows: list[tuple[Cell, ...]] = []
    for part in _parts(topology):
        rows += [(part.name, *(record.get(name) for name in columns)) for record in part.records()]
    from attune_ops.render import wire

    return wire.csv_text(["part", *columns], rows)


def as_markdown(topology: Topology) -> str:
    """A heading and a GitHub table for each part."""
    blocks = [f"## {part.name.capitalize()}\n\n{table.as_markdown(part)}" for part in _parts(topology)]
    return "\n\n".join([f"# {text.markdown(text.visible(topology.name))}", *blocks])


def as_toml(topology: Topology) -> str:
    """The text of its topology file."""
    from attune_ops.toml_text import to_toml

    return to_toml(topology)


def _parts(topology: Topology) -> list[Table]:
    made = (_exchanges, _queues, _bindings, _publishes, _consumers)
    return [part for part in (make(topology) for make in made) if part.rows]


def _table(name: str, columns: tuple[Column, ...], rows: tuple[tuple[Cell, ...], ...]) -> Table:
    from datetime import UTC, datetime

    return Table(name, columns, rows, datetime.fromtimestamp(0, UTC))  # a topology is of no time


ARGUMENTS = Column("arguments", Kind.LIST, doc="as declared")


def _exchanges(t: Topology) -> Table:
    columns = (Column("exchange"), Column("type"), Column("durable", Kind.FLAG),
               Column("auto_delete", Kind.FLAG, priority=3), Column("internal", Kind.FLAG, priority=4),
               ARGUMENTS)  # fmt: skip
    rows = tuple((e.name, e.type, e.durable, e.auto_delete, e.internal, _arguments(e.arguments)) for e in t.exchanges)
    return _table("exchanges", columns, rows)


def _queues(t: Topology) -> Table:
    columns = (Column("queue"), Column("per", doc="once, each worker or each replica of a service"),
               Column("durable", Kind.FLAG, priority=2), Column("auto_delete", Kind.FLAG, priority=2),
               Column("exclusive", Kind.FLAG, priority=3), ARGUMENTS)  # fmt: skip
    rows = tuple((q.name, _per(q), q.durable, q.auto_delete, q.exclusive, _arguments(q.arguments)) for q in t.queues)
    return _table("queues", columns, rows)


def _per(queue: Queue) -> str:
    return f"{queue.service} replica" if queue.per is Per.REPLICA else str(queue.per)


def _bindings(t: Topology) -> Table:
    columns = (Column("source"), Column("routing_key"), Column("destination"), Column("destination_kind", priority=3),
               Column("arguments", Kind.LIST, priority=2))  # fmt: skip
    rows = tuple(
        (b.source, b.routing_key, b.destination, b.destination_kind, _arguments(b.arguments)) for b in t.bindings
    )
    return _table("bindings", columns, rows)


def _publishes(t: Topology) -> Table:
    columns = (Column("message_type"), Column("exchange"), Column("routing_key"), Column("by", Kind.LIST))
    return _table("publishes", columns, tuple((p.message_type, p.exchange, p.routing_key, p.by) for p in t.publishes))


def _consumers(t: Topology) -> Table:
    columns = (Column("service"), Column("queue"), Column("tag"), Column("prefetch", unit="messages"))
    return _table("consumers", columns, tuple((c.service, c.queue, c.tag, str(c.prefetch)) for c in t.consumers))


def _arguments(values: Arguments) -> tuple[str, ...]:
    import json

    return tuple(f"{k}={v if isinstance(v, str) else json.dumps(v)}" for k, v in values.items())
