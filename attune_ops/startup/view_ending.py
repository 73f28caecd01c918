"""How the `Ending` of a service shows itself: what the clean stop did, and what remains."""

from __future__ import annotations

from typing import Any

import msgspec

from attune_ops.render.text import visible
from attune_ops.startup.startup_report import Ending


def as_table(ending: Ending) -> Any:
    """A line each, wrapped under itself."""
    from rich.table import Table

    grid = Table.grid(padding=(0, 1, 0, 0), expand=True)
    grid.add_column(width=8, style="dim")
    grid.add_column(ratio=1)
    for label, line in _lines(ending):
        grid.add_row(label, line)
    return grid


def as_text(ending: Ending) -> str:
    """The same without colours."""
    return "\n".join(f"{label:<8} {line}".rstrip() for label, line in _lines(ending))


def as_json(ending: Ending) -> Any:
    """`attune-ops/ending/1`: what was stopped and what remains."""
    return {"schema": "attune-ops/ending/1", **msgspec.to_builtins(ending)}


def _lines(ending: Ending) -> list[tuple[str, str]]:
    parts = (("stopped:", ending.stopped), ("left:", ending.left))
    return [(label if i == 0 else "", visible(line)) for label, lines in parts for i, line in enumerate(lines)]
