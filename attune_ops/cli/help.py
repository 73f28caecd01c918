"""`attune-ops help`."""

from __future__ import annotations

import click

from attune_ops.cli import _base, _complete


@_base.command(example="attune-ops help topology diff")
@click.argument("words", metavar="[COMMAND]…", nargs=-1, shell_complete=_complete.commands)
@click.pass_context
def command(ctx: click.Context, words: tuple[str, ...]) -> None:
    """Shows the help of a command, as --help does; without COMMAND, the list of commands."""
    found = ctx.find_root()
    for word in words:
        inner = found.command.get_command(found, word) if isinstance(found.command, click.Group) else None
        if inner is None:
            raise click.UsageError(f"No such command {' '.join(words)!r}", found)
        found = click.Context(inner, parent=found, info_name=word)
    click.echo(found.get_help())
