"""How a `Table` shows itself."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any, Final, Literal, TypedDict

from attune_ops.model.errors import ConfigError, install
from attune_ops.model.table import Cell, Column, Kind, Table
from attune_ops.render import html, text, wire
from attune_ops.render.text import RIGHT, cells, remarks

if TYPE_CHECKING:
    import pandas as pd

SCHEMA: Final = "attune-ops/table/1"
JsonCell = str | int | float | bool | list[str] | None


class TableJson(TypedDict):
    """A table: the names of its columns in order, and each row by them. A time is UTC RFC 3339, null is unknown."""

    schema: Literal["attune-ops/table/1"]
    name: str
    taken_at: str | None
    columns: list[str]
    rows: list[dict[str, JsonCell]]
    notes: list[str]


JSON = TableJson  # what `as_json` returns; `config schema table` prints its schema

# Nullable types: an unknown count is <NA>, and the others stay integers.
_DTYPES = {
    Kind.TEXT: "string",
    Kind.CATEGORY: "category",
    Kind.INTEGER: "Int64",
    Kind.NUMBER: "Float64",
    Kind.FLAG: "boolean",
    Kind.TIME: "datetime64[ns, UTC]",
    Kind.AGE: "timedelta64[ns]",
    Kind.LIST: "object",
}


def as_table(table: Table) -> Any:
    """The most important columns that the terminal has room for; long names wrap, nothing is cut."""
    from attune_ops.render.fitting import Fitting

    return Fitting(table)


def as_text(table: Table) -> str:
    """All columns, in full, two spaces apart, without colours."""
    from rich.cells import cell_len

    if not table.rows:
        return "\n".join(remarks(table))
    lines = [[text.heading(c) for c in table.columns], *cells(table)]
    widths = [max(map(cell_len, column)) for column in zip(*lines, strict=True)]
    right = [c.kind in RIGHT for c in table.columns]

    def line(values: list[str]) -> str:
        padded = (
            " " * (w - cell_len(v)) + v if r else v + " " * (w - cell_len(v))
            for v, w, r in zip(values, widths, right, strict=True)
        )
        return "  ".join(padded).rstrip()

    return "\n".join([*map(line, lines), *remarks(table)])


def as_json(table: Table) -> TableJson:
    """`attune-ops/table/1`."""
    names = [c.json_name for c in table.columns]
    return {
        "schema": SCHEMA,
        "name": table.name,
        "taken_at": None if table.taken_at is None else wire.utc(table.taken_at),
        "columns": names,
        "rows": [dict(zip(names, map(wire.plain, row), strict=True)) for row in table.rows],
        "notes": list(table.notes),
    }


def as_csv(table: Table) -> str:
    """RFC 4180; names that a terminal or a spreadsheet would act on are made harmless."""
    return wire.csv_text((c.json_name for c in table.columns), table.rows)


def as_raw_csv(table: Table) -> str:
    """RFC 4180, the data exactly as it is: for programs."""
    return wire.csv_text((c.json_name for c in table.columns), table.rows, raw=True)


def as_markdown(table: Table) -> str:
    """A GitHub table; one line where there are no rows."""
    if not table.rows:
        return "\n".join(map(text.markdown, remarks(table)))
    rules = ["---:" if c.kind in RIGHT else "---" for c in table.columns]
    lines = [[text.markdown(text.heading(c)) for c in table.columns], rules]
    lines += [[text.markdown(v) for v in row] for row in cells(table)]
    return "\n".join([*("| " + " | ".join(line) + " |" for line in lines), *map(text.markdown, remarks(table))])


def as_html(table: Table) -> str:
    """A table in the colours of its surroundings, its notes below."""
    return html.fragment("table.html", table=table, cells=cells(table), right=RIGHT)


def load_pandas() -> Any:
    """The module pandas, which an extra installs. Raises `ConfigError` without it."""
    try:
        import pandas as pd
    except ImportError:
        raise ConfigError(f"a DataFrame needs pandas: {install('notebook')}") from None
    return pd


def as_frame(table: Table, attrs: dict[Hashable, Any] | None = None) -> pd.DataFrame:
    """Typed columns; `attrs` hold units and docs by column, when the table was taken, its notes, and those given.

    Raises `ConfigError` without pandas.
    """
    pandas = load_pandas()
    columns = table.columns
    values = list(zip(*table.rows, strict=True)) or [()] * len(columns)
    made: pd.DataFrame = pandas.DataFrame(
        {c.name: _series(pandas, c, list(v)) for c, v in zip(columns, values, strict=True)},
        columns=[c.name for c in columns],
    )
    made.attrs = {
        "units": {c.name: c.unit for c in columns if c.unit},
        "docs": {c.name: c.doc for c in columns if c.doc},
        "name": table.name,
        "taken_at": wire.plain(table.taken_at),
        "notes": list(table.notes),
        **(attrs or {}),
    }
    return made


def _series(pd: Any, column: Column, values: list[Cell]) -> Any:
    if column.kind is Kind.TIME:
        return pd.Series(pd.to_datetime(pd.Series(values, dtype="object"), utc=True), dtype=_DTYPES[Kind.TIME])
    return pd.Series(values, dtype=_DTYPES[column.kind])
