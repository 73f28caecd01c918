"""The policies of the virtual host, and what each is in force for; the safety policies that are not set."""

from __future__ import annotations

from attune_ops.inventory import arguments
from attune_ops.model.facts import Facts, Source
from attune_ops.model.ownership import require
from attune_ops.model.table import Cell, Column, Kind, Table
from attune_ops.topology.policies.presets import in_force, presets

SOURCES = (Source.BROKER,)

COLUMNS = (
    Column("name", doc="the policy's name"),
    Column("is", Kind.CATEGORY, doc="set; operator: an operator policy; not set: one of the safety policies"),
    Column("apply_to", Kind.CATEGORY, doc="queues, exchanges, all, or a queue type"),
    Column("pattern", doc="found in the names that it means", priority=2),
    Column("priority", Kind.INTEGER, doc="the highest of those that match is in force, alone"),
    Column("definition", Kind.LIST, doc="its settings"),
    Column("objects", Kind.INTEGER, "objects", "it is in force for", priority=3),
    Column("in_force_for", Kind.LIST, doc="the queues and exchanges that it is in force for", priority=4),
)


def policies(facts: Facts) -> Table:
    """Set and unset policies; raises `SourceError` where the broker was not read."""
    require(facts, Source.BROKER)
    there = facts.actual.policies or ()
    objects = in_force(facts)
    rows: list[tuple[Cell, ...]] = [
        (
            p.name, "operator" if p.operator else "set", p.apply_to, p.pattern, p.priority, arguments(p.definition),
            None if p.operator else len(objects[p.name]), () if p.operator else tuple(objects[p.name]),
        )
        for p in there
    ]  # fmt: skip
    known = {p.name for p in there}
    for preset in presets(facts.topology).values():
        if preset.name not in known:
            definition = arguments(preset.definition)
            rows.append((preset.name, "not set", preset.apply_to, preset.pattern, None, definition, None, ()))
    return Table(
        name="policies",
        columns=COLUMNS,
        rows=tuple(rows),
        taken_at=facts.taken_at,
    ).sorted("name")
