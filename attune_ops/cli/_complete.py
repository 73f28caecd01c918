"""Completion of arguments in the shell; an error completes nothing, and nothing is connected to."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from attune_ops.installation.last_reading import Names


def topologies(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The topologies of the package, or files."""
    from click.shell_completion import CompletionItem

    from attune_ops.model.topologies import names

    return _items(names(), incomplete) or [CompletionItem(incomplete, type="file")]


def notebooks(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The notebooks of the package."""
    from attune_ops.notebook.runbooks.catalog import files

    return _items((config_file.stem for config_file in files()), incomplete)


def documentation(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The pages of the documentation, and the codes of the checks."""
    from attune_ops.doctor.checks import all_checks
    from attune_ops.doctor.documentation import pages

    return _items([*map(str, pages().column("page")), *(c.code for c in all_checks())], incomplete)


def environments(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The named environments of the configuration file."""
    from attune_ops.installation.config import config_file
    from attune_ops.model.errors import ConfigError

    try:
        path = config_file.find(_options(ctx).get("config"), os.environ)
        return _items(config_file.read(path).env, incomplete) if path is not None else []
    except ConfigError:
        return []


def labs(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The labs that exist."""
    from attune_ops.lab.folder import names

    return _items(names(), incomplete)


def commands(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The commands that follow those on the line."""
    found = ctx.find_root().command
    for word in ctx.params.get(param.name or "") or ():
        found = (found.get_command(ctx, word) if isinstance(found, click.Group) else None) or found
    return _items(found.list_commands(ctx) if isinstance(found, click.Group) else (), incomplete)


def workers(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The workers' names of the last reading."""
    return _items(_last_reading(ctx).workers, incomplete)


def queues(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The queues' names of the last reading."""
    return _items(_last_reading(ctx).queues, incomplete)


def exchanges(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The exchanges' names of the last reading."""
    return _items(_last_reading(ctx).exchanges, incomplete)


def _last_reading(ctx: click.Context) -> Names:
    """The names of the last reading of the installation that the line names; no broker or registry is asked."""
    from attune_ops.installation.config import resolve
    from attune_ops.installation.last_reading import Names, read
    from attune_ops.model.errors import AttuneOpsError

    try:
        return read(resolve(_options(ctx)))
    except AttuneOpsError:
        return Names()


def _options(ctx: click.Context) -> dict[str, str]:
    """The target options that are already on the line, kept by `_run.Cli`."""
    return getattr(ctx.obj, "options", {})


def _items(values: Iterable[str], incomplete: str) -> list[CompletionItem]:
    """The values that match, without those with characters that a shell would interpret."""
    from click.shell_completion import CompletionItem

    return [CompletionItem(v) for v in values if v.startswith(incomplete) and re.fullmatch(r"[\w.@:+-]+", v)]
