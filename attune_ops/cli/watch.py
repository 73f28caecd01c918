"""`attune-ops watch`."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import click

from attune_ops.cli import _base
from attune_ops.cli._base import Cli, format_option, pass_cli
from attune_ops.cli._options import duration

if TYPE_CHECKING:
    from attune_ops.model.facts import Facts


@_base.command(example="attune-ops watch --every 1s --for 3s")
@click.option("--every", type=duration, default="10s", show_default=True, metavar="TIME", help="How often to look.")
@click.option("--for", "span", type=duration, metavar="TIME", help="How long (default: until Ctrl-C).")
@click.option("--since", type=duration, metavar="TIME", help="Do not look: show what was recorded in the last TIME.")
@format_option()
@pass_cli
def command(cli: Cli, every: float, span: float | None, since: float | None, format: str) -> None:
    """Records what every queue holds, and shows how each went; the notebook on capacity reads the same record.

    It is a file in the user's state folder, kept for 30 days. Nothing on the installation is changed.
    """
    from attune_ops.monitoring import history

    if since is None:
        since = history.KEPT.total_seconds()
        try:
            history.watch(cli.settings, interval=every, seconds=span, on_progress=lambda facts: _tell(cli, facts))
        except KeyboardInterrupt:
            if span is not None:
                raise
    cli.show(history.past(cli.settings, timedelta(seconds=since)), format)


def _tell(cli: Cli, facts: Facts) -> None:
    from attune_ops.monitoring.history import SOURCES

    depths = [q.messages for q in facts.actual.queue_named.values() if q.messages] if facts.broker else []
    reason = facts.missing_reason(SOURCES)
    cli.note(f"{facts.taken_at:%H:%M:%S}Z {reason or f'{sum(depths)} messages in {len(depths)} queues'}")
