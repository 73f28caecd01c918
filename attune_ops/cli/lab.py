"""`attune-ops lab`."""

from __future__ import annotations

import os
import shutil
import sys

import click

from attune_ops.cli import _exit
from attune_ops.cli._base import format_option, group
from attune_ops.cli._duration import duration
from attune_ops.cli._options import chosen, columns_option
from attune_ops.cli._run import Cli, pass_cli
from attune_ops.model import deadline

WIDTH = 80  # columns of a table in a pipe, which has no width


def _name(ctx: click.Context, param: click.Parameter, value: str | None) -> str:
    """The given name, here or with `--lab`, which every command has."""
    if value is not None:
        return value
    return ctx.ensure_object(Cli).options.get("lab") or os.environ.get("ATTUNE_OPS_LAB") or "default"


name_option = click.option(
    "--name",
    callback=_name,
    help="Name of the lab [default: the value of --lab or ATTUNE_OPS_LAB, else `default`].",
)

server_option = click.option(
    "--server", metavar="DIR|PATH", help="RabbitMQ installation: its folder or its rabbitmq-server."
)
config_option = click.option(
    "--set", "lines", multiple=True, metavar="KEY=VALUE", help="A line of rabbitmq.conf; repeatable."
)


@group()
def command() -> None:
    """A private RabbitMQ on loopback: own ports, own data, own password; other brokers are not affected."""
    deadline.do_not_apply()  # each step has its own limit


@command.command(example="attune-ops lab up")
@name_option
@click.option("--nodes", type=int, metavar="N", help="Number of cluster nodes (default: 1).")
@server_option
@config_option
@pass_cli
def up(cli: Cli, name: str, nodes: int | None, server: str | None, lines: tuple[str, ...]) -> None:
    """Starts the lab, or those nodes of a running lab that are down."""
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
    cli.note("Lab stopped." if found else f"no lab {name!r}" + (f"; existing labs: {others}" if others else ""))


@command.command(example="attune-ops lab status --format json")
@click.option("--name", help="Only this lab (default: all).")
@columns_option
@format_option()
@pass_cli
def status(cli: Cli, name: str | None, columns: str | None, format: str) -> None:
    """Shows the labs with their nodes and URLs; exit status 1 if none is running."""
    from attune_ops import lab

    found = lab.status(name if name is not None else cli.options.get("lab"))
    cli.show(chosen(found, columns), format)
    if "running" not in found.column("state"):
        cli.note(_nothing_runs(name if name is not None else cli.options.get("lab")))
        cli.exit(_exit.FOUND)


def _nothing_runs(name: str | None) -> str:
    """That no lab is running, or not the one of that name, with the others that are."""
    from attune_ops import lab

    if name is None:
        return "no lab is running; `attune-ops lab up` starts one"
    there = lab.status()
    states = zip(there.column("lab"), there.column("state"), strict=True)
    running = sorted({str(other) for other, state in states if state == "running"})
    others = f"; running: {', '.join(running)}" if running else "; no other lab is running"
    from attune_ops.model.command_lines import quoted

    start = "attune-ops lab up" if name == "default" else f"attune-ops lab up --name {quoted(name)}"
    return f"lab {name!r} is not running{others}; to start it: {start}"


@command.command(example="attune-ops lab run")
@name_option
@server_option
@config_option
@click.option("--workers", type=click.IntRange(1, 100), default=3, show_default=True, help="Number of workers.")
@click.option("--for", "seconds", type=duration, default="6s", show_default=True, metavar="TIME",
              help="Time to publish messages.")  # fmt: skip
@click.option("--keep", is_flag=True, help="Leave broker and services running.")
@pass_cli
def run(
    cli: Cli, name: str, server: str | None, lines: tuple[str, ...], workers: int, seconds: float, keep: bool
) -> None:
    """Starts a private broker and stand-ins for Attune's services, publishes messages, shows tables and diagnosis.

    Stand-ins for the executor, a sensor, the notifier or the API, and some workers run their start-up sequences, step
    by step. They publish and handle messages. Then the tables and the doctor's report are shown, and everything is
    stopped, also after Ctrl-C.
    """
    from attune_ops.lab.run import Out, Plan
    from attune_ops.lab.run import run as demonstrate

    out = Out(lambda value: cli.show(_for_reading(value), "table"), cli.write, cli.progress)
    plan = Plan(workers, seconds, keep)
    demonstrate(out, plan, name=name, server=server, config=lines, topology=cli.options.get("topology"))


def _for_reading(value: object) -> object:
    """A table that fits a terminal also in a pipe (`lab run | less`): the output is for people, not for programs."""
    from attune_ops.model.table import Table
    from attune_ops.render.fitting import fitted

    if sys.stdout.isatty() or not isinstance(value, Table):
        return value
    return fitted(value, shutil.get_terminal_size((WIDTH, 24)).columns)
