"""How explained errors show themselves: what was found, what it means, what is so here, what to do."""

from __future__ import annotations

from typing import Any

import msgspec

from attune_ops.doctor.explain.explanation import Explanation, Explanations
from attune_ops.model.table import Column, Kind, Table
from attune_ops.render import text

COLUMNS = (
    Column("count", Kind.INTEGER),
    Column("line", Kind.INTEGER, doc="where it occurs first"),
    Column("code", Kind.INTEGER, doc="the AMQP reply code"),
    Column("name", Kind.CATEGORY),
    Column("closes", Kind.CATEGORY, doc="what the broker closes with it"),
    Column("operation", Kind.CATEGORY, doc="the AMQP method that was refused"),
    Column("subject"),
    Column("text"),
    Column("meaning"),
    Column("here", Kind.LIST, doc="what is so on this installation"),
    Column("remedy"),
    Column("commands", Kind.LIST),
)


def as_table(explanations: Explanations) -> Any:
    """A block for each error."""
    from rich.console import Group
    from rich.padding import Padding
    from rich.text import Text

    blocks: list[Any] = []
    for error in explanations.errors:
        blocks.append(Text(_heading(error), style="bold red"))
        for label, line in _body(error):
            style = {"": "dim", "here": "bold", "$": "cyan"}.get(label, "")
            blocks.append(Padding(Text(f"{label} {line}" if label == "$" else line, style=style), (0, 0, 0, 2)))
        blocks.append(Text())
    return Group(*blocks, Text(text.visible(explanations.checked), style="dim"))


def as_text(explanations: Explanations) -> str:
    """The same without colours."""
    lines: list[str] = []
    for error in explanations.errors:
        lines += [_heading(error), *(f"  {'$ ' if label == '$' else ''}{line}" for label, line in _body(error)), ""]
    return "\n".join([*lines, text.visible(explanations.checked)])


def as_json(explanations: Explanations) -> Any:
    """`attune-ops/explain/1`."""
    return msgspec.to_builtins(explanations)


def as_markdown(explanations: Explanations) -> str:
    """A section for each error."""
    lines: list[str] = []
    for error in explanations.errors:
        lines.append(f"### {text.markdown(_heading(error))}\n")
        for label, line in _body(error):
            lines.append(f"    {line}\n" if label in ("", "$") else f"{text.markdown(line)}\n")
    return "\n".join([*lines, text.markdown(text.visible(explanations.checked))])


def rows(explanations: Explanations) -> Table:
    """A row an error."""
    found = tuple(tuple(getattr(e, c.name) for c in COLUMNS) for e in explanations.errors)
    return Table("errors", COLUMNS, found, taken_at=None)


def _heading(error: Explanation) -> str:
    """Code, name, how often and where: "404 NOT_FOUND in basic.consume (3 times, first in line 12)"."""
    where = f" in {error.operation}" if error.operation else ""
    often = f" ({error.count} times, first in line {error.line})" if error.count > 1 else ""
    return text.visible(f"{error.heading}{where}{often}")


def _body(error: Explanation) -> list[tuple[str, str]]:
    """The lines below the heading, each with what it is: the text itself (''), here, meaning, remedy, a command ($)."""
    shown = " ".join(error.text.split())
    lines = [("", shown)] if shown != str(error.code) else []
    lines += [("here", line) for line in error.here]
    lines += [("meaning", error.meaning), ("remedy", error.remedy)]
    lines += [("$", command) for command in error.commands]
    return [(label, text.visible(line)) for label, line in lines]
