"""`attune-ops watch`."""

from __future__ import annotations

import importlib.util
import os
import sys
import time
from typing import TYPE_CHECKING, NoReturn

import click

from attune_ops.cli import _base
from attune_ops.cli._duration import duration
from attune_ops.cli._run import Cli, pass_cli
from attune_ops.cli._watch import Last, interruptible

if TYPE_CHECKING:
    from attune_ops.model.facts import Facts


@_base.command(example="attune-ops watch --interval 1s --for 3s")
@click.option(
    "--interval", type=duration, default="10s", show_default=True, metavar="TIME", help="Interval between readings."
)
@click.option("--for", "span", type=duration, metavar="TIME", help="Duration (default: until Ctrl-C).")
@click.option("--lines", is_flag=True, help="A line for each reading also at a terminal.")
@click.option("--json-lines", is_flag=True, help="A JSON object for each reading, on a line.")
@pass_cli
def command(cli: Cli, interval: float, span: float | None, lines: bool, json_lines: bool) -> None:
    """Shows workers, queues, orphans and findings live, full screen; in a pipe prints a line for each reading.

    It needs the extra monitoring (Textual) and tag monitoring. It changes nothing without a plan and a confirmation,
    and records nothing; see history record. Keys: ? in the view. Exit status: 3 where the last reading did not see
    everything, else 0 for q or the end of --for, 130 for Ctrl-C and SIGTERM.
    """
    from attune_ops.monitoring.interval import check_interval

    check_interval(interval, span)
    if lines and json_lines:
        raise click.UsageError("--lines and --json-lines exclude each other")
    terminal = all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr))
    if lines or json_lines or not terminal or os.environ.get("TERM") == "dumb":
        _lines(cli, interval, span, json_lines)
    from attune_ops.model.errors import ConfigError, install

    if importlib.util.find_spec("textual") is None:
        raise ConfigError(f"the live view needs Textual: {install('monitoring')}; or use --lines")
    _view(cli, interval, span)


def _view(cli: Cli, interval: float, span: float | None) -> None:
    settings = cli.settings
    if cli.color is False:
        os.environ["NO_COLOR"] = "1"
    from attune_ops.cli._target_options import with_target_options
    from attune_ops.monitoring.live import LiveView

    view = LiveView(settings, interval, span, lambda value: with_target_options(value, cli.options))
    status = view.run()
    if view.failure is not None:
        raise view.failure
    if status == 130:
        raise KeyboardInterrupt
    cli.exit(status or 0)


def _lines(cli: Cli, interval: float, span: float | None, json_lines: bool) -> NoReturn:
    """Prints readings; ends with status 3 where the last one did not see everything."""
    last = Last()
    with interruptible(cli, last):
        _readings(cli, interval, span, json_lines, last)
    cli.exit(last.status)


def _readings(cli: Cli, interval: float, span: float | None, json_lines: bool, last: Last) -> None:
    from attune_ops.cli import _exit
    from attune_ops.model import deadline
    from attune_ops.model.facts import Source
    from attune_ops.model.ownership import require

    sources: tuple[Source, ...] = (Source.BROKER, Source.DEPTHS)
    if json_lines:
        sources += (Source.CONSUMERS, Source.REGISTRY)
    started, first = time.monotonic(), True
    while True:
        facts = cli.ops.facts(sources, skip_worker_statistics=True)  # no line tells rates or ages
        if first:
            require(facts, Source.BROKER)
        first = False
        last.status = _exit.UNREACHABLE if any(map(facts.could_not_read, sources)) else _exit.OK
        if not (_print_json if json_lines else _print)(cli, facts):
            return  # the pipe is closed
        left = interval if span is None else started + span - time.monotonic()
        if left <= 0:
            return
        time.sleep(min(interval, left))
        deadline.ended()  # each reading has the whole time


def _print(cli: Cli, facts: Facts) -> bool:
    from attune_ops.model.facts import Source
    from attune_ops.model.units import counted

    reason = facts.missing_reason((Source.BROKER, Source.DEPTHS))
    depths = [q.messages for q in facts.actual.queue_named.values() if q.messages] if facts.broker else []
    said = reason or f"{counted(sum(depths), 'message')} in {counted(len(depths), 'queue')}"
    return cli.write(cli.cleaned(f"{facts.taken_at:%H:%M:%S}Z {said}"))


def _print_json(cli: Cli, facts: Facts) -> bool:
    import json

    from attune_ops.monitoring.live_reading import as_json

    return cli.write(json.dumps(as_json(facts, cli.secrets)))  # ASCII: nothing that a terminal interprets
