"""What rich draws in a terminal: text without control characters, indented lines, command lines to copy."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator
from typing import Any

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.padding import Padding
from rich.progress import Progress, ProgressColumn, SpinnerColumn, Task, TextColumn, TimeElapsedColumn
from rich.progress_bar import ProgressBar
from rich.segment import Segment
from rich.style import Style
from rich.table import Table
from rich.text import Text

from attune_ops.model.secret import Secret, scrub
from attune_ops.render.text import COPY, Line, visible, visible_lines

UNCUT = 100_000  # columns; rich wraps at the width that it is given
# A word of a shell's line, quotes and all.
WORD = re.compile(r"(?:\\.|\$'(?:\\.|[^'\\])*'|'[^']*'|\"(?:\\.|[^\"\\])*\"|[^\s'\"\\])+")


class Visible:
    """A renderable without secrets and control characters, except those of rich itself."""

    def __init__(self, renderable: Any, secrets: tuple[Secret, ...] = ()) -> None:
        self.renderable, self.secrets = renderable, secrets

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        renderable = Text(self.renderable) if isinstance(self.renderable, str) else self.renderable
        for segment in console.render(renderable, options):
            shown = scrub(visible_lines(segment.text), self.secrets)
            yield segment if segment.control else Segment(shown, segment.style)


def plain(renderable: Any) -> str:
    """A rich renderable as text: no colours, nothing wrapped, no spaces at the ends of lines."""
    if isinstance(renderable, str):
        return renderable
    # In a notebook's kernel rich would display what it prints, too.
    console = Console(file=io.StringIO(), width=UNCUT, color_system=None, highlight=False, force_jupyter=False)
    with console.capture() as capture:
        console.print(renderable, markup=False, emoji=False, soft_wrap=True)
    return "\n".join(line.rstrip() for line in capture.get().splitlines())


def indented(lines: Iterable[Line]) -> Group:
    """The lines as one renderable, each wrapped under its indent; invisible characters are escaped."""

    def shown(indent: int, words: str, style: str) -> RenderableType:
        if style == COPY:
            return Text(" " * indent + visible(words), style, no_wrap=True, overflow="ignore")
        text = Text(visible(words), style, overflow="fold")
        return Padding(text, (0, 0, 0, indent)) if indent else text

    return Group(*(shown(*line) for line in lines))


class Hanging:
    """A renderable of a text; all lines but the first are indented by `indent` characters."""

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


class CommandText:
    """A renderable of a command line after a prompt ("$ "); a long one continues after a backslash, to be copied."""

    def __init__(self, before: str, line: str, style: str) -> None:
        self.before, self.line, self.style = before, line, style

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        # The terminal wraps a word that does not fit, without a line break.
        for part in broken(self.before + self.line, options.max_width):
            yield Text(part, style=self.style, no_wrap=True, overflow="ignore")


class Narrow:
    """A renderable that is at most `width` columns wide at a terminal: long lines of text are hard to read."""

    def __init__(self, renderable: RenderableType, width: int) -> None:
        self.renderable, self.width = renderable, width

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        narrow = options if options.no_wrap else options.update_width(min(self.width, options.max_width))
        yield from console.render(self.renderable, narrow)


class Indented:
    """A renderable that is moved to the right, wrapped or not."""

    def __init__(self, renderable: RenderableType, indent: int) -> None:
        self.renderable, self.indent = renderable, indent

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        indent = self.indent if options.max_width > 3 * self.indent else 0
        rendered = console.render(self.renderable, options.update_width(options.max_width - indent))
        for line in Segment.split_lines(rendered):  # `render_lines` would cut a command that does not fit
            yield Segment(" " * indent)
            yield from line
            yield Segment.line()


class Headline:
    """A renderable of a label, a sentence that wraps under itself, and a code at the right, which may be a link."""

    def __init__(self, label: str, style: str, sentence: str, code: str, link: str | None = None) -> None:
        self.label, self.style, self.sentence, self.code, self.link = label, style, sentence, code, link

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        code = Text(self.code, style=Style(dim=True, link=self.link))
        head = Text(self.label, style=self.style)
        room = options.max_width - len(self.label) - len(self.code) - 2
        if options.no_wrap or room < len(self.label):
            yield Text("", overflow="fold").append_text(head).append(f"{self.sentence}   ", "bold").append_text(code)
            return
        first, *others = Text(self.sentence, style="bold").wrap(console, room, overflow="fold")
        first.rstrip()
        gap = options.max_width - len(self.label) - first.cell_len - len(self.code)
        yield head + first + Text(" " * gap) + code
        for line in others:
            yield Text(" " * len(self.label)) + line


class ElapsedBar(ProgressColumn):
    """A column of a progress display: the elapsed part of a time that is known, in seconds."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds

    def render(self, task: Task) -> RenderableType:
        """The bar, and the elapsed seconds of the total."""
        elapsed = min(task.elapsed or 0.0, self.seconds)
        row = Table.grid(padding=(0, 1))
        row.add_row(ProgressBar(self.seconds, elapsed, width=30), f"{elapsed:.0f} of {self.seconds:g} s")
        return row


def progress(what: str, seconds: float | None, *, no_color: bool) -> Progress:
    """A display on stderr of what takes time, until it ends: a bar where the `seconds` are known, else a clock."""
    clock = TimeElapsedColumn() if seconds is None else ElapsedBar(seconds)
    console = Console(stderr=True, no_color=no_color)
    made = Progress(SpinnerColumn(), TextColumn(what), clock, console=console, transient=True)
    made.add_task(what)
    return made


class Closing:
    """A renderable of a sentence and a command after its prompt ("$ "), on a line each where one is too short."""

    def __init__(self, sentence: str, style: str, before: str, command: str) -> None:
        self.sentence, self.style, self.before, self.command = sentence, style, before, command

    @property
    def line(self) -> Text:
        """Both on one line; where it is too long, the terminal wraps it, so that it is copied as one."""
        after = f"; {self.before}{self.command}" if self.command else ""
        return Text(self.sentence, self.style, no_wrap=True, overflow="ignore").append(after, "bold")

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if options.no_wrap or self.line.cell_len <= options.max_width:
            yield self.line
            return
        yield Hanging(Text(self.sentence, style=self.style), 2)
        if self.command:
            yield Indented(CommandText(self.before, self.command, "bold"), 2)


def broken(line: str, width: int) -> Iterator[str]:
    """The line in parts of at most `width` cells, if its words fit; all but the last end in a backslash."""
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
