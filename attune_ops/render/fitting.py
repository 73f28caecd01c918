"""A table that fits the terminal: the most important columns, names that wrap, and a line on the columns left out."""

from __future__ import annotations

import msgspec
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table as RichTable
from rich.text import Text

from attune_ops.model.table import Kind, Table
from attune_ops.model.units import counted
from attune_ops.render.text import RIGHT, UNKNOWN, cells, heading, remarks

GAP = 2  # characters between two columns
WIDEST = 36, 0.4  # characters, part of the width: a longer text wraps instead of pushing out other columns

# The values to notice; all others keep the terminal's own colour.
STYLES = {
    UNKNOWN: "dim",
    "foreign": "dim",
    "builtin": "dim",
    "stopped": "dim",
    "ready": "green",
    "ok": "green",
    "starting": "cyan",
    "unread": "cyan",
    "prefetch full": "yellow",
    "stuck": "red",
    "unavailable": "red",
    "crashed": "red",
    "set inactive": "red",
    "stale": "yellow",
    "unregistered": "yellow",
    "no queue": "red",
    "no consumer": "red",
    "error": "red",
}
SEVERE = ("red", "yellow")


def fitted(table: Table, width: int) -> Table:
    """The table with the columns that fit `width`, and a note on the others: for a person behind a pipe."""
    names = [table.columns[i].name for i in Fitting(table).choose(cells(table), width)]
    hidden = len(table.columns) - len(names)
    if not hidden:
        return table
    more = f"{counted(hidden, 'more column')} in a wider terminal, or with a larger COLUMNS"
    return msgspec.structs.replace(table.select(names), notes=(*table.notes, more))


class Fitting:
    """A rich renderable that chooses its columns by the width of the terminal."""

    def __init__(self, table: Table) -> None:
        self.table = table

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if not self.table.rows:
            yield from (Text(line, style="dim") for line in remarks(self.table))
            return
        lines = cells(self.table)
        picked = self.choose(lines, options.max_width)
        made = RichTable(box=None, padding=(0, GAP, 0, 0), pad_edge=False, collapse_padding=True)
        for i in picked:
            column = self.table.columns[i]
            right = column.kind in RIGHT
            header = Text(heading(column), style="bold")
            made.add_column(header, justify="right" if right else "left", no_wrap=right, overflow="fold")
        for line in lines:
            styles = [self._style(i, value) for i, value in enumerate(line)]
            styles[0] = styles[0] or next((s for s in SEVERE if s in styles), "")  # what the row is about
            made.add_row(*(Text(line[i], style=styles[i]) for i in picked))
        yield made
        notes, hidden = remarks(self.table), len(self.table.columns) - len(picked)
        if hidden:
            how = "--columns NAME,… or a wider terminal" if self.table.columns_option else "in a wider terminal"
            notes = [*(notes or [""]), f"{counted(hidden, 'more column')}: {how}"]
        yield from (Text(line, style="dim") for line in notes)

    def choose(self, lines: list[list[str]], width: int) -> list[int]:
        """The positions of the columns that fit `width`."""
        columns = self.table.columns
        widest = max(WIDEST[0], int(WIDEST[1] * width))
        needs = [
            min(max(cell_len(heading(column)), *(cell_len(line[i]) for line in lines), 0), widest) + GAP
            for i, column in enumerate(columns)
        ]
        picked = list(range(len(columns)))
        for i in sorted(picked, key=lambda i: (-columns[i].priority, -i)):
            if sum(needs[j] for j in picked) - GAP <= width or columns[i].priority <= 1:
                break
            picked.remove(i)
        return picked

    def _style(self, column: int, value: str) -> str:
        coloured = value == UNKNOWN or self.table.columns[column].kind is Kind.CATEGORY
        return STYLES.get(value, "") if coloured else ""
