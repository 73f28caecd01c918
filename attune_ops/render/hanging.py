"""A line that goes on under its own words, not under its mark."""

from __future__ import annotations

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text


class Hanging:
    """A rich renderable of a text whose further lines stand under what follows its first `indent` characters."""

    def __init__(self, text: Text, indent: int) -> None:
        self.text, self.indent = text, indent

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        room = options.max_width - self.indent
        if options.no_wrap or room < self.indent:
            yield self.text
            return
        first, *others = self.text[self.indent :].wrap(console, room, overflow="fold")
        yield self.text[: self.indent] + first
        for line in others:
            yield Text(" " * self.indent) + line
