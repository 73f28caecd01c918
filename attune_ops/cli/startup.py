"""`attune-ops startup`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from attune_ops.cli import _complete
from attune_ops.cli._base import Cli, format_option, pass_cli
from attune_ops.cli._base import command as cli_command
from attune_ops.cli._exit import FOUND, OK, UNREACHABLE
from attune_ops.cli._options import confirm_option, confirmed
from attune_ops.model.startup_progress import SERVICES, Step
from attune_ops.startup.startup_report import Ending, StartupReport, StepResult

if TYPE_CHECKING:
    from attune_ops.startup.service import Service

HOLDING = "running until Ctrl-C; messages it receives are not acknowledged"


@cli_command(example="attune-ops startup --worker w1 --skip declare --skip bind")
@click.option("--service", type=click.Choice(SERVICES), default="worker", show_default=True, help="Service to start.")
@click.option(
    "--worker",
    metavar="NAME",
    shell_complete=_complete.workers,
    help="The worker's name in the registry (default: worker-HOSTNAME).",
)
@click.option(
    "--skip",
    metavar="STEP",
    multiple=True,
    type=click.Choice([str(s) for s in Step]),
    help="Skip this step; repeatable.",
)
@confirm_option
@click.option("--hold", is_flag=True, help="Keep running until Ctrl-C, with heartbeats.")
@format_option()
@pass_cli
def command(
    cli: Cli, service: str, worker: str | None, skip: tuple[str, ...], confirm: str | None, hold: bool, format: str
) -> None:
    """Runs a service's start-up sequence against the broker: connect, setup, register, declare, bind, consume, ready.

    It declares, binds, registers and consumes as the service does. Messages it receives are not acknowledged, so the
    broker requeues them. Then it stops cleanly: it cancels the consumers, closes the connection and sets the worker to
    inactive. An auto-delete queue is deleted with its last consumer, and so are messages that arrived meanwhile; the
    output counts them and lists what remains. The command refuses to start where a worker of that name is running, and
    where its auto-delete queue has messages. A failed step is explained. `--skip declare` reproduces the incident of
    2026-01-16.

    Exit status: 0 ready, 1 refused or a step failed, 3 broker or database not reached.
    """
    from attune_ops.startup.sequence import run_startup

    live = _Live(cli, format, hold)
    report = run_startup(
        cli.settings, service, worker, skip, confirm=confirmed(cli, confirm),
        on_step=live.step, meanwhile=live.started, on_end=live.ended,
    )  # fmt: skip
    live.report(report)
    cli.exit(_status(report))


class _Live:
    """Shows a start-up step by step as a table; in other formats its report, when it holds or at its end."""

    def __init__(self, cli: Cli, format: str, hold: bool) -> None:
        self._cli, self._format, self._hold = cli, format, hold
        self._table = format == "table"

    def step(self, step: StepResult) -> None:
        """Prints a step of the table."""
        if self._table:
            self._cli.show(step, "table")

    def started(self, service: Service, report: StartupReport) -> None:
        """Prints the verdict, and with --hold keeps the service running."""
        import msgspec

        holding = self._hold and report.ok
        if self._table:
            self._cli.show(msgspec.structs.replace(report, steps=()), "table")
        elif holding:
            self._cli.show(report, self._format)
        if holding:
            self._cli.note(HOLDING)
            with service.heartbeats(lambda e: self._cli.note(str(e))):
                while True:
                    service.serve(0.5)

    def ended(self, ending: Ending) -> None:
        """Prints the clean stop."""
        if self._table and (ending.stopped or ending.left):
            self._cli.show(ending, "table")

    def report(self, report: StartupReport) -> None:
        """Prints the whole report."""
        if not self._table:
            self._cli.show(report, self._format)


def _status(report: StartupReport) -> int:
    """The exit status of a report."""
    failed = report.failed
    if failed is None:
        return OK
    return UNREACHABLE if failed.error is not None and failed.error.unreachable else FOUND
