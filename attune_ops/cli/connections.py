"""`attune-ops connections`: the clients' connections, listed and closed."""

from __future__ import annotations

import click

from attune_ops.cli._base import format_option, group
from attune_ops.cli._inspect import inspection
from attune_ops.cli._options import DRY_RUN, change_options, confirmed
from attune_ops.cli._run import Cli, pass_cli


@group()
def command() -> None:
    """Lists the connections of clients to the broker, and closes one."""


command.add_command(
    inspection(
        "list",
        "attune_ops.inventory.connections",
        "Lists the connections: client, consumers, unacknowledged messages.\n\n"
        "PATTERN is a glob or a regular expression between slashes on the broker's or the client's name.",
        example="attune-ops connections list --sort -unacked",
        method=lambda ops: ops.connections,
    )
)


@command.command(example="attune-ops connections close 'attune executor'")
@click.argument("name")
@change_options("Close the connection")
@format_option()
@pass_cli
def close(cli: Cli, name: str, apply: bool, confirm: str | None, format: str) -> None:
    """Closes the connection NAME: the broker requeues what it holds, and its consumers end.

    NAME is the broker's name of the connection, or the name that the client gave itself. A client may reconnect; stop
    its process too. There is no undo.
    """
    closed = cli.ops.close_connection(name, apply=apply, confirm=confirmed(cli, confirm, apply))
    cli.show(closed, format)
    if not apply:
        cli.note(DRY_RUN)
