"""Lines of words with an indent and a style each, which wrap under their indent at any width."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from attune_ops.render.text import visible

if TYPE_CHECKING:
    from rich.console import Group

Line = tuple[int, str, str]  # indent, words, style of rich


def indented(lines: Iterable[Line]) -> Group:
    """The lines as one renderable; what cannot be seen in their words is escaped."""
    from rich.console import Group
    from rich.padding import Padding
    from rich.text import Text

    texts = ((indent, Text(visible(words), style, overflow="fold")) for indent, words, style in lines)
    return Group(*(Padding(text, (0, 0, 0, indent)) if indent else text for indent, text in texts))
