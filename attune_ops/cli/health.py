"""`attune-ops health`: one check for a probe, one line, an exit status."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from attune_ops.cli import _complete
from attune_ops.cli._base import format_option, group
from attune_ops.cli._duration import duration
from attune_ops.cli._exit import FOUND, OK
from attune_ops.cli._monitor import FORMATS, Monitor, monitor_options, shown
from attune_ops.cli._run import Cli, pass_cli
from attune_ops.cli._watch import repeat, watch_option

if TYPE_CHECKING:
    from attune_ops.doctor.health_check import Health

WAIT = click.option(
    "--wait",
    type=duration,
    default="0s",
    metavar="TIME",
    help="Retry until healthy, for at most TIME (30s, 5m).",
)


@group()
def command() -> None:
    """Prints in one line whether a worker, the broker or a route is healthy; fast enough for a probe.

    Exit status: 0 healthy, 1 not healthy, 2 wrong command line or configuration, 3 unknown (not reachable).
    """


@command.command(
    example="attune-ops health worker 1 --wait 30s\n"
    "attune-ops health worker 1 --format prometheus --output worker.prom\n"
    "attune-ops health worker 1 --format nagios --warn duration_ms=500"
)
@click.argument("worker", metavar="[ID|NAME]", required=False, shell_complete=_complete.workers)
@WAIT
@watch_option
@format_option(*FORMATS)
@monitor_options
@pass_cli
def worker(cli: Cli, worker: str | None, wait: float, every: float | None, format: str, monitor: Monitor) -> None:
    """A worker can receive work: it is registered, its heartbeat is fresh, its queues are bound and consumed.

    Each queue of the worker in the topology must exist, have all its bindings and exactly the expected consumer. The
    line says where that consumer is busy or stuck: it holds its whole prefetch while messages are ready.
    Without ID or NAME it checks this host's own worker: worker.name of Attune's configuration, else worker-HOSTNAME.
    """
    from attune_ops.doctor.health import worker_health

    _show(cli, lambda: worker_health(cli.settings, worker, wait=wait, on_progress=cli.note), every, format, monitor)


@command.command(example="attune-ops health broker\nattune-ops health broker --format nagios --warn duration_ms=500")
@WAIT
@watch_option
@format_option(*FORMATS)
@monitor_options
@pass_cli
def broker(cli: Cli, wait: float, every: float | None, format: str, monitor: Monitor) -> None:
    """The broker is usable: AMQP responds, no alarm is in effect, the virtual host is up."""
    from attune_ops.doctor.health import broker_health

    _show(cli, lambda: broker_health(cli.settings, wait=wait, on_progress=cli.note), every, format, monitor)


@command.command(example="attune-ops health route attune.executions execution")
@click.argument("exchange", shell_complete=_complete.exchanges)
@click.argument("key")
@WAIT
@watch_option
@format_option(*FORMATS)
@monitor_options
@pass_cli
def route(cli: Cli, exchange: str, key: str, wait: float, every: float | None, format: str, monitor: Monitor) -> None:
    """A message to EXCHANGE with routing key KEY reaches a queue. Reads bindings, publishes nothing."""
    from attune_ops.doctor.health import route_health

    _show(
        cli, lambda: route_health(cli.settings, exchange, key, wait=wait, on_progress=cli.note), every, format, monitor
    )


def _show(cli: Cli, check: Callable[[], Health], every: float | None, format: str, monitor: Monitor) -> None:
    if every is not None:
        cli.exit(repeat(cli, check, format, every, _status))
    health = check()
    if not shown(cli, health, format, monitor):
        cli.show(health, format)
    cli.exit(_status(health))


def _status(health: Health) -> int:
    return OK if health.healthy else FOUND
