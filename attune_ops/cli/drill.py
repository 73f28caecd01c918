"""`attune-ops drill`: failures made on purpose, and every message accounted for."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import click

from attune_ops.cli import _exit
from attune_ops.cli._base import format_option, group
from attune_ops.cli._run import Cli, pass_cli
from attune_ops.model import deadline

if TYPE_CHECKING:
    from attune_ops.installation.config import Settings

OWN = "(default: the drill's own)."


@group()
def command() -> None:
    """Failover drills: cause a failure on a private broker, and account for every message."""
    deadline.do_not_apply()  # failures are made on purpose; each step has its own limit


@command.command(name="list", example="attune-ops drill list")
@format_option()
@pass_cli
def list_(cli: Cli, format: str) -> None:
    """Lists the drills; --format json includes their descriptions."""
    from attune_ops.drills.catalog import table

    cli.show(table(), format)


def _names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    from attune_ops.drills.catalog import all_drills

    return [n for n in all_drills() if n.startswith(incomplete)]


def _remedies(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    from attune_ops.drills.remedies import all_remedies

    return [n for n in all_remedies() if n.startswith(incomplete)]


@command.command(example="attune-ops drill run worker-crash --rate 50")
@click.argument("name", shell_complete=_names)
@click.option("--workers", type=int, metavar="N", help="Number of workers " + OWN)
@click.option("--rate", type=float, metavar="N", help="Messages per second " + OWN)
@click.option("--duration", type=float, metavar="SECONDS", help="Duration of the load " + OWN)
@click.option("--size", type=int, metavar="BYTES", help="Additional bytes in each message " + OWN)
@click.option("--durable/--transient", default=None, help="Persistent or transient messages " + OWN)
@click.option("--prefetch", type=int, metavar="N", help="Prefetch count of consumers (default: the topology's).")
@click.option(
    "--heartbeat",
    type=int,
    metavar="SECONDS",
    help="AMQP heartbeat of a worker that hangs or loses the network " + OWN,
)
@click.option("--seed", type=int, metavar="N", help="Seed of the message ids " + OWN)
@click.option(
    "--registry", type=click.Choice(("sqlite", "postgresql")), help="Database of the worker registry (default: sqlite)."
)
@click.option(
    "--remedy", metavar="NAME", shell_complete=_remedies, help="Run a second time with this mitigation, and compare."
)
@click.option("--like", metavar="FILE", help="Use topology and policies of a snapshot or definitions file.")
@click.option("--vhost", metavar="NAME", help="Virtual host of the --like file, if it has several.")
@click.option("--server", metavar="DIR|PATH", help="RabbitMQ to start: its folder, or its rabbitmq-server.")
@click.option("--confirm", metavar="NAME", help="Name of the environment to run the drill on.")
@click.option("--save", metavar="FILE", help="Also write the journal to this file; - is stdout.")
@format_option("html", "svg")
@pass_cli
def run(cli: Cli, /, name: str, remedy: str | None, save: str | None, format: str, **given: Any) -> None:
    """Runs a drill in a scratch virtual host of the lab, or on a broker that it starts and removes.

    Without a running lab the drill starts its own. `--env NAME --confirm NAME` runs the drill on that environment, if
    its configuration has `drills = true`; an --amqp-url is refused. A drill that breaks a node always starts its own
    broker.

    While a memory or disk alarm blocks publishers, the drill says so and waits. Ctrl-C undoes everything.

    Mitigations for --remedy are durable, quorum and expires-policy for worker queues, alternate-exchange for unroutable
    messages, dead-letter-queue for dead-lettered messages, and redispatch for a scheduler that tries the next worker.

    Exit status: 0 hypothesis confirmed, 1 violated or inconclusive.
    """
    from attune_ops.drills.runner import run as run_drill
    from attune_ops.model.files import STDOUT

    if given["vhost"] is not None and given["like"] is None:
        raise click.UsageError("--vhost is for --like")
    parameters = {key: value for key, value in given.items() if value is not None}
    environment, topology = _environment(cli), cli.options.get("topology")
    parameters["confirm"] = _confirmed(environment, parameters.get("confirm"))
    if save is not None:
        _refuse_unwritable(save)
    with cli.progress(f"drill {name}") as note:
        made = run_drill(name, environment, topology=topology, remedy=remedy, on_progress=note, **parameters)
    if save == STDOUT:
        cli.report(made, format)
    else:
        cli.show(made, format)
    if save is not None:
        _save(cli, made, save)
    cli.exit(_exit.status_of_drill(made))


@command.command(example="attune-ops drill report worker-crash.json")
@click.argument("first", metavar="JOURNAL", type=click.Path())
@click.argument("second", metavar="[JOURNAL]", required=False, type=click.Path())
@format_option("html", "svg")
@pass_cli
def report(cli: Cli, first: str, second: str | None, format: str) -> None:
    """Shows the journal of a drill, or compares two."""
    from attune_ops.drills.journal import read_journals

    cli.show(read_journals(first, second), format)


@command.command(example="attune-ops drill recover")
@pass_cli
def recover(cli: Cli) -> None:
    """Undoes what killed drills left behind: processes, virtual hosts, their own brokers."""
    from attune_ops.drills.target import settings_of_record
    from attune_ops.drills.undo import recover as undo
    from attune_ops.model.units import counted

    done = undo(lambda record: settings_of_record(record, cli.options.get("config", "")), cli.note)
    cli.note(f"undone: {counted(done, 'drill')}" if done else "nothing to undo")


def _environment(cli: Cli) -> Settings | None:
    """The settings of a named environment or lab, else None: a drill never uses a URL alone."""
    from attune_ops.model.errors import DrillRefused

    if any(cli.options.get(key) or os.environ.get(f"ATTUNE_OPS_{key.upper()}") for key in ("env", "lab")):
        return cli.settings
    if "amqp_url" in cli.options:
        raise DrillRefused("drills run on the lab or on a named environment (--env), not on an --amqp-url")
    return None


def _confirmed(settings: Settings | None, confirm: str | None) -> str | None:
    """The confirmed name of the environment, asked for at a terminal where it allows drills; the drill checks it."""
    if settings is not None and settings.drills and not settings.on_lab and confirm is None and sys.stdin.isatty():
        return str(click.prompt(f"the drill makes failures on {settings.env!r}; type its name", err=True))
    return confirm


def _refuse_unwritable(path: str) -> None:
    """Raises `ConfigError` before the drill where its journal could not be written."""
    from attune_ops.model.errors import ConfigError
    from attune_ops.model.files import check_target

    file = check_target(path, replace=True)
    if file is not None and not os.access(file.parent, os.W_OK):
        raise ConfigError(f"cannot write the journal to {path!r}: its folder is not writable")


def _save(cli: Cli, made: Any, path: str) -> None:
    from attune_ops.model.files import write_file
    from attune_ops.render import written

    write_file(path, f"{written(made, 'json', cli.secrets)}\n".encode(), "the journal", replace=True)
