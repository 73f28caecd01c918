"""`attune-ops snapshot`: all facts in one file, shown and compared."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from attune_ops.cli import _exit
from attune_ops.cli._base import format_option, group
from attune_ops.cli._options import force_option, samples_option, vhost_option
from attune_ops.cli._run import Cli, pass_cli

if TYPE_CHECKING:
    from attune_ops.model.facts import Facts


@group()
def command() -> None:
    """Saves all facts of an installation in one file, without secrets, and compares two files."""


@command.command(example="attune-ops snapshot save")
@click.argument("file", required=False)
@samples_option
@force_option
@pass_cli
def save(cli: Cli, file: str | None, samples: int, force: bool) -> None:
    """Reads everything, writes it to FILE (- is standard output) and prints the file's name; changes nothing else.

    Exit status 3 if the broker could not be read; the file then contains the reason and the registry.
    """
    from attune_ops.model.files import STDOUT, check_target

    if file is not None:
        check_target(file, replace=force)
    facts = cli.ops.facts(samples=samples)
    file = file or _file_name(facts)
    _save(cli, facts, file, force)
    if file != STDOUT:
        cli.write(file)
    cli.exit(_exit.OK if facts.broker is not None else _exit.UNREACHABLE)


@command.command(example="attune-ops snapshot show before.json.gz")
@click.argument("file")
@vhost_option
@format_option()
@pass_cli
def show(cli: Cli, file: str, vhost: str | None, format: str) -> None:
    """Shows the contents of FILE (a snapshot or a definitions export), and why data is missing in it.

    `doctor --from FILE` diagnoses it.
    """
    from attune_ops.inventory.snapshot_diff import contents
    from attune_ops.model.snapshot_file import load_facts

    cli.show(contents(load_facts(file, vhost=vhost, on_progress=cli.note)), format)


@command.command(example="attune-ops snapshot diff before.json.gz after.json.gz")
@click.argument("before")
@click.argument("after")
@click.option("--vhost", metavar="NAME", help="Compare this virtual host only (default: all).")
@format_option()
@pass_cli
def diff(cli: Cli, before: str, after: str, vhost: str | None, format: str) -> None:
    """Lists the objects that are new, gone or changed in AFTER, compared with BEFORE.

    Each is a snapshot or a definitions export. Rates, sizes and times, which always change, are left out. Exit
    status 1: there are differences, as with diff(1).
    """
    from attune_ops.inventory.snapshot_diff import file_changes

    found = file_changes(before, after, vhost)
    cli.show(found, format)
    cli.exit(_exit.FOUND if found.rows else _exit.OK)


def _file_name(facts: Facts) -> str:
    """A name with the installation in it, safe on any file system."""
    import re

    where = re.sub(r"[^A-Za-z0-9._-]+", "-", f"{facts.env or ''}-{facts.vhost}").strip("-.")[:100]
    return f"attune-ops-{where}{'-' if where else ''}{facts.taken_at:%Y%m%dT%H%M%SZ}.json.gz"


def _save(cli: Cli, facts: Facts, file: str, force: bool) -> None:
    from attune_ops.model.facts import Source
    from attune_ops.model.snapshot_file import save_facts

    size = save_facts(facts, file, replace=force, secrets=cli.secrets)
    cli.note(f"wrote {size:,} bytes")
    missing = {s: r for s, r in facts.missing.items() if s is not Source.EARLIER}  # needs --samples 2
    for reason in dict.fromkeys(missing.values()):
        cli.note(f"not in it: {', '.join(s.label for s, r in missing.items() if r == reason)}: {reason}")
