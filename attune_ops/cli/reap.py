"""`attune-ops reap`."""

from __future__ import annotations

from datetime import timedelta

import click

from attune_ops.cli import _base, _complete, _exit
from attune_ops.cli._base import format_option
from attune_ops.cli._duration import duration
from attune_ops.cli._options import DRY_RUN, change_options, confirmed, other_release_option
from attune_ops.cli._run import Cli, pass_cli


@_base.command(example="attune-ops reap 'worker.*' --grace 10m")
@click.argument("pattern", default="*", shell_complete=_complete.queues)
@click.option("--grace", type=duration, default="10m", show_default=True, metavar="TIME",
              help="Delete only queues that an earlier run, at least this long ago, found orphaned.")  # fmt: skip
@click.option("--save-to", metavar="FOLDER", help="Save messages to this folder (default: the user's state folder).")
@change_options("Delete the queues")
@other_release_option
@format_option()
@pass_cli
def command(
    cli: Cli,
    pattern: str,
    grace: float,
    save_to: str | None,
    apply: bool,
    confirm: str | None,
    force: bool,
    format: str,
) -> None:
    """Deletes worker queues that two runs found orphaned: no consumer on the broker, no live worker in the registry.

    So it does with queues that an earlier release of Attune is known to have left behind.
    PATTERN is a glob on the queue name, or a regular expression between slashes. Messages are saved to a file first.
    The broker deletes only an unused and empty queue, so a worker that starts again keeps its queue. Every run, also a
    dry run, records the orphaned queues; the grace period starts at the first record. Exit status 1 after --apply: a
    deletion failed.
    """
    from attune_ops.cleanup.reap import reap

    typed = confirmed(cli, confirm, apply)
    done = reap(
        cli.settings,
        pattern,
        grace=timedelta(seconds=grace),
        save_to=save_to,
        apply=apply,
        confirm=typed,
        force=force,
    )
    cli.show(done, format)
    if not apply:
        cli.note(DRY_RUN if done.count("deletes") else "nothing to delete")
    elif not any(c.verdict in ("deleted", "given back") for c in done.candidates):
        cli.note("nothing was deleted" + (" yet: run it again after the grace period" if done.count("waits") else ""))
    cli.exit(_exit.FOUND if any(c.reason.startswith("failed: ") for c in done.candidates) else _exit.OK)
