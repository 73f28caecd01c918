"""`attune-ops topology`: the desired topology against the broker."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from attune_ops.cli import _complete, _exit
from attune_ops.cli._base import Command, format_option, group
from attune_ops.cli._options import (
    DRY_RUN,
    change_options,
    check_vhost,
    confirmed,
    from_option,
    json_object,
    other_release_option,
    read_file,
)
from attune_ops.cli._run import Cli, pass_cli

if TYPE_CHECKING:
    from attune_ops.model.facts import Facts, Source
    from attune_ops.model.table import Table
    from attune_ops.model.topology import Topology
    from attune_ops.topology.drift import TopologyDiff


@group()
def command() -> None:
    """Shows the desired topology, compares it with the broker, declares and exports it."""


@command.command("list", example="attune-ops topology list")
@format_option()
@pass_cli
def list_(cli: Cli, format: str) -> None:
    """Lists the built-in topologies."""
    from attune_ops.model.topologies import table

    cli.show(table(), format)


@command.command(example="attune-ops topology show attune-2026-09")
@click.argument("name", metavar="[NAME|FILE]", required=False, shell_complete=_complete.topologies)
@format_option("toml")
@pass_cli
def show(cli: Cli, name: str | None, format: str) -> None:
    """Shows a topology: exchanges, queues, bindings, publishers and consumers."""
    cli.show(_desired(cli, name), format)


@command.command(example="attune-ops topology check attune-2026-09")
@click.argument("files", metavar="NAME|FILE…", nargs=-1, required=True, shell_complete=_complete.topologies)
@click.option(
    "--fail-on",
    type=click.Choice(["error", "warning"]),
    default="error",
    show_default=True,
    help="The least severe finding with exit status 1.",
)
@format_option()
@pass_cli
def check(cli: Cli, files: tuple[str, ...], fail_on: str, format: str) -> None:
    """Checks topology files without a broker: line, reason and fix of each problem.

    A file must be well formed; then the design checks run. Exit status 2: a file is no valid topology; 1: a finding at
    or above --fail-on.
    """
    from attune_ops.doctor.topology_check import INVALID, check_topologies
    from attune_ops.installation.config import check_settings

    found = check_topologies(files, check_settings(cli.options))
    cli.show(found, format)
    severities = set(found.column("severity"))
    failing = severities & ({"error"} if fail_on == "error" else {"error", "warning"})
    cli.exit(_exit.USAGE if INVALID in severities else _exit.FOUND if failing else _exit.OK)


@command.command(example="attune-ops topology diff --format json")
@from_option
@format_option()
@pass_cli
def diff(cli: Cli, file: str | None, vhost: str | None, format: str) -> None:
    """Compares the topology with the broker: missing, different, overridden by a policy, unexpected.

    For each difference it shows the fix, and the error that a service gets from the broker. Unmanaged objects in the
    virtual host, and settings that a policy adds, do not count as drift. Exit status 1 if there is drift, as with
    diff(1); else 3 if the registry could not be read, so that queues of workers were not compared.
    """
    from attune_ops.topology.diff import diff as compare

    check_vhost(file, vhost)
    found = cli.ops.topology_diff() if file is None else compare(_facts(cli, file, vhost))
    cli.show(found, format)
    cli.exit(_exit.FOUND if found.drift else _unread(cli, found))


def _unread(cli: Cli, found: TopologyDiff) -> int:
    """The exit status where there is no drift; says what could not be read."""
    if not found.unread:
        return _exit.OK
    cli.error(f"attune-ops: not seen: {'; '.join(found.unread)}")
    return _exit.UNREACHABLE


@command.command(example="attune-ops topology apply --no-worker-queues")
@change_options("Declare the missing objects")
@click.option(
    "--no-worker-queues",
    is_flag=True,
    help="Declare no missing queue of a worker: only the worker's start-up consumes from it.",
)
@other_release_option
@format_option()
@pass_cli
def apply(cli: Cli, apply: bool, no_worker_queues: bool, confirm: str | None, force: bool, format: str) -> None:
    """Declares the missing objects of the topology, also those of each live worker, and verifies them.

    Deletes and changes nothing that exists; what cannot be declared is shown with the reason. Exit status 1 if there is
    still drift after --apply; else 3 if the registry could not be read, so that queues of workers were left out.
    """
    from attune_ops.topology.apply import undo

    done = cli.ops.topology_apply(
        apply=apply, worker_queues=not no_worker_queues, confirm=confirmed(cli, confirm, apply), force=force
    )
    cli.show(done, format)
    if not apply:
        cli.note(DRY_RUN if done.outcomes else "nothing to declare")
    for note in undo(done):
        cli.note(note)
    cli.exit(_exit.FOUND if apply and (done.failed or done.left) else _unread(cli, done.after or done.before))


def _binding(
    word: str, example: str, apply_help: str, *more: Callable[[Any], Any]
) -> Callable[[Callable[..., None]], Command]:
    """A command about one binding."""

    def make(function: Callable[..., None]) -> Command:
        for option in (
            format_option(),
            *more,
            change_options(apply_help),
            click.option(
                "--arguments", metavar="JSON", callback=json_object, help="Arguments of the binding (headers exchange)."
            ),
            click.option("--exchange", is_flag=True, help="DESTINATION is an exchange."),
            click.argument("routing_key", metavar="KEY", default=""),
            click.argument("destination", shell_complete=_complete.queues),
            click.argument("source", shell_complete=_complete.exchanges),
        ):
            function = option(function)
        made = command.command(word, example=example)(pass_cli(function))
        assert isinstance(made, Command)
        return made

    return make


@_binding("bind", "attune-ops topology bind attune.events attune.executions.queue 'rule.#'", "Add the binding")
def bind(cli: Cli, /, format: str, **how: Any) -> None:
    """Binds DESTINATION to the exchange SOURCE with KEY, unless it is bound already."""
    _changed(cli, cli.ops.bind, format, **how)


@_binding(
    "unbind",
    "attune-ops topology unbind attune.events attune.events.queue '#'",
    "Remove the binding",
    other_release_option,
)
def unbind(cli: Cli, /, format: str, **how: Any) -> None:
    """Removes the binding of DESTINATION to the exchange SOURCE with KEY, and prints the command that restores it.

    Without --arguments all bindings with that key are removed. `attune-ops bindings` lists them.
    """
    _changed(cli, cli.ops.unbind, format, **how)


def _changed(cli: Cli, change: Callable[..., Table], format: str, **how: Any) -> None:
    how["confirm"] = confirmed(cli, how["confirm"], how["apply"])
    cli.show(change(**how), format)
    if not how["apply"]:
        cli.note(DRY_RUN)


@command.command(example="attune-ops topology export --to toml --live")
@click.option("--to", type=click.Choice(["definitions", "toml"]), default="definitions", show_default=True,
              help="RabbitMQ definitions (JSON), or a topology file.")  # fmt: skip
@click.option("--live", is_flag=True, help="Export what is on the broker, instead of the desired topology.")
@from_option
@click.option("--worker", "workers", type=click.IntRange(0), multiple=True, metavar="ID",
              help="Include the queues of this worker (desired definitions only).")  # fmt: skip
@pass_cli
def export(cli: Cli, to: str, live: bool, file: str | None, vhost: str | None, workers: tuple[int, ...]) -> None:
    """Prints RabbitMQ definitions, to be imported into any virtual host, or a topology file.

    With --live or --from it exports what is on the broker. Worker queues are recognised by the patterns of the chosen
    topology and become one template in a topology file. Server-named queues, which are deleted with their connection,
    are left out.
    """
    from attune_ops.topology.export import SOURCES, export_topology

    check_vhost(file, vhost)
    source = _facts(cli, file, vhost, SOURCES) if live or file is not None else _desired(cli)
    cli.write(export_topology(source, to, workers))


@command.command(example="attune-ops topology graph --live --format mermaid")
@click.option("--live", is_flag=True, help="Show depths, consumers and missing objects of the broker.")
@from_option
@format_option("svg", "mermaid", "dot")
@pass_cli
def graph(cli: Cli, live: bool, file: str | None, vhost: str | None, format: str) -> None:
    """Draws the topology: publishers, exchanges, queues, consumers; dead-letter routes are dashed."""
    from attune_ops.topology.topology_graph import SOURCES, topology_graph

    check_vhost(file, vhost)
    source = _facts(cli, file, vhost, SOURCES) if live or file is not None else _desired(cli)
    cli.show(topology_graph(source), format)


def _desired(cli: Cli, name: str | None = None) -> Topology:
    """The named topology; works without a configured installation."""
    from attune_ops.installation.config import check_settings
    from attune_ops.model.topologies import DEFAULT, load

    return load(name) if name is not None else check_settings(cli.options).topology or load(DEFAULT)


def _facts(cli: Cli, file: str | None, vhost: str | None, sources: tuple[Source, ...] = ()) -> Facts:
    """The facts of a file or of the live broker; raises `SourceError` where it could not be read."""
    from attune_ops.model.facts import Source
    from attune_ops.model.ownership import require

    facts = cli.ops.facts(sources) if file is None else read_file(cli, file, vhost)
    return require(facts, Source.BROKER)
