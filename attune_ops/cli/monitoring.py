"""`attune-ops monitoring`: what Prometheus and Grafana need to use the metrics of `serve`."""

from __future__ import annotations

import click

from attune_ops.cli._base import group
from attune_ops.cli._run import Cli, pass_cli


@group()
def command() -> None:
    """Prints alert rules for Prometheus and a dashboard for Grafana, on the metrics of `attune-ops serve`.

    Nothing is connected to and nothing is changed.
    """


@command.command(example="attune-ops monitoring rules > attune-ops.rules.yml")
@click.option("--job", default="attune-ops", show_default=True, metavar="NAME", help="Job of the scrape configuration.")
@click.option(
    "--runbook-url", metavar="URL",
    help="Address of docs/checks.md as you publish it (default: docs_url, else the pages of serve, /checks).",
)  # fmt: skip
@pass_cli
def rules(cli: Cli, job: str, runbook_url: str | None) -> None:
    """Prints the alert rules as a rule file: each alert has a severity and a runbook."""
    from attune_ops.installation.config import docs_url
    from attune_ops.model.docs_address import docs_address
    from attune_ops.monitoring.rules import rules_file

    if runbook_url is None and (base := docs_url(cli.options)):
        runbook_url = docs_address("checks", base=base)
    cli.write(rules_file(job=job, runbook_url=runbook_url))


@command.command(example="attune-ops monitoring grafana > attune-ops.json")
@pass_cli
def grafana(cli: Cli) -> None:
    """Prints the dashboard as JSON: import it without an edit; the data source is chosen on the dashboard."""
    import json

    from attune_ops.monitoring.grafana import dashboard

    cli.write(json.dumps(dashboard(), indent=2) + "\n")
