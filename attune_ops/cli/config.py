"""`attune-ops config`: which installation, and the configuration file."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import click

from attune_ops.cli import _complete
from attune_ops.cli._base import format_option, group
from attune_ops.cli._exit import OK, USAGE
from attune_ops.cli._options import DRY_RUN
from attune_ops.cli._run import Cli, pass_cli


@group()
def command() -> None:
    """Shows, writes and checks the configuration; chooses an environment."""


@command.command(example="attune-ops config show --format json")
@format_option()
@pass_cli
def show(cli: Cli, format: str) -> None:
    """Shows every setting and its origin, passwords masked."""
    from attune_ops.cli._config_tables import settings_table

    cli.show(settings_table(cli.settings), format)


@command.command(example="attune-ops config init --apply")
@click.argument("file", type=click.Path(path_type=Path), default=Path("attune-ops.toml"), required=False)
@click.option("--apply", is_flag=True, help="Write the file; without it, only print the text.")
@pass_cli
def init(cli: Cli, file: Path, apply: bool) -> None:
    """Writes a commented configuration file.

    FILE is attune-ops.toml by default. An existing file is never overwritten.
    """
    from attune_ops.installation.config.config_file import example, write_example

    if apply:
        write_example(file)
        cli.note(f"wrote {file}; undo: delete it")
    else:
        cli.write(example())
        cli.note(f"dry run: nothing was written; --apply writes this to {file}")


@command.command(example="attune-ops config check")
@format_option()
@pass_cli
def check(cli: Cli, format: str) -> None:
    """Checks the configuration file and each environment in it, without connecting.

    Exit status 2 if a setting is invalid.
    """
    from attune_ops.cli._config_tables import check_table

    found = check_table(cli.options, os.environ)
    cli.show(found, format)
    cli.exit(OK if all(found.column("ok")) else USAGE)


@command.command("list", example="attune-ops config list")
@format_option()
@pass_cli
def list_(cli: Cli, format: str) -> None:
    """Lists the environments of the configuration file, without connecting."""
    from attune_ops.cli._config_tables import environments_table

    cli.show(environments_table(cli.options, os.environ), format)


@command.command(example="attune-ops config use dev")
@click.argument("name", shell_complete=_complete.environments)
@click.option("--apply", is_flag=True, help="Write the file; without it, a dry run.")
@pass_cli
def use(cli: Cli, name: str, apply: bool) -> None:
    """Makes an environment the default: default_env of the configuration file."""
    from attune_ops.cli._config_tables import file_in_use
    from attune_ops.installation.config.default_env import set_default_env

    path = file_in_use(cli.options, os.environ)
    before = set_default_env(path, name, apply=apply)
    if before == name:
        cli.note(f"{path}: {name} is the default already")
        return
    cli.write(f"{path}: default_env {before or 'none'} -> {name}")
    undo = f"attune-ops config use {shlex.quote(before)} --apply" if before else f"delete default_env in {path}"
    cli.note(f"undo: {undo}" if apply else DRY_RUN)


@command.command(example="attune-ops config path")
@pass_cli
def path(cli: Cli) -> None:
    """Prints the path of the configuration file in use.

    Exit status 2 if there is none.
    """
    from attune_ops.cli._config_tables import file_in_use

    cli.write(str(file_in_use(cli.options, os.environ).absolute()))


def _schema_names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    from attune_ops.cli._schemas import names

    return [name for name in names() if name.startswith(incomplete)]


@command.command(example="attune-ops config schema > attune-ops.schema.json\nattune-ops config schema doctor")
@click.argument("name", default="configuration", required=False, shell_complete=_schema_names)
@pass_cli
def schema(cli: Cli, name: str) -> None:
    """Prints a JSON Schema: of a file that you write, or of what a command prints with --format json.

    NAME is configuration (the default) or topology for the files; for JSON output the word in its "schema" member
    (doctor for attune-ops/doctor/1) or the whole member. Each inspection has a schema of its own: queues, workers, …;
    all other tables have the schema table. A wrong NAME lists them all.

    `config init` and `topology export --to toml` name the file for editors: attune-ops.schema.json,
    attune-ops-topology.schema.json.
    """
    from attune_ops.cli import _schemas
    from attune_ops.render.wire import json_text

    cli.write(json_text(_schemas.schema(name)))
