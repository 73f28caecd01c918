"""How the `Ending` of a service shows itself: what the clean stop did, and what remains."""

from __future__ import annotations

from typing import Any

import msgspec

from attune_ops.render.text import visible
from attune_ops.startup.startup_report import Ending

SCHEMA = "attune-ops/ending/1"
JSON = Ending  # with the member `schema`
INDENT = 9  # columns of the label


def as_table(ending: Ending) -> Any:
    """A line each, wrapped under itself."""
    from rich.console import Group
    from rich.text import Text

    from attune_ops.render.terminal import Hanging

    return Group(*(Hanging(Text.assemble((line[:INDENT], "dim"), line[INDENT:]), INDENT) for line in _lines(ending)))


def as_text(ending: Ending) -> str:
    """The same without colours."""
    return "\n".join(_lines(ending))


def as_json(ending: Ending) -> Any:
    """`attune-ops/ending/1`: what was stopped and what remains."""
    return {"schema": SCHEMA, **msgspec.to_builtins(ending)}


def labelled(ending: Ending) -> list[tuple[str, str]]:
    """Each line with its label."""
    return [("stopped:", visible(line)) for line in ending.stopped] + [
        ("remains:", visible(line)) for line in ending.left
    ]


def _lines(ending: Ending) -> list[str]:
    before = ["", *(label for label, _ in labelled(ending))]
    return [
        f"{'' if label == b else label:<{INDENT}}{line}"
        for b, (label, line) in zip(before, labelled(ending), strict=False)
    ]
