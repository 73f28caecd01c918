"""How a `Health` is shown: one line."""

from __future__ import annotations

from typing import Literal, TypedDict

from attune_ops.doctor.health_check import SCHEMA, Health
from attune_ops.doctor.health_check import Kind as Checked
from attune_ops.model.table import Column, Kind, Table
from attune_ops.render.text import visible
from attune_ops.render.wire import utc

COLUMNS = (
    Column("kind", Kind.CATEGORY),
    Column("name"),
    Column("healthy", Kind.FLAG),
    Column("reasons", Kind.LIST),
    Column("seen", Kind.LIST),
    Column("origin", Kind.CATEGORY),
    Column("skipped", Kind.LIST),
    Column("taken_at", Kind.TIME),
)


def as_table(health: Health) -> str:
    """The line; control characters are escaped, so that it stays one line."""
    return visible(health.line)


def as_markdown(health: Health) -> str:
    """The line as an item of a list."""
    return f"- {as_table(health)}"


class HealthJson(TypedDict):
    """The outcome of a health check: `reasons` against health, `seen` in order, `skipped` with the reason."""

    schema: Literal["attune-ops/health/1"]
    kind: Checked
    name: str
    healthy: bool
    reasons: list[str]
    seen: list[str]
    origin: str
    skipped: list[str]
    taken_at: str
    duration_ms: float


JSON = HealthJson


def as_json(health: Health) -> HealthJson:
    """Everything the check found."""
    return {
        "schema": SCHEMA,
        "kind": health.kind,
        "name": health.name,
        "healthy": health.healthy,
        "reasons": list(health.reasons),
        "seen": list(health.seen),
        "origin": health.origin,
        "skipped": list(health.skipped),
        "taken_at": utc(health.taken_at),
        "duration_ms": round(health.duration_ms, 3),
    }


def rows(health: Health) -> Table:
    """One row."""
    return Table("health", COLUMNS, (tuple(getattr(health, c.name) for c in COLUMNS),), health.taken_at)
