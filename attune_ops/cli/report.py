"""`attune-ops report`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from attune_ops.cli import _base, _exit
from attune_ops.cli._options import automatic_samples_option, check_vhost, force_option, from_option
from attune_ops.cli._run import Cli, pass_cli

if TYPE_CHECKING:
    from attune_ops.doctor.findings import Report


@_base.command(example="attune-ops report --output report.html")
@click.option("--output", metavar="FILE", required=True, help="HTML file to write; - is standard output.")
@from_option
@automatic_samples_option
@force_option
@pass_cli
def command(cli: Cli, output: str, file: str | None, vhost: str | None, samples: int | None, force: bool) -> None:
    """Writes one HTML file to send: findings, tables, topology, queue depths and the snapshot, without passwords.

    The file needs no network and no JavaScript. Changes nothing on the installation. Exit status 3 if the broker could
    not be read; the report has the reason.
    """
    from attune_ops.doctor import html_report
    from attune_ops.model.facts import Source
    from attune_ops.model.files import check_target

    check_vhost(file, vhost)
    check_target(output, replace=force)
    report = _diagnosis(cli, file, vhost, samples)
    if output == "-":
        cli.write(html_report.report_html(report, cli.secrets))
    else:
        size = html_report.write_report(report, output, replace=force, secrets=cli.secrets)
        cli.write(output)
        cli.note(f"wrote {size:,} bytes; undo: delete the file")
    if report.facts.broker is None:
        cli.error(f"attune-ops: not read: {report.facts.missing.get(Source.BROKER, 'the broker')}")
        cli.exit(_exit.UNREACHABLE)
    cli.exit(_exit.OK)


def _diagnosis(cli: Cli, file: str | None, vhost: str | None, samples: int | None) -> Report:
    """The diagnosis of the live installation, or of a file, which needs no configured installation."""
    from attune_ops.cli._target_options import with_target_options
    from attune_ops.doctor.diagnosis import diagnose_file, diagnose_live
    from attune_ops.installation.config import check_settings

    if file is None:
        return with_target_options(diagnose_live(cli.settings, samples=samples, on_progress=cli.note), cli.options)
    return diagnose_file(file, check_settings(cli.options), vhost=vhost, on_progress=cli.note)
