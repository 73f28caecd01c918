"""Progress of something that takes seconds: lines on stderr, and at a terminal a clock under them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from attune_ops.cli._base import Cli


@contextmanager
def progress(cli: Cli, what: str) -> Iterator[Callable[[str], None]]:
    """Gives a function that notes a line; meanwhile a terminal shows `what` and the time it has taken."""
    if not sys.stderr.isatty():
        yield cli.note
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True, no_color=cli.color is False)
    with Progress(SpinnerColumn(), TextColumn(what), TimeElapsedColumn(), console=console, transient=True) as clock:
        clock.add_task(what)
        yield lambda line: console.print(cli.wrapped(line), markup=False, highlight=False, soft_wrap=True)
