"""`attune-ops explain`: the meaning of an error of the broker or a client, in general and on this installation."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from attune_ops.cli._base import command as cli_command
from attune_ops.cli._base import format_option
from attune_ops.cli._exit import FOUND
from attune_ops.cli._run import Cli, pass_cli
from attune_ops.model.errors import ConfigError

if TYPE_CHECKING:
    from attune_ops.doctor.explain.explanation import Explanations

MOST_BYTES = 64_000_000  # of a larger log only the end is read


@cli_command(example="attune-ops explain \"NOT_FOUND - no queue 'worker.1.executions' in vhost '/'\"")
@click.argument("text", metavar="TEXT|FILE|-")
@click.option("--offline", is_flag=True, help="Do not connect to the installation.")
@format_option()
@pass_cli
def command(cli: Cli, text: str, offline: bool, format: str) -> None:
    """Explains every error in TEXT, in a log FILE, or on stdin (-).

    Reads the messages of any client and the broker's log. Equal errors are shown once, with their count. If the
    installation is reachable, each error is compared with it: whether the queue exists now, which worker owns it, which
    start-up step did not run. Changes nothing. Exit status 1 if no known error was found.
    """
    found = _explained(cli, _read(text), offline)
    if not found.errors:
        cli.note("no known error of RabbitMQ or of a client found in the text")
        cli.exit(FOUND)
    cli.show(found, format)


def _explained(cli: Cli, text: str, offline: bool) -> Explanations:
    from attune_ops.doctor.explain import explain
    from attune_ops.doctor.explain.explanation import Explanations

    if offline:
        return Explanations(explain(text), "not checked against an installation (--offline)")
    try:
        return cli.ops.explain(text)
    except ConfigError as e:
        return Explanations(explain(text), f"not checked against an installation: {e}")


def _read(text: str) -> str:
    """The text itself, or that of the file or of stdin that it names."""
    if text == "-":
        return sys.stdin.buffer.read(MOST_BYTES).decode(errors="replace")
    try:
        path = Path(text)
        if not path.is_file():
            return _not_a_path(text)
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - MOST_BYTES))
            return file.read().decode(errors="replace")
    except (OSError, ValueError):  # too long for a file's name, or not readable
        return _not_a_path(text)


def _not_a_path(text: str) -> str:
    """The text, unless it was clearly meant as a file."""
    if not any(c.isspace() for c in text) and ("/" in text or text.endswith(".log")):
        raise ConfigError(f"{text!r} is neither a readable file nor the text of an error")
    return text
