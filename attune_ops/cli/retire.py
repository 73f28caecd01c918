"""`attune-ops retire`."""

from __future__ import annotations

import click

from attune_ops.cli import _base
from attune_ops.cli._base import Cli, format_option, pass_cli
from attune_ops.cli._options import change_options, confirmed


@_base.command(example="attune-ops retire 'w*'")
@click.argument("pattern", default="*")
@change_options("Set them to inactive; without it only what would be done is shown.")
@format_option()
@pass_cli
def command(cli: Cli, pattern: str, apply: bool, confirm: str | None, format: str) -> None:
    """Sets workers that died to inactive in the registry, as their clean stop would have done.

    PATTERN is a glob on a worker's id or name, or a regular expression between slashes. A worker has died that is
    registered as running, has a stale heartbeat and consumes from none of its queues. One that was taken for dead and
    is not sets itself active again with its next heartbeat.
    """
    done = cli.ops.retire(pattern, apply=apply, confirm=confirmed(cli, confirm) if apply else confirm)
    cli.show(done, format)
    if "retired" in done.column("verdict"):
        cli.note("to undo, start the worker: it sets itself active")
    elif not apply:
        cli.note("nothing was changed; --apply does it" if "retires" in done.column("verdict") else "nobody has died")
