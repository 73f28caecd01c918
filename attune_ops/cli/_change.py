"""What every command that changes something shares: `--apply`, and the name of a protected environment."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import click

from attune_ops.cli._base import Cli

confirm_option = click.option("--confirm", metavar="NAME", help="The environment's name, where it is protected.")


def change_options(help: str) -> Callable[[Any], Any]:
    """`--apply` and `--confirm NAME`; `help` says what the first one does."""
    return lambda function: click.option("--apply", is_flag=True, help=help)(confirm_option(function))


def confirmed(cli: Cli, confirm: str | None) -> str | None:
    """What was typed for a protected environment, asked for on a terminal; the gate in `actions` judges it."""
    if confirm is None and cli.settings.protected and sys.stdin.isatty():
        return str(click.prompt(f"{cli.settings.env!r} is protected; type its name", err=True))
    return confirm
