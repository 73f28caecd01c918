"""`attune-ops watch`."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import click

from attune_ops.cli import _base
from attune_ops.cli._base import Cli, format_option, pass_cli
from attune_ops.cli._duration import duration

if TYPE_CHECKING:
    from attune_ops.model.facts import Facts


@_base.command(example="attune-ops watch --interval 1s --for 3s")
@click.option(
    "--interval", type=duration, default="10s", show_default=True, metavar="TIME", help="Interval between samples."
)
@click.option("--for", "span", type=duration, metavar="TIME", help="Duration (default: until Ctrl-C).")
@click.option("--since", type=duration, metavar="TIME", help="Record nothing; show the samples of the last TIME.")
@format_option()
@pass_cli
def command(cli: Cli, interval: float, span: float | None, since: float | None, format: str) -> None:
    """Records the depth of all queues, and shows the trend of each.

    Samples are kept for 30 days in a file in the user's state folder; the notebook `capacity` reads the same file.
    Changes nothing on the installation.
    """
    from attune_ops.monitoring import history

    if since is None:
        since = history.KEPT.total_seconds()
        try:
            history.watch(cli.settings, interval=interval, seconds=span, on_progress=lambda facts: _note(cli, facts))
        except KeyboardInterrupt:
            if span is not None:
                raise
    cli.show(history.read(cli.settings, timedelta(seconds=since)), format)


def _note(cli: Cli, facts: Facts) -> None:
    from attune_ops.monitoring.history import SOURCES

    depths = [q.messages for q in facts.actual.queue_named.values() if q.messages] if facts.broker else []
    reason = facts.missing_reason(SOURCES)
    cli.note(f"{facts.taken_at:%H:%M:%S}Z {reason or f'{sum(depths)} messages in {len(depths)} queues'}")
