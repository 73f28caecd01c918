"""`attune-ops notebook`: the runbooks for Jupyter that come with the package."""

from __future__ import annotations

import json
from typing import Any

import click

from attune_ops.cli import _complete
from attune_ops.cli._base import format_option, group
from attune_ops.cli._options import force_option
from attune_ops.cli._run import Cli, pass_cli
from attune_ops.model import deadline


@group()
def command() -> None:
    """Runbooks for Jupyter: each answers one question, on a named environment or on its own lab."""
    deadline.do_not_apply()  # each step has its own limit


@command.command("list", example="attune-ops notebook list")
@format_option()
@pass_cli
def list_(cli: Cli, format: str) -> None:
    """Lists the notebooks with the question that each answers and its parameters."""
    from attune_ops.notebook.runbooks.catalog import notebooks

    cli.show(notebooks(), format)


@command.command("open", example="attune-ops notebook open first-look --copy-only")
@click.argument("name", shell_complete=_complete.notebooks)
@click.option("--copy-only", is_flag=True, help="Do not start JupyterLab.")
@pass_cli
def open_(cli: Cli, name: str, copy_only: bool) -> None:
    """Copies a notebook into the current folder and opens the copy in JupyterLab.

    An existing copy is opened unchanged. To undo, delete the copy.
    """
    from attune_ops.installation.config import docs_url
    from attune_ops.notebook.runbooks.catalog import copy, open_lab

    file, new = copy(name, docs_url=docs_url(cli.options))
    cli.write(str(file))
    cli.note("copied; to undo, delete it" if new else "the file already exists and is not changed")
    if not copy_only:
        cli.exit(open_lab(file))


@command.command(example="attune-ops notebook run first-look --output out.ipynb")
@click.argument("name", shell_complete=_complete.notebooks)
@click.option("--output", "file", metavar="FILE", required=True, help="Notebook with outputs to write; - is stdout.")
@click.option("-p", "--parameter", "pairs", multiple=True, metavar="NAME=VALUE", help="Set a parameter; JSON or text.")
@click.option("--apply", is_flag=True, help="Allow its cells to change the installation.")
@click.option("--confirm", metavar="NAME", help="Name of the environment, if it is protected.")
@force_option
@pass_cli
def run(cli: Cli, name: str, file: str, pairs: tuple[str, ...], apply: bool, confirm: str | None, force: bool) -> None:
    """Runs a notebook from top to bottom and writes it with its outputs; changes nothing else without --apply.

    Without a configured installation it starts its own lab and stops it at the end.
    """
    from attune_ops.model.files import STDOUT, check_target

    check_target(file, replace=force)  # Jupyter takes a second to load
    from attune_ops.notebook.runbooks.execution import run as execute

    options = {key: value for key, value in cli.options.items() if key != "env"}
    common = {"env": cli.options.get("env"), "apply": apply or None, "confirm": confirm}
    values = {key: value for key, value in common.items() if value is not None} | _values(pairs)
    # As environment variables, so that no URL with a password is in the notebook.
    execute(name, file, values, environment={f"ATTUNE_OPS_{k.upper()}": v for k, v in options.items()}, replace=force)
    if file != STDOUT:
        cli.write(file)


def _values(pairs: tuple[str, ...]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise click.UsageError(f"invalid parameter {pair!r}: write NAME=VALUE")
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return found
