"""How a command line is shown: too long for the terminal, it goes on after a backslash, so that it can be copied."""

from __future__ import annotations

import re
from collections.abc import Iterator

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

# A word of a shell's line, quotes and all.
WORD = re.compile(r"(?:\\.|\$'(?:\\.|[^'\\])*'|'[^']*'|\"(?:\\.|[^\"\\])*\"|[^\s'\"\\])+")


class CommandLine:
    """A rich renderable of a line with what stands before it ("$ ")."""

    def __init__(self, before: str, line: str, style: str) -> None:
        self.before, self.line, self.style = before, line, style

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        # A word that has no room is left to the terminal, which wraps without a line break.
        for part in broken(self.before + self.line, options.max_width):
            yield Text(part, style=self.style, no_wrap=True, overflow="ignore")


def broken(line: str, width: int) -> Iterator[str]:
    """The line in parts of at most `width` cells, where its words have room; all but the last end in a backslash."""
    if cell_len(line) <= width:
        yield line
        return
    part = ""
    for word in WORD.findall(line):
        if part and cell_len(part) + cell_len(word) + 3 > width:
            yield f"{part} \\"
            part = f"    {word}"
        else:
            part = f"{part} {word}" if part else word
    yield part
