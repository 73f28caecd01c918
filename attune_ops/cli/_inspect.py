"""The common part of the inspections: pattern, sort, columns, limit, and help that documents the columns."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from attune_ops.cli import _complete
from attune_ops.cli._base import Command, format_option
from attune_ops.cli._monitor import FORMATS, Monitor, monitor_options, shown
from attune_ops.cli._options import chosen
from attune_ops.cli._run import Cli, pass_cli
from attune_ops.cli._watch import repeat, watch_option

if TYPE_CHECKING:
    from attune_ops.model.table import Column, Table
    from attune_ops.ops import Ops


# The names that complete the pattern of an inspection.
NAMES = {
    "queues": _complete.queues,
    "orphans": _complete.queues,
    "bindings": _complete.queues,
    "exchanges": _complete.exchanges,
    "workers": _complete.workers,
}


class Inspection(Command):
    """A command that prints a table; its help lists the columns with their units."""

    def __init__(self, *args: Any, table: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._table = table

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns of its table; the help of the whole program does not load them."""
        return columns_of(self._table)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The columns, then the example."""
        with formatter.section("Columns"):
            formatter.write_dl(
                [(c.name, f"{c.doc} ({c.unit})" if c.unit not in ("", c.name) else c.doc) for c in self.columns]
            )
        super().format_epilog(ctx, formatter)


def columns_of(table: str) -> tuple[Column, ...]:
    """`COLUMNS` of the module of a table."""
    found: tuple[Column, ...] = importlib.import_module(table).COLUMNS
    return found


def inspection(
    name: str,
    table: str,
    help: str,
    example: str,
    then: str = "",
    method: Callable[[Ops], Callable[..., Table]] | None = None,
    monitored: bool = False,
) -> Command:
    """Makes the command that prints the table of `Ops.NAME`, or of the method that `method` returns.

    `table` is the module with its `COLUMNS`, loaded when they are needed. `then` is a note on what to do about its
    rows. `monitored`: also in the formats for monitoring systems.
    """

    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
        typed, comma, last = incomplete.rpartition(",")
        sign = "-" if last.startswith("-") else ""
        names = dict.fromkeys(name for c in columns_of(table) for name in (c.name, c.json_name))
        return [f"{typed}{comma}{sign}{name}" for name in names if name.startswith(last.removeprefix("-"))]

    @click.command(name, cls=Inspection, table=table, help=help, example=example)
    @click.argument("pattern", required=False, shell_complete=NAMES.get(name))
    @click.option(
        "--sort",
        metavar="COLUMN,…",
        callback=_names,
        shell_complete=complete,
        help="Sort; -COLUMN: from large to small.",
    )
    @click.option(
        "--columns",
        metavar="COLUMN,…",
        callback=_names,
        shell_complete=complete,
        help="Only these columns, in this order.",
    )
    @click.option("--limit", type=click.IntRange(min=0), metavar="N", help="Only the first N rows.")
    @watch_option
    @format_option(*(FORMATS if monitored else ()))
    @(monitor_options if monitored else lambda function: function)
    @pass_cli
    def run(cli: Cli, /, format: str, every: float | None, monitor: Monitor | None = None, **filters: Any) -> int:
        from attune_ops.cli import _exit

        if format in FORMATS and filters["columns"]:
            raise click.UsageError(f"--columns is not for --format {format}")
        whole = method(cli.ops) if method else getattr(cli.ops, name)

        def read() -> Table:
            return chosen(whole(**filters))

        if every is not None:
            return repeat(cli, read, format, every, lambda seen: _exit.UNREACHABLE if seen.unread else _exit.OK)
        found = read()
        if monitor is None or not shown(cli, found, format, monitor):
            cli.show(found, format)
        if then and found.rows and format == "table":
            cli.note(then)
        if found.unread:
            cli.error(f"attune-ops: not seen: {'; '.join(found.unread)}")
            return _exit.UNREACHABLE
        return _exit.OK

    assert isinstance(run, Command)
    return run


def _names(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[str, ...]:
    return tuple(n.strip() for n in (value or "").split(",") if n.strip())
