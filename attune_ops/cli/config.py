"""`attune-ops config`: which installation, and the configuration file."""

from __future__ import annotations

import os
from pathlib import Path

import click

from attune_ops.cli._base import Cli, format_option, group, pass_cli
from attune_ops.cli._exit import OK, USAGE


@group()
def command() -> None:
    """Shows, writes and checks the configuration."""


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
