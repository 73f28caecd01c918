"""How a `Health` shows itself: one line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attune_ops.doctor.health_result import SCHEMA, Health
from attune_ops.render.text import visible
from attune_ops.render.wire import csv_text, plain

if TYPE_CHECKING:
    import pandas as pd

MEMBERS = ("kind", "name", "healthy", "reasons", "seen", "taken_at")


def as_table(health: Health) -> str:
    """The line."""
    return as_text(health)


def as_text(health: Health) -> str:
    """The line; whatever a terminal might act on is made visible, so that it stays one."""
    return visible(health.line)


def as_markdown(health: Health) -> str:
    """The line as an item of a list."""
    return f"- {as_text(health)}"


def as_json(health: Health) -> dict[str, Any]:
    """Everything the look found."""
    return {
        "schema": SCHEMA,
        "kind": health.kind,
        "name": health.name,
        "healthy": health.healthy,
        "reasons": list(health.reasons),
        "seen": list(health.seen),
        "taken_at": plain(health.taken_at),
        "duration_ms": round(health.duration_ms, 3),
    }


def as_csv(health: Health) -> str:
    """One record."""
    return csv_text(MEMBERS, [[getattr(health, name) for name in MEMBERS]])


def as_frame(health: Health) -> pd.DataFrame:
    """One record as a DataFrame."""
    import pandas as pd

    return pd.DataFrame([{name: getattr(health, name) for name in MEMBERS}])
