"""`attune-ops lab`: a private broker for trying things out."""

from __future__ import annotations

import os
import shutil
import sys

import click

from attune_ops.cli import _exit
from attune_ops.cli._base import Cli, format_option, group, pass_cli
from attune_ops.cli._options import duration

WIDTH = 100  # columns of a table in a pipe, where nothing says how wide it is shown


def _name(ctx: click.Context, param: click.Parameter, value: str | None) -> str:
    """The name that was said, here or as every command's `--lab`."""
    if value is not None:
        return value
    return ctx.ensure_object(Cli).options.get("lab") or os.environ.get("ATTUNE_OPS_LAB") or "default"


name_option = click.option(
    "--name",
    callback=_name,
    help="Which lab, where you have several [default: that of --lab or ATTUNE_OPS_LAB, else default].",
)


@group()
def command() -> None:
    """A private RabbitMQ on loopback: own ports, own data, own password; no other broker is touched."""


@command.command(example="attune-ops lab up")
@name_option
@click.option("--nodes", type=int, metavar="N", help="How many nodes form the cluster (default: 1).")
@click.option("--server", metavar="DIR|PATH", help="Another RabbitMQ: its folder, or its rabbitmq-server.")
@click.option("--set", "lines", multiple=True, metavar="KEY=VALUE", help="A line of rabbitmq.conf; may be repeated.")
@pass_cli
def up(cli: Cli, name: str, nodes: int | None, server: str | None, lines: tuple[str, ...]) -> None:
    """Starts the lab, or says that it runs already."""
    from attune_ops import lab

    with cli.progress("starting RabbitMQ") as note:
        lab.up(name, nodes=nodes, server=server, config=lines, note=note)
    cli.show(lab.status(name), "table")


@command.command(example="attune-ops lab down")
@name_option
@pass_cli
def down(cli: Cli, name: str) -> None:
    """Stops exactly what `lab up` started and removes its data."""
    from attune_ops import lab
    from attune_ops.lab.folder import names

    with cli.progress("stopping RabbitMQ") as note:
        found = lab.down(name, note=note)
    others = ", ".join(names())
    cli.note("the lab is down" if found else f"there was no lab {name!r}" + (f"; there is {others}" if others else ""))


@command.command(example="attune-ops lab status --format json")
@click.option("--name", help="Only this lab (default: all).")
@click.option("--columns", metavar="COLUMN,…", help="Only these columns, in this order.")
@format_option()
@pass_cli
def status(cli: Cli, name: str | None, columns: str | None, format: str) -> None:
    """Shows what runs, where, and its URLs; exit status 1 where nothing runs."""
    from attune_ops import lab

    found = lab.status(name if name is not None else cli.options.get("lab"))
    cli.show(found.select(columns.split(",")) if columns else found, format)
    if "running" not in found.column("state"):
        cli.note("no lab is running; `attune-ops lab up` starts one")
        cli.exit(_exit.FOUND)


@command.command(example="attune-ops lab run")
@name_option
@click.option("--server", metavar="DIR|PATH", help="Another RabbitMQ: its folder, or its rabbitmq-server.")
@click.option("--set", "lines", multiple=True, metavar="KEY=VALUE", help="A line of rabbitmq.conf; may be repeated.")
@click.option("--workers", type=click.IntRange(1, 100), default=3, show_default=True, help="How many workers.")
@click.option("--for", "seconds", type=duration, default="6s", show_default=True, help="How long messages flow.")
@click.option("--keep", is_flag=True, help="Leave broker and services up.")
@pass_cli
def run(
    cli: Cli, name: str, server: str | None, lines: tuple[str, ...], workers: int, seconds: float, keep: bool
) -> None:
    """Shows the main job: a private broker, Attune's services on it, messages, tables, the doctor.

    Stand-ins of the executor, a sensor, the notifier and some workers start as Attune's services do, step by step.
    Then messages flow, what is there is shown, and all goes down again, also after Ctrl-C.
    """
    from attune_ops.lab.run import Out, Plan
    from attune_ops.lab.run import run as demonstrate

    out = Out(lambda value: cli.show(_for_reading(value), "table"), cli.write, cli.progress)
    plan = Plan(workers, seconds, keep)
    demonstrate(out, plan, name=name, server=server, config=lines, topology=cli.options.get("topology"))


def _for_reading(value: object) -> object:
    """A table as wide as a person reads it also in a pipe (`lab run | less`): the run is to be watched, not parsed."""
    from attune_ops.model.table import Table
    from attune_ops.render.fitting import fitted

    if sys.stdout.isatty() or not isinstance(value, Table):
        return value
    return fitted(value, shutil.get_terminal_size((WIDTH, 24)).columns)
