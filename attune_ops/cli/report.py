"""`attune-ops report`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from attune_ops.cli import _base, _exit
from attune_ops.cli._base import Cli, pass_cli

if TYPE_CHECKING:
    from attune_ops.doctor.findings import Report


@_base.command(example="attune-ops report --output report.html")
@click.option("--output", "file", metavar="FILE", required=True, help="HTML file to write; - is standard output.")
@click.option("--from", "source", metavar="FILE", help="Read a snapshot or a definitions export, not the broker.")
@click.option(
    "--samples", type=click.IntRange(1, 2), default=1, help="2: read twice, 5 s apart, to find growing queues."
)
@click.option("--force", is_flag=True, help="Overwrite a file that exists.")
@pass_cli
def command(cli: Cli, file: str, source: str | None, samples: int, force: bool) -> None:
    """Writes one HTML file to send: findings, tables, topology, queue depths and the snapshot, without passwords.

    The file needs no network and no JavaScript. Changes nothing on the installation. Exit status 3 if the broker could
    not be read; the report has the reason.
    """
    from attune_ops.doctor import html_report

    report = _diagnosis(cli, source, samples)
    if file == "-":
        cli.write(html_report.report_html(report, cli.secrets))
    else:
        size = html_report.write_report(report, file, replace=force, secrets=cli.secrets)
        cli.write(file)
        cli.note(f"wrote {size} bytes; to undo, delete the file")
    cli.exit(_exit.OK if report.facts.broker is not None else _exit.UNREACHABLE)


def _diagnosis(cli: Cli, source: str | None, samples: int) -> Report:
    """The diagnosis of the live installation, or of a file, which needs no configured installation."""
    from attune_ops.cli._target_options import with_target_options
    from attune_ops.doctor.diagnosis import diagnose_file
    from attune_ops.installation.config import check_settings

    if source is None:
        return with_target_options(cli.ops.doctor(samples=samples), cli.options)
    return diagnose_file(source, check_settings(cli.options))
