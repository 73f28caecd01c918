"""The table of the live view, and the field that filters it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.widgets import DataTable, Input

from attune_ops.monitoring.live_rows import Listing, Row, drawn, widths

MOST_ROWS = 500  # that it has at once: the filter finds the others


class Rows(DataTable[Text]):
    """The rows of one tab; the cursor stays on what it was on, wherever that has moved."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "select_cursor", "Detail", key_display="⏎"),
        # Textual's table has them for columns, and the row is what is chosen here.
        Binding("home", "scroll_top", "First row", show=False),
        Binding("end", "scroll_bottom", "Last row", show=False),
    ]

    shown: Sequence[Row] = ()

    @property
    def selected(self) -> str | None:
        """The key of the row under the cursor."""
        return self.shown[self.cursor_row].key if 0 <= self.cursor_row < len(self.shown) else None

    def forget(self) -> None:
        """Begins at the top: another tab."""
        self.shown = ()
        self.scroll_to(y=0, animate=False)

    def fill(self, listing: Listing | None, rows: Sequence[Row], by: int | None, descending: bool, total: int) -> None:
        """Shows rows in the columns that a terminal of `total` columns has room for."""
        selected, scroll = self.selected, self.scroll_y
        self.clear(columns=True)
        self.shown = rows[:MOST_ROWS]
        if listing is None or not rows:
            return
        size = widths(listing.columns, total)
        for i, width in size.items():
            column = listing.columns[i]
            head = f"{column.name}{(' ▼' if descending else ' ▲') if i == by else ''}"
            self.add_column(Text(head, justify="right" if column.right else "left"), width=max(width, len(head)))
        for row in self.shown:
            self.add_row(
                *(drawn(row.cells[i], row.mark if i == 0 else None, listing.columns[i], w) for i, w in size.items())
            )
        keys = [r.key for r in self.shown]
        if selected in keys:
            self.move_cursor(row=keys.index(selected), animate=False, scroll=False)
        self.scroll_to(y=scroll, animate=False, force=True)


class Filter(Input):
    """The words that a row must have; while it has the keys, the last line says what they do."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "submit", "Keep the filter", key_display="⏎"),
        Binding("escape", "app.clear", "Clear it", key_display="Esc"),
    ]
