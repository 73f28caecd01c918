"""`attune-ops retire`."""

from __future__ import annotations

import click

from attune_ops.cli import _base, _complete
from attune_ops.cli._base import format_option
from attune_ops.cli._options import DRY_RUN, change_options, confirmed
from attune_ops.cli._run import Cli, pass_cli


@_base.command(example="attune-ops retire 'w*'")
@click.argument("pattern", default="*", shell_complete=_complete.workers)
@change_options("Set the workers to inactive")
@format_option()
@pass_cli
def command(cli: Cli, pattern: str, apply: bool, confirm: str | None, format: str) -> None:
    """Sets dead workers to inactive in the registry, as a clean stop does.

    PATTERN is a glob on a worker's id or name, or a regular expression between slashes. A dead worker is registered
    as running, has a stale heartbeat and no consumer on its queues. Where the consumers cannot be read,
    nothing is changed and the exit status is 3. A worker that is alive after all sets itself to active with its next
    heartbeat since Attune 0.6.0; before, it gets no work until it is restarted.
    """
    from attune_ops.cleanup.retire import retire

    done = retire(cli.settings, pattern, apply=apply, confirm=confirmed(cli, confirm, apply))
    cli.show(done, format)
    verdicts = done.column("verdict")
    if "retired" in verdicts:
        cli.note("undo: restart the worker; its start sets it to active")
    elif not apply:
        cli.note(DRY_RUN if "retires" in verdicts else "no dead workers")
