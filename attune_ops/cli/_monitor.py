"""The formats for monitoring systems: `--format prometheus|nagios`, `--output`, `--warn` and `--crit`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from attune_ops.cli import _exit
from attune_ops.cli._run import Cli

if TYPE_CHECKING:
    from attune_ops.doctor.findings import Report
    from attune_ops.doctor.health_check import Health
    from attune_ops.doctor.reports import Reports
    from attune_ops.model.table import Table

FORMATS = PROMETHEUS, NAGIOS = "prometheus", "nagios"
READABLE = 0o644  # for node_exporter, which runs as another user


class Monitor(NamedTuple):
    """The options of a run."""

    output: str | None
    warn: tuple[str, ...]
    crit: tuple[str, ...]


def monitor_options(function: Any) -> Any:
    """`--output`, `--warn` and `--crit`, which the command gets as `monitor`."""
    import functools

    @click.option("--output", metavar="FILE", help="With prometheus or nagios: write this file (atomically).")
    @click.option("--warn", multiple=True, metavar="METRIC=RANGE", help="With nagios: warning, e.g. messages=1000.")
    @click.option("--crit", multiple=True, metavar="METRIC=RANGE", help="With nagios: critical, e.g. consumers=0.")
    @functools.wraps(function)
    def run(
        *arguments: Any, output: str | None, warn: tuple[str, ...], crit: tuple[str, ...], format: str, **options: Any
    ) -> Any:
        if output is not None and format not in FORMATS:
            raise click.UsageError(f"--output is for --format {' and '.join(FORMATS)}")
        if (warn or crit) and format != NAGIOS:
            raise click.UsageError(f"--{'warn' if warn else 'crit'} is for --format {NAGIOS}")
        return function(*arguments, format=format, monitor=Monitor(output, warn, crit), **options)

    return run


def shown(cli: Cli, value: Report | Reports | Health | Table, format: str, monitor: Monitor) -> bool:
    """Shows a result in a format for monitoring systems; False for another format.

    With nagios the command ends here, with the status of the line.
    """
    if format == PROMETHEUS:
        _write(cli, metrics(value), monitor.output)
    elif format == NAGIOS:
        from attune_ops.monitoring.nagios import outcome

        result = outcome(value, monitor.warn, monitor.crit)
        _write(cli, f"{cli.cleaned(result.line)}\n", monitor.output)
        cli.exit(result.status)
    return format == PROMETHEUS


def metrics(value: Report | Reports | Health | Table) -> str:
    """A result in Prometheus' text format; raises `ConfigError` without prometheus-client."""
    from attune_ops.doctor.findings import Report
    from attune_ops.doctor.health_check import Health
    from attune_ops.doctor.reports import Reports
    from attune_ops.monitoring import metrics as of

    if isinstance(value, Reports):
        from attune_ops.monitoring.env_label import families_of_all

        return of.exposition(families_of_all(value)).decode()
    if isinstance(value, Report):
        return of.exposition(of.families(value)).decode()
    return of.exposition(of.health_families(value) if isinstance(value, Health) else of.table_families(value)).decode()


def _write(cli: Cli, text: str, output: str | None) -> None:
    from attune_ops.model.files import write_file
    from attune_ops.model.secret import without

    if output is None:
        cli.write(text)
    else:
        write_file(output, without(text, cli.secrets).encode(), "the result", replace=True, mode=READABLE)


def is_nagios(words: list[str]) -> bool:
    """Whether these words of a command line choose the format of Nagios, which takes every status for a result."""
    line = "\0".join(("", *words, ""))
    return re.search(rf"\0(?:--format[\0=]|-v*o\0?){NAGIOS}\0", line) is not None


def status_for_nagios(cli: Cli, status: int) -> int:
    """The status where an error ended the command: unknown, with its reason on stdout."""
    if cli.failure is not None:
        cli.write(f"UNKNOWN - {cli.failure.replace('|', '/')}\n")
        return _exit.UNREACHABLE
    return status if status in range(4) else _exit.UNREACHABLE
