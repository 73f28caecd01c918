"""`attune-ops watch`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from attune_ops.cli import _base
from attune_ops.cli._base import Cli, pass_cli
from attune_ops.cli._duration import duration

if TYPE_CHECKING:
    from attune_ops.model.facts import Facts


@_base.command(example="attune-ops watch --interval 1s --for 3s")
@click.option(
    "--interval", type=duration, default="10s", show_default=True, metavar="TIME", help="Interval between readings."
)
@click.option("--for", "span", type=duration, metavar="TIME", help="Duration (default: until Ctrl-C).")
@pass_cli
def command(cli: Cli, interval: float, span: float | None) -> None:
    """Prints a line for each reading: messages and queues. Records and changes nothing; see history record."""
    from attune_ops.model import deadline
    from attune_ops.model.facts import Source
    from attune_ops.model.ownership import require
    from attune_ops.monitoring.interval import check_interval

    check_interval(interval, span)
    started, first = time.monotonic(), True
    while True:
        facts = cli.ops.facts((Source.BROKER, Source.DEPTHS))
        if first:
            require(facts, Source.BROKER)
        first = False
        _print(cli, facts)
        left = interval if span is None else started + span - time.monotonic()
        if left <= 0:
            return
        time.sleep(min(interval, left))
        deadline.ended()  # each reading has the whole time


def _print(cli: Cli, facts: Facts) -> None:
    from attune_ops.model.facts import Source

    reason = facts.missing_reason((Source.BROKER, Source.DEPTHS))
    depths = [q.messages for q in facts.actual.queue_named.values() if q.messages] if facts.broker else []
    said = reason or f"{sum(depths)} messages in {len(depths)} queues"
    cli.write(cli.cleaned(f"{facts.taken_at:%H:%M:%S}Z {said}"))
