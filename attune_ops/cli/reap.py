"""`attune-ops reap`."""

from __future__ import annotations

from datetime import timedelta

import click

from attune_ops.cli import _base, _exit
from attune_ops.cli._base import Cli, format_option, pass_cli
from attune_ops.cli._options import change_options, confirmed, duration


@_base.command(example="attune-ops reap 'worker.*' --grace 10m --apply")
@click.argument("pattern", default="*")
@click.option("--grace", type=duration, default="10m", show_default=True, metavar="TIME",
              help="Delete only what an earlier look, at least so long ago, saw orphaned too.")  # fmt: skip
@click.option("--save-to", metavar="FOLDER", help="Save messages there (default: the user's state folder).")
@change_options("Delete them; without it only what would be done is shown.")
@format_option()
@pass_cli
def command(
    cli: Cli, pattern: str, grace: float, save_to: str | None, apply: bool, confirm: str | None, format: str
) -> None:
    """Deletes orphaned worker queues: no consumer on the broker, no live worker in the registry, seen twice.

    PATTERN is a glob on the queue, or a regular expression between slashes. What is in a queue is saved first; the
    broker deletes it only unused and empty, so a worker that comes back keeps it. Each look is remembered for the
    grace period. Exit status 1 after --apply: a deletion failed.
    """
    typed = confirmed(cli, confirm) if apply else confirm
    done = cli.ops.reap(pattern, grace=timedelta(seconds=grace), save_to=save_to, apply=apply, confirm=typed)
    cli.show(done, format)
    if not apply:
        cli.note("nothing was deleted; --apply does it" if done.count("deletes") else "nothing to delete")
    elif not any(c.verdict in ("deleted", "given back") for c in done.candidates):
        cli.note("nothing was deleted" + (" yet: run it again after the grace period" if done.count("waits") else ""))
    cli.exit(_exit.FOUND if any("it failed" in c.reason for c in done.candidates) else _exit.OK)
