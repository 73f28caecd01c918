"""`attune-ops version`."""

from __future__ import annotations

import click

from attune_ops.cli import _base
from attune_ops.model.version import __version__


@_base.command(example="attune-ops version")
def command() -> None:
    """Prints the version, as --version does."""
    click.echo(f"attune-ops {__version__}")
