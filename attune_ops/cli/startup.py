"""`attune-ops startup`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from attune_ops.cli import _complete
from attune_ops.cli._base import command as cli_command
from attune_ops.cli._base import format_option
from attune_ops.cli._exit import FOUND, OK, UNREACHABLE
from attune_ops.cli._options import DRY_RUN, change_options, confirmed
from attune_ops.cli._run import Cli, pass_cli
from attune_ops.model.startup_progress import SERVICES, Step
from attune_ops.startup.startup_report import Ending, StartupReport, StepResult

if TYPE_CHECKING:
    from attune_ops.startup.service import Service


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
@click.option("--like-attune", is_flag=True, help="Go on after a refused set-up, as Attune's own services do.")
@click.option("--hold", is_flag=True, help="Keep running until Ctrl-C, with heartbeats.")
@change_options("With --hold: hold the service (on a lab always)")
@format_option()
@pass_cli
def command(
    cli: Cli,
    service: str,
    worker: str | None,
    skip: tuple[str, ...],
    like_attune: bool,
    hold: bool,
    apply: bool,
    confirm: str | None,
    format: str,
) -> None:
    """Runs a service's start-up sequence against the broker: connect, setup, register, declare, bind, consume, ready.

    It declares, binds, registers and consumes as the service does. Then it stops cleanly. The scheduler sends nothing
    to a new worker: it is cordoned, or inactive where the release cannot cordon. Messages that arrive nevertheless are
    not acknowledged, and none is lost: they remain in the worker's queue, or, where that is auto-deleted, in a durable
    queue of copies, which the output names. A known worker's row is left as it is; a new row is deleted, and so are
    new queues that are empty. The output lists what remains.

    `--hold` keeps the service running. It is a dry run until `--apply`, except on a lab. Ctrl-C and SIGTERM end it
    cleanly. After `kill -9` no message is lost, but a new row and queues remain; the same command without --hold, 90 s
    later, removes them.

    The command refuses to start where a worker of that name is running, where a queue that it would consume from has a
    consumer, where the auto-delete queue has messages, where the registry is not configured or is not the one of this
    broker's workers, and, except on a lab, where the broker has no known release and --topology names none.

    A failed step is explained, and the start-up ends there. Attune's own services only log a refused set-up and go on,
    until they fail at declare, bind or consume: so does `--like-attune`. `--skip declare` reproduces the incident of
    2026-01-16.

    Exit status: 0 ready, 1 refused or a step failed, 2 wrong registry or unknown release, 3 broker or database not
    reached.
    """
    import msgspec

    from attune_ops.startup.plan import plan_startup
    from attune_ops.startup.sequence import hold as hold_until_signal
    from attune_ops.startup.sequence import run_startup

    table = format == "table"

    def on_step(step: StepResult) -> None:
        if table:
            cli.show(step, "table")

    def meanwhile(running: Service, report: StartupReport) -> None:
        if table:
            cli.show(msgspec.structs.replace(report, steps=()), "table")
        if hold and report.runs:
            if not table:
                cli.show(report, format)
            cli.note("running until Ctrl-C; messages it receives are not acknowledged")
            hold_until_signal(running, lambda e: cli.note(str(e)))

    def on_end(ending: Ending) -> None:
        if table and (ending.stopped or ending.left):
            cli.show(ending, "table")

    if hold and not apply and not cli.settings.on_lab:
        report = plan_startup(cli.settings, service, worker, skip, on_step=on_step)
        if not table:
            cli.show(report, format)
        cli.note(DRY_RUN)
        cli.exit(_status(report))
    report = run_startup(
        cli.settings, service, worker, skip, like_attune=like_attune, confirm=confirmed(cli, confirm),
        on_step=on_step, meanwhile=meanwhile, on_end=on_end,
    )  # fmt: skip
    if not table:
        cli.show(report, format)
    cli.exit(_status(report))


def _status(report: StartupReport) -> int:
    """The exit status of a report."""
    failed = report.failed
    if failed is None:
        return OK
    return UNREACHABLE if failed.error is not None and failed.error.unreachable else FOUND
