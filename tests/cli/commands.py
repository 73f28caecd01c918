"""Every command there is, found as the command line finds them."""

from __future__ import annotations

from collections.abc import Iterator

import click

from attune_ops.cli._base import Command
from attune_ops.cli._main import root


def commands(group: click.Group = root, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Command]]:
    """Each command that does something, with the words that call it: ("lab", "up")."""
    ctx = click.Context(group)
    for name in group.list_commands(ctx):
        found = group.get_command(ctx, name)
        if isinstance(found, click.Group):
            yield from commands(found, (*path, name))
        else:
            assert isinstance(found, Command), f"{name} is not made with attune_ops.cli._base"
            yield (*path, name), found


ALL = {" ".join(path): command for path, command in commands()}


def formats(command: Command) -> tuple[str, ...]:
    """The formats that a command offers; none for one that prints no data."""
    for param in command.params:
        if param.name == "format" and isinstance(param.type, click.Choice):
            return tuple(map(str, param.type.choices))
    return ()
