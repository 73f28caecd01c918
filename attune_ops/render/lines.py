"""Lines of words with an indent and a style each, which wrap under their indent at any width."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from attune_ops.render.text import visible

if TYPE_CHECKING:
    from rich.console import Group, RenderableType

Line = tuple[int, str, str]  # indent, words, style of rich
COPY = "dim not italic"  # the style of a line that holds a command: the terminal wraps it, so that it can be copied


def indented(lines: Iterable[Line]) -> Group:
    """The lines as one renderable; what cannot be seen in their words is escaped."""
    from rich.console import Group
    from rich.padding import Padding
    from rich.text import Text

    def shown(indent: int, words: str, style: str) -> RenderableType:
        if style == COPY:
            return Text(" " * indent + visible(words), style, no_wrap=True, overflow="ignore")
        text = Text(visible(words), style, overflow="fold")
        return Padding(text, (0, 0, 0, indent)) if indent else text

    return Group(*(shown(*line) for line in lines))
