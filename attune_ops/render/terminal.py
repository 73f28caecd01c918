"""Text on stdout: rich in a terminal, uncut and plain in a pipe."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from attune_ops.model.secret import Secret, scrub
from attune_ops.render import form, wire, written
from attune_ops.render.text import visible_lines

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

UNCUT = 100_000  # columns; rich wraps at the width it is told


def write(value: object, color: bool | None, secrets: tuple[Secret, ...] = ()) -> None:
    """Prints the table form in a terminal and the text form elsewhere, `secrets` masked."""
    if not sys.stdout.isatty():
        wire.write(written(value, "text", secrets))
        return
    from rich.console import Console

    plain_wanted = color is False or bool(os.environ.get("NO_COLOR"))
    console = Console(file=sys.stdout, color_system=None if plain_wanted else "auto", highlight=False)
    console.print(Visible(form(value, "table"), secrets), crop=False)  # a command to copy is wrapped by the terminal


class Visible:
    """A renderable without secrets, in which nothing but rich itself can send the terminal a control character."""

    def __init__(self, renderable: Any, secrets: tuple[Secret, ...] = ()) -> None:
        self.renderable, self.secrets = renderable, secrets

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.segment import Segment
        from rich.text import Text

        renderable = Text(self.renderable) if isinstance(self.renderable, str) else self.renderable
        for segment in console.render(renderable, options):
            shown = scrub(visible_lines(segment.text), self.secrets)
            yield segment if segment.control else Segment(shown, segment.style)


def plain(renderable: Any) -> str:
    """A rich renderable as text: no colours, nothing wrapped, no spaces at the ends of lines."""
    if isinstance(renderable, str):
        return renderable
    import io

    from rich.console import Console

    # In a notebook's kernel rich would display what it prints, too.
    console = Console(file=io.StringIO(), width=UNCUT, color_system=None, highlight=False, force_jupyter=False)
    with console.capture() as capture:
        console.print(renderable, markup=False, emoji=False, soft_wrap=True)
    return "\n".join(line.rstrip() for line in capture.get().splitlines())
