"""The dashboard's own widgets: a table with headings that sort, and findings with commands to copy.

Each is a JavaScript module beside this file, run by anywidget. The kernel filters and sorts, and sends text.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Any, TypedDict

import anywidget
import traitlets as t

from attune_ops.render.html import script


class Heading(TypedDict):
    """A column: numbers stand on the right and sort descending first. One without a name cannot be sorted."""

    name: str
    doc: str
    right: bool


class Content(TypedDict):
    """The rows that are drawn; a cell is its text, its colour (warning, error or none), and the points of a line."""

    columns: list[Heading]
    rows: list[list[tuple[str, str, str]]]
    notes: list[str]
    stale: bool


def _source(name: str) -> str:
    return files("attune_ops.notebook.dashboard").joinpath(name).read_text()


class Grid(anywidget.AnyWidget):
    """A table; the browser changes `filter`, `order` and `descending`, and the kernel answers with `content`."""

    _esm = _source("grid.js")
    _css = _source("grid.css")
    label = t.Unicode().tag(sync=True)
    filter = t.Unicode().tag(sync=True)
    order = t.Unicode().tag(sync=True)
    descending = t.Bool(False).tag(sync=True)
    content = t.Dict().tag(sync=True)

    def __init__(self, label: str, order: str) -> None:
        super().__init__(label=label, order=order, content=_nothing())

    def say(self, sentence: str) -> None:
        """Shows a sentence in place of the table."""
        self.content = {**_nothing(), "notes": [sentence]}


class Findings(anywidget.AnyWidget):
    """Findings as HTML with escaped text. What is unfolded stays unfolded when they are drawn again."""

    _esm = script("copy_button.js") + _source("findings.js")
    value = t.Unicode().tag(sync=True)


def _nothing() -> dict[str, Any]:
    return {"columns": [], "rows": [], "notes": [], "stale": False}
