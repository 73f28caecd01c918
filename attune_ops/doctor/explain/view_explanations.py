"""How explained errors are shown: the text found, the state of this installation, the meaning, the fix."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from attune_ops.doctor.explain.explanation import Explanation, Explanations
from attune_ops.model.table import Column, Kind, Table
from attune_ops.render import text
from attune_ops.render.text import Line

COLUMNS = (
    Column("count", Kind.INTEGER),
    Column("line", Kind.INTEGER, doc="first line with this error"),
    Column("code", Kind.INTEGER, doc="the AMQP reply code"),
    Column("name", Kind.CATEGORY),
    Column("closes", Kind.CATEGORY, doc="what the broker closes because of it: channel or connection"),
    Column("operation", Kind.CATEGORY, doc="the AMQP method that was refused"),
    Column("subject"),
    Column("text"),
    Column("meaning"),
    Column("here", Kind.LIST, doc="state of this installation"),
    Column("remedy"),
    Column("commands", Kind.LIST),
)


def lines(explanations: Explanations, limit: int | None) -> Iterator[Line]:
    """A block for each error, with an empty line below it."""
    styles = {"text": "dim", "here": "bold", "$": "cyan"}
    for error in explanations.errors:
        yield 0, _heading(error), "bold red"
        for label, line in _body(error):
            yield 2, f"$ {line}" if label == "$" else line, styles.get(label, "")
        yield 0, "", ""
    yield 0, text.visible(explanations.checked), "dim"


JSON = Explanations


def as_json(explanations: Explanations) -> Any:
    """`attune-ops/explain/1`."""
    return msgspec.to_builtins(explanations)


def as_markdown(explanations: Explanations) -> str:
    """A section for each error."""
    lines: list[str] = []
    for error in explanations.errors:
        lines.append(f"### {text.markdown(_heading(error))}\n")
        for label, line in _body(error):
            lines.append(f"    {line}\n" if label in ("text", "$") else f"{text.markdown(line)}\n")
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
    """The lines below the heading, each with its label: text, here, meaning, remedy, a command ($)."""
    shown = " ".join(error.text.split())
    lines = [("text", shown)] if shown != str(error.code) else []
    lines += [("here", line) for line in error.here]
    lines += [("meaning", error.meaning), ("remedy", error.remedy)]
    lines += [("$", command) for command in error.commands]
    return [(label, text.visible(line)) for label, line in lines]
