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


def parsed(line: list[str]) -> list[str]:
    """The words of a command line after the command's name; fails where this version does not know one of them."""
    found: click.Group = root
    context, words = click.Context(root), line
    while isinstance(found, click.Group):
        name, inner, words = found.resolve_command(context, words)
        assert inner is not None, name
        context = click.Context(inner, info_name=name, parent=context)
        if not isinstance(inner, click.Group):
            inner.make_parser(context).parse_args(list(words))
            break
        found = inner
    return words


def formats(command: Command) -> tuple[str, ...]:
    """The formats that a command offers; none for one that prints no data."""
    for param in command.params:
        if param.name == "format" and isinstance(param.type, click.Choice):
            return tuple(map(str, param.type.choices))
    return ()
