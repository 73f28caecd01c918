"""`attune-ops doctor`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from attune_ops.cli import _base
from attune_ops.cli._base import format_option
from attune_ops.cli._duration import duration
from attune_ops.cli._monitor import FORMATS, Monitor, monitor_options, shown
from attune_ops.cli._options import automatic_samples_option, check_vhost, from_option
from attune_ops.cli._run import Cli, pass_cli
from attune_ops.cli._several import Several, all_envs_option, several
from attune_ops.model.severity import Severity

if TYPE_CHECKING:
    from attune_ops.doctor.findings import Report
    from attune_ops.doctor.reports import Reports

FLAGS = {"every": "all", "design": "design", "upgrade": "upgrade", "quiet": "quiet", "summary": "summary"}
ERROR_ONLY = "error-only"
FAIL_ON = {**{str(s): s for s in reversed(Severity)}, ERROR_ONLY: Severity.ERROR, "never": None}


def _split(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(word.strip() for value in values for word in value.split(",") if word.strip())


def _complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    from attune_ops.doctor.checks import GROUPS, all_checks

    known = [*GROUPS, *(word for c in all_checks() for word in (c.code, c.name))]
    return [word for word in known if word.startswith(incomplete)]


def _choice(name: str, help: str) -> Callable[[Any], Any]:
    return click.option(
        name, multiple=True, metavar="CHECK|GROUP,…", callback=_split, shell_complete=_complete, help=help
    )


@_base.command(
    example="attune-ops doctor --only topology,workers --wait 30s\n"
    "attune-ops doctor --format prometheus --output attune.prom\n"
    "attune-ops doctor --skip design --format nagios --warn warnings=3",
    several_envs=True,
)
@_choice("--only", "Run only these checks, by code, name or group.")
@_choice("--skip", "Skip these checks.")
@click.option(
    "--fail-on",
    type=click.Choice(list(FAIL_ON)),
    default="error",
    show_default=True,
    help="Exit with status 1 for a finding of this severity or worse; error-only: also ignore what could not be read.",
)
@click.option(
    "--wait",
    type=duration,
    default="0s",
    metavar="TIME",
    help="Repeat while the findings may recover, at most for this time (30s, 5m).",
)
@from_option
@click.option("--baseline", metavar="FILE", help="Leave out the findings of this earlier report (--format json).")
@automatic_samples_option
@click.option(
    "--interval",
    type=duration,
    metavar="TIME",
    help="Time between the two samples (default: 7s); a longer one, e.g. 10m, finds slower growth.",
)
@click.option("--target-version", metavar="VERSION", help="RabbitMQ version to check an upgrade for (default: 4.3).")
@click.option("--explain", metavar="CODE|all", shell_complete=_complete, help="Explain a check and exit.")
@click.option("--all", "every", is_flag=True, help="Show every check, and every finding in full.")
@click.option("--design", is_flag=True, help="Show the known weaknesses of the topology in full.")
@click.option("--upgrade", is_flag=True, help="Show the notes for an upgrade of RabbitMQ in full.")
@click.option("-q", "--quiet", is_flag=True, help="Show the verdict and the findings alone.")
@click.option("--summary", is_flag=True, help="Show one line: the verdict, the worst finding and its command.")
@click.option("--full", is_flag=True, help="With --format json: every subject of a finding, not the first 100.")
@all_envs_option
@format_option("html", "junit", *FORMATS)
@monitor_options
@pass_cli
def command(
    cli: Cli,
    /,
    explain: str | None,
    fail_on: str,
    wait: float,
    format: str,
    every: bool,
    design: bool,
    upgrade: bool,
    quiet: bool,
    summary: bool,
    full: bool,
    monitor: Monitor,
    all_envs: bool,
    **parameters: Any,
) -> None:
    """Diagnoses lost, stuck and misrouted messages; prints cause and fix. Changes nothing.

    Several environments are read side by side into one report.

    Exit status: 0 no finding at or above --fail-on, 1 findings, 2 wrong command line or configuration,
    3 broker, management API or registry not reachable, or (without findings) queues, bindings, consumers or the
    registry could not be read.
    """
    from attune_ops.cli._exit import status_of_report, status_of_reports
    from attune_ops.doctor import diagnosis
    from attune_ops.doctor.screen import Screen, Screens

    choice = {"every": every, "design": design, "upgrade": upgrade, "quiet": quiet, "summary": summary}
    if format != "table" and any(choice.values()):
        raise click.UsageError(f"--{FLAGS[next(n for n, v in choice.items() if v)]} is for --format table")
    if full and format != "json":
        raise click.UsageError("--full is for --format json")
    if explain:
        cli.show(diagnosis.pages(explain), format)
        return
    threshold = FAIL_ON[fail_on]
    environments = several(cli, all_envs)
    if environments is not None:
        reports = _diagnoses(environments, threshold or Severity.ERROR, wait, **parameters)
        reports = reports.in_full() if full else reports
        if not shown(cli, reports, format, monitor):
            cli.show(Screens(reports, **choice) if format == "table" else reports, format)
        cli.exit(status_of_reports(reports, threshold, ignore_unread=fail_on == ERROR_ONLY))
    report = diagnosis.wait_until_ok(_diagnosis(cli, **parameters), threshold or Severity.ERROR, wait, cli.note)
    if full:
        import msgspec

        report = msgspec.structs.replace(report, full=True)
    if not shown(cli, report, format, monitor):
        cli.show(Screen(report, **choice) if format == "table" else report, format)
    cli.exit(status_of_report(report, threshold, ignore_unread=fail_on == ERROR_ONLY))


def _diagnosis(
    cli: Cli,
    *,
    file: str | None,
    vhost: str | None,
    samples: int | None,
    interval: float | None,
    baseline: str | None,
    **parameters: Any,
) -> Callable[[], Report]:
    """The function that makes a report: of the live installation, or of a file, which needs no configuration."""
    from attune_ops.doctor import diagnosis
    from attune_ops.installation.config import check_settings

    parameters["known"] = diagnosis.read_baseline(baseline, cli.options.get("env"))
    check_vhost(file, vhost)
    if file is not None:
        report = diagnosis.diagnose_file(
            file, check_settings(cli.options), vhost=vhost, on_progress=cli.note, **parameters
        )
        return lambda: report
    parameters |= _sampling(samples, interval)
    return lambda: diagnosis.diagnose_live(cli.settings, on_progress=cli.note, **parameters)


def _sampling(samples: int | None, interval: float | None) -> dict[str, Any]:
    if interval is not None and not 1 <= interval <= 86400:
        raise click.BadParameter("the interval is 1 s to 1 day", param_hint="'--interval'")
    return {"samples": samples} if interval is None else {"samples": 2, "interval": interval}


def _diagnoses(
    environments: Several,
    fail_on: Severity,
    wait: float,
    *,
    file: str | None,
    vhost: str | None,
    samples: int | None,
    interval: float | None,
    **parameters: Any,
) -> Reports:
    """The reports of several environments."""
    from attune_ops.doctor.diagnose_all import diagnose_all

    if file is not None or vhost is not None:
        raise click.UsageError(f"--{'from' if file else 'vhost'} is for one installation, not for several environments")
    reports = diagnose_all(
        environments.settings,
        fail_on=fail_on,
        wait=wait,
        on_progress=environments.note,
        **_sampling(samples, interval),
        **parameters,
    )
    return environments.with_commands(reports)
