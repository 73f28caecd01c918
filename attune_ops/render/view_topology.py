"""How a topology shows itself: a table for each part, as its documentation has them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from attune_ops.model.table import Cell, Column, Kind, Table
from attune_ops.model.topology import Arguments, Consumer, Exchange, Queue, Topology
from attune_ops.model.topology_file import to_dict
from attune_ops.render import html, text, view_table

if TYPE_CHECKING:
    from rich.console import Group

SCHEMA = "attune-ops/topology/1"


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
    blocks = ("\n".join([part.name.capitalize(), view_table.as_text(part)]) for part in _parts(topology))
    return "\n\n".join(["\n".join(_heading(topology)), *blocks])


def _heading(topology: Topology) -> list[str]:
    return [text.visible(line) for line in (topology.name, topology.description) if line]


JSON = Topology  # with the member `schema`


def as_json(topology: Topology) -> dict[str, Any]:
    """`attune-ops/topology/1`: what a topology file holds."""
    return {"schema": SCHEMA, **to_dict(topology)}


def as_html(topology: Topology) -> str:
    """A table for each part."""
    return html.fragment("topology.html", heading=_heading(topology), parts=map(view_table.as_html, _parts(topology)))


def as_markdown(topology: Topology) -> str:
    """A heading and a GitHub table for each part."""
    blocks = [f"## {part.name.capitalize()}\n\n{view_table.as_markdown(part)}" for part in _parts(topology)]
    return "\n\n".join([f"# {text.markdown(text.visible(topology.name))}", *blocks])


def as_toml(topology: Topology) -> str:
    """The text of its topology file."""
    from attune_ops.model.topology_file import to_toml

    return to_toml(topology)


def _parts(topology: Topology) -> list[Table]:
    """A table for each part that is not empty."""
    t, declared = topology, Column("declared", Kind.LIST, doc="how, with its arguments")
    per = Column("per", Kind.CATEGORY, doc="once, each worker, or each replica")
    publishes = (Column("message_type"), Column("exchange"), Column("routing_key"), Column("by", Kind.LIST))
    by = Column("declared_by", doc="the service that declares it; else every service, by the common set-up")
    consumers = (
        Column("service"),
        Column("queue"),
        Column("tag"),
        Column("prefetch", unit="messages"),
        Column("acknowledges"),
    )
    parts = (
        _table("exchanges", (Column("exchange"), Column("type"), declared),
               ((e.name, e.type, _declared(e)) for e in t.exchanges)),
        _table("queues", (Column("queue"), per, declared, by),
               ((q.name, str(q.per), _declared(q), q.service or "common set-up") for q in t.queues)),
        _bindings(t),
        _table("publishes", publishes, ((p.message_type, p.exchange, p.routing_key, p.by) for p in t.publishes)),
        _table("consumers", consumers,
               ((c.service, c.queue, c.tag, str(c.prefetch), _acknowledges(c)) for c in t.consumers)),
    )  # fmt: skip
    return [part for part in parts if part.rows]


def _acknowledges(consumer: Consumer) -> str:
    """When it acknowledges, and how many it handles at once where the topology says so."""
    when = consumer.acknowledges.replace("-", " ")
    return when if consumer.at_once is None else f"{when}, {consumer.at_once} at a time"


def _bindings(t: Topology) -> Table:
    """The bindings; destination_kind and arguments are columns only where they differ from the usual."""
    kind, arguments = Column("destination_kind", Kind.CATEGORY), Column("arguments", Kind.LIST)
    table = _table(
        "bindings",
        (Column("source"), Column("routing_key"), Column("destination"), kind, arguments),
        ((b.source, b.routing_key, b.destination, b.destination_kind, _arguments(b.arguments)) for b in t.bindings),
    )
    usual = {kind.name: "queue", arguments.name: ()}
    return table.select(c.name for c in table.columns if set(table.column(c.name)) != {usual.get(c.name)})


def rows(topology: Topology) -> Table:
    """A row for each exchange, queue, binding, publish and consumer; `part` says which it is."""
    parts = _parts(topology)
    columns = {c.name: c for part in parts for c in part.columns}
    found = ((part.name, *map(record.get, columns)) for part in parts for record in part.records())
    return _table("topology", (Column("part", Kind.CATEGORY), *columns.values()), found)


def _table(name: str, columns: tuple[Column, ...], rows: Iterable[tuple[Cell, ...]]) -> Table:
    return Table(name, columns, tuple(rows), taken_at=None)


def _declared(item: Exchange | Queue) -> tuple[str, ...]:
    flags = ("durable" if item.durable else "transient", "auto-delete" if item.auto_delete else "",
             "exclusive" if isinstance(item, Queue) and item.exclusive else "",
             "internal" if isinstance(item, Exchange) and item.internal else "")  # fmt: skip
    return (*filter(None, flags), *_arguments(item.arguments))


def _arguments(values: Arguments) -> tuple[str, ...]:
    import json

    return tuple(f"{k}={v if isinstance(v, str) else json.dumps(v)}" for k, v in values.items())
