"""`--watch TIME`: a table that is read and shown again and again."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

from attune_ops.cli._duration import duration
from attune_ops.cli._run import Cli
from attune_ops.model.waiting import displayed_by

LEAST_S, LONGEST_S = 0.5, 86400.0


def _every(text: str) -> float:
    found = duration(text)
    if not LEAST_S <= found <= LONGEST_S:
        raise click.BadParameter(f"{text!r}: it is {LEAST_S:g} s to 1 day")
    return found


watch_option = click.option(
    "--watch",
    "every",
    type=_every,
    metavar="TIME",
    help="Read and show it again every TIME, e.g. 5s, until Ctrl-C.",
)


class Last:
    """The exit status of the last reading, and what it did not see."""

    status: int = 0
    unread: tuple[str, ...] = ()


def repeat(cli: Cli, read: Callable[[], Any], format: str, every: float, status: Callable[[Any], int]) -> int:
    """Shows what `read` returns every `every` s until it is interrupted or its pipe is closed.

    A terminal shows a table in place; a failed reading leaves the last one, with the reason. A pipe gets each table
    after an empty line, JSON as an object a line, and what failed or was not seen on stderr. The first failure is
    raised. Returns the `status` of the last reading; an interrupt is raised only where that is 0.
    """
    from attune_ops.cli import _exit
    from attune_ops.cli._target_options import with_target_options
    from attune_ops.model.errors import AttuneOpsError

    if format in ("prometheus", "nagios"):
        raise click.UsageError(f"--watch is not for --format {format}; attune-ops serve reads again and again")

    last = Last()

    def value() -> Any:
        try:
            with displayed_by(None):  # a refresh shows its table alone
                made = read()
        except AttuneOpsError as e:
            last.status, last.unread = _exit.status_of(e), ()
            raise
        last.status, last.unread = status(made), getattr(made, "unread", ())
        return with_target_options(made, cli.options)

    with interruptible(cli, last):
        if format == "table" and sys.stdout.isatty():
            _in_place(cli, value, every, last)
        else:
            _printed(cli, value, format, every, last)
    return last.status


@contextmanager
def interruptible(cli: Cli, last: Last) -> Iterator[None]:
    """Ends the block at an interrupt, which is raised only where the status of the last reading is 0."""
    from attune_ops.cli import _exit

    try:
        yield
    except KeyboardInterrupt:
        if last.status == _exit.OK:
            raise
        cli.note("attune-ops: interrupted")


def _in_place(cli: Cli, read: Callable[[], Any], every: float, last: Last) -> None:
    from datetime import UTC, datetime

    from rich.console import Console, Group
    from rich.live import Live
    from rich.text import Text

    from attune_ops.model.errors import AttuneOpsError
    from attune_ops.render import form, text
    from attune_ops.render.terminal import Visible

    plain = cli.color is False or bool(os.environ.get("NO_COLOR"))
    console = Console(color_system=None if plain else "auto", highlight=False)
    shown = read()  # raises: there is nothing to show yet
    at, failed = datetime.now(UTC), ""
    with text.masking(cli.secrets), Live(console=console, auto_refresh=False, vertical_overflow="ellipsis") as live:
        while True:
            head = Text(f"every {every:g} s · {at:%H:%M:%S}Z · Ctrl-C ends it", "dim")
            if failed:
                head = Text(f"× not read since {at:%H:%M:%S}Z: {cli.cleaned(failed)}", "red", overflow="fold")
            unseen = [Text(f"× not seen: {cli.cleaned(said)}", "red", overflow="fold") for said in last.unread]
            live.update(Group(head, *unseen, Visible(form(shown, "table"), cli.secrets)), refresh=True)
            _pause(every)
            try:
                shown, at, failed = read(), datetime.now(UTC), ""
            except AttuneOpsError as e:
                failed = " ".join(str(e).split())


def _printed(cli: Cli, read: Callable[[], Any], format: str, every: float, last: Last) -> None:
    import json

    from attune_ops.model.errors import AttuneOpsError
    from attune_ops.render import wire, written

    first = True
    while True:
        try:
            made = written(read(), "text" if format == "table" else format, cli.secrets, raw=cli.raw)
        except AttuneOpsError as e:
            if first:
                raise
            cli.error(f"attune-ops: not read: {e}")
        else:
            said = json.dumps(json.loads(made)) if format == "json" else made if first else f"\n{made}"
            if not wire.write(said):
                return  # nobody reads it any more
            if last.unread:
                cli.error(f"attune-ops: not seen: {'; '.join(last.unread)}")
        first = False
        _pause(every)


def _pause(every: float) -> None:
    from attune_ops.model import deadline

    time.sleep(every)
    deadline.ended()  # each reading has the whole time
