"""Options and option types that several commands take."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from attune_ops.cli._run import Cli

if TYPE_CHECKING:
    from attune_ops.model.facts import Facts
    from attune_ops.model.table import Table

DRY_RUN = "dry run: nothing was changed; to change it, add --apply"

confirm_option = click.option("--confirm", metavar="NAME", help="Name of the environment, if it is protected.")

samples_option = click.option(
    "--samples", type=click.IntRange(1, 2), default=1, help="2: read twice, 7 s apart, to find growing queues."
)
automatic_samples_option = click.option(
    "--samples",
    type=click.IntRange(1, 2),
    help="2: read twice, 7 s apart, to find growing queues; 1: read once (default: twice if a consumer may be stuck).",
)
vhost_option = click.option(
    "--vhost", metavar="NAME", help="Virtual host of FILE, if several of its virtual hosts are not empty."
)


def from_option(function: Any) -> Any:
    """`--from FILE`, and `--vhost NAME` for a file with several virtual hosts."""
    file = click.option(
        "--from", "file", metavar="FILE", help="Read a snapshot or definitions export instead of the broker."
    )
    return file(vhost_option(function))


def read_file(cli: Cli, file: str, vhost: str | None) -> Facts:
    """The facts of a file by the topology that is configured; needs no configured installation."""
    from attune_ops.installation.config import check_settings
    from attune_ops.model.snapshot_file import load_facts

    return load_facts(file, check_settings(cli.options).topology, vhost, on_progress=cli.note)


def check_vhost(file: str | None, vhost: str | None) -> None:
    """Raises `UsageError` for `--vhost` without a file."""
    if vhost is not None and file is None:
        raise click.UsageError("--vhost is for --from; a live virtual host is part of --amqp-url")


force_option = click.option("--force", is_flag=True, help="Overwrite an existing file.")


def change_options(does: str) -> Callable[[Any], Any]:
    """`--apply`, which does what `does` says, and `--confirm NAME`."""
    apply = click.option("--apply", is_flag=True, help=f"{does}; without it, a dry run.")
    return lambda function: apply(confirm_option(function))


other_release_option = click.option(
    "--force", is_flag=True, help="Change it also where the broker runs another release than --topology names."
)


def confirmed(cli: Cli, confirm: str | None, apply: bool = True) -> str | None:
    """The name typed for a protected environment, asked for at a terminal; `installation.audit` checks it."""
    if apply and confirm is None and cli.settings.protected and sys.stdin.isatty():
        return str(click.prompt(f"{cli.settings.env!r} is protected; type its name", err=True))
    return confirm


def json_object(ctx: click.Context, param: click.Parameter, value: str | None) -> dict[str, Any] | None:
    """Callback of an option with a JSON object; None without the option. Anything else: exit status 2."""
    import msgspec

    try:
        return None if value is None else msgspec.json.decode(value.encode(), type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeError, RecursionError) as e:
        raise click.BadParameter(f"not a JSON object: {e}") from None


columns_option = click.option("--columns", metavar="COLUMN,…", help="Only these columns, in this order.")


def chosen(table: Table, columns: str | None = None) -> Table:
    """The table with the named columns, or all; what a narrow terminal leaves out is then found by the option."""
    import msgspec

    found = table.select(columns.split(",")) if columns else table
    return msgspec.structs.replace(found, columns_option=True)
