"""How a `Table` shows itself."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

from attune_ops.model.table import Column, Kind, Table
from attune_ops.render import frame, html, text, wire

if TYPE_CHECKING:
    import pandas as pd

SCHEMA = "attune-ops/table/1"
RIGHT = (Kind.INTEGER, Kind.NUMBER, Kind.AGE)


def as_table(table: Table) -> Any:
    """The most important columns that the terminal has room for; long names wrap, nothing is cut."""
    from attune_ops.render.fitting import Fitting

    return Fitting(table)


def as_text(table: Table) -> str:
    """All columns, in full, two spaces apart, without colours."""
    from rich.cells import cell_len

    if not table.rows:
        return "\n".join(remarks(table))
    lines = [[text.visible(c.name) for c in table.columns], *cells(table)]
    widths = [max(map(cell_len, column)) for column in zip(*lines, strict=True)]
    right = [c.kind in RIGHT for c in table.columns]

    def line(values: list[str]) -> str:
        padded = (
            " " * (w - cell_len(v)) + v if r else v + " " * (w - cell_len(v))
            for v, w, r in zip(values, widths, right, strict=True)
        )
        return "  ".join(padded).rstrip()

    return "\n".join([*map(line, lines), *remarks(table)])


def as_json(table: Table) -> dict[str, Any]:
    """`attune-ops/table/1`."""
    names = [wire_name(c) for c in table.columns]
    return {
        "schema": SCHEMA,
        "name": table.name,
        "taken_at": wire.plain(table.taken_at),
        "columns": names,
        "rows": [dict(zip(names, map(wire.plain, row), strict=True)) for row in table.rows],
        "notes": list(table.notes),
    }


def as_csv(table: Table) -> str:
    """RFC 4180, the data exactly as it is."""
    return wire.csv_text(map(wire_name, table.columns), table.rows)


def as_markdown(table: Table) -> str:
    """A GitHub table; one line where there are no rows."""
    if not table.rows:
        return "\n".join(map(text.markdown, remarks(table)))
    rules = ["---:" if c.kind in RIGHT else "---" for c in table.columns]
    lines = [[text.markdown(text.visible(c.name)) for c in table.columns], rules]
    lines += [[text.markdown(v) for v in row] for row in cells(table)]
    return "\n".join([*("| " + " | ".join(line) + " |" for line in lines), *map(text.markdown, remarks(table))])


def as_html(table: Table) -> str:
    """A table in the colours of its surroundings, its notes below."""
    return html.fragment("table.html", table=table, cells=cells(table), right=RIGHT)


def as_frame(table: Table) -> pd.DataFrame:
    """Typed columns; `attrs` hold the units, what each column says, when it was taken and the notes."""
    attrs: dict[Hashable, Any] = {
        "name": table.name,
        "taken_at": wire.plain(table.taken_at),
        "notes": list(table.notes),
    }
    return frame.frame(table.columns, table.rows, attrs)


def cells(table: Table) -> list[list[str]]:
    """Every cell as people read it."""
    return [[text.cell(v, c) for v, c in zip(row, table.columns, strict=True)] for row in table.rows]


def remarks(table: Table) -> list[str]:
    """The lines below the table: that it is empty, and its notes."""
    lines = [*([] if table.rows else [f"no {text.visible(table.name)}"]), *(text.visible(n) for n in table.notes)]
    return ["", *lines] if lines and table.rows else lines


def wire_name(column: Column) -> str:
    """The column's name for programs, which get a span in milliseconds."""
    return f"{column.name}_ms" if column.kind is Kind.AGE else column.name
