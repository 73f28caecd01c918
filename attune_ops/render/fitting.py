"""A table that fits the terminal: the most important columns, names that wrap, and a word on what was left out."""

from __future__ import annotations

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.style import Style
from rich.table import Table as RichTable
from rich.text import Text

from attune_ops.render.table import RIGHT, cells, remarks
from attune_ops.render.text import NOT_TOLD
from attune_ops.table import Kind, Table

GAP = 2  # columns between two columns
NARROWEST = 24  # a text that is longer may wrap to this width


class Fitting:
    """A rich renderable that chooses its columns when it learns the width."""

    def __init__(self, table: Table) -> None:
        self.table = table

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        lines = cells(self.table)
        picked, hidden = self.choose(lines, options.max_width)
        made = RichTable(box=None, padding=(0, GAP, 0, 0), pad_edge=False, collapse_padding=True)
        for i in picked:
            column = self.table.columns[i]
            right = column.kind in RIGHT
            made.add_column(
                Text(column.name, style="bold"), justify="right" if right else "left", no_wrap=right, overflow="fold"
            )
        for line in lines:
            made.add_row(*(_styled(line[i]) for i in picked))
        yield made
        for remark in remarks(self.table):
            yield Text(remark, style="dim")
        if hidden:
            yield Text(f"not shown for lack of room: {', '.join(hidden)} (--columns, or a wider terminal)", style="dim")

    def choose(self, lines: list[list[str]], width: int) -> tuple[list[int], list[str]]:
        """The positions of the columns that have room in `width`, and the names of the others."""
        columns = self.table.columns
        needs = []
        for i, column in enumerate(columns):
            longest = max((cell_len(line[i]) for line in lines), default=0)
            if column.kind in (Kind.TEXT, Kind.LIST):
                longest = min(longest, NARROWEST)
            needs.append(max(longest, cell_len(column.name)) + GAP)
        picked = list(range(len(columns)))
        for i in sorted(picked, key=lambda i: (-columns[i].priority, -i)):
            if sum(needs[j] for j in picked) - GAP <= width or columns[i].priority <= 1:
                break
            picked.remove(i)
        return picked, [c.name for i, c in enumerate(columns) if i not in picked]


def _styled(value: str) -> Text:
    return Text(value, style=Style(dim=True) if value == NOT_TOLD else "")
