"""Completion of arguments in the shell; an error completes nothing."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from attune_ops.model.registry import Worker

TIMEOUT_S = 1.0  # the shell waits


def topologies(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The topologies of the package, or files."""
    from click.shell_completion import CompletionItem

    from attune_ops.model.topologies import names

    return _items(names(), incomplete) or [CompletionItem(incomplete, type="file")]


def notebooks(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The notebooks of the package."""
    from attune_ops.notebook.runbooks.catalog import files

    return _items((config_file.stem for config_file in files()), incomplete)


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


def workers(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The registered workers' names."""
    return _items((w.name for w in _registered(ctx)), incomplete)


def _registered(ctx: click.Context) -> tuple[Worker, ...]:
    import msgspec

    from attune_ops.installation.collect import collect
    from attune_ops.installation.config import resolve
    from attune_ops.model.errors import AttuneOpsError
    from attune_ops.model.facts import Source

    try:
        settings = msgspec.structs.replace(resolve(_options(ctx)), timeout=TIMEOUT_S)
    except AttuneOpsError:
        return ()
    registry = collect(settings, (Source.REGISTRY,)).registry
    return () if registry is None else registry.workers


def _options(ctx: click.Context) -> dict[str, str]:
    """The target options that are already on the line, kept by `_base.Cli`."""
    return getattr(ctx.obj, "options", {})


def _items(values: Iterable[str], incomplete: str) -> list[CompletionItem]:
    """The values that match, without those with characters that a shell would interpret."""
    from click.shell_completion import CompletionItem

    return [CompletionItem(v) for v in values if v.startswith(incomplete) and re.fullmatch(r"[\w.@:+-]+", v)]
