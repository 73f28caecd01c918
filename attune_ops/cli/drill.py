"""`attune-ops drill`: failures made to happen, and every message accounted for."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from attune_ops.cli import _exit
from attune_ops.cli._base import Cli, format_option, group, pass_cli

if TYPE_CHECKING:
    from attune_ops.installation.config import Settings


@group()
def command() -> None:
    """Failover drills: break something on purpose, on a private broker, and see what becomes of each message."""


@command.command(name="list", example="attune-ops drill list")
@format_option()
@pass_cli
def list_(cli: Cli, format: str) -> None:
    """Lists the drills, or with --format json all that each says about itself."""
    from attune_ops.drills._listing import table

    cli.show(table(), format)


def _names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    from attune_ops.drills import all_drills

    return [n for n in all_drills() if n.startswith(incomplete)]


def _remedies(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    from attune_ops.drills.remedies import all_remedies

    return [n for n in all_remedies() if n.startswith(incomplete)]


@command.command(example="attune-ops drill run worker-crash --rate 50")
@click.argument("name", shell_complete=_names)
@click.option("--workers", type=int, metavar="N", help="How many workers.")
@click.option("--rate", type=float, metavar="N", help="Messages per second.")
@click.option("--duration", type=float, metavar="S", help="How long messages are sent.")
@click.option("--size", type=int, metavar="BYTES", help="More bytes in each message.")
@click.option("--durable/--transient", default=None, help="Persistent or transient messages.")
@click.option("--prefetch", type=int, metavar="N", help="Instead of the topology's.")
@click.option("--heartbeat", type=int, metavar="S", help="AMQP heartbeat of what hangs.")
@click.option("--seed", type=int, metavar="N", help="The same seed gives the same message ids.")
@click.option("--registry", type=click.Choice(("sqlite", "postgresql")), help="Where workers register [sqlite].")
@click.option("--remedy", metavar="NAME", shell_complete=_remedies, help="Run once more with a cure, and compare.")
@click.option("--like", metavar="FILE", help="Take topology and policies from a snapshot or definitions file.")
@click.option("--server", metavar="DIR|PATH", help="Another RabbitMQ: its folder, or its rabbitmq-server.")
@click.option("--confirm", metavar="NAME", help="The name of the environment, typed, to run a drill there.")
@click.option("--save", metavar="FILE", help="Write the journal there too.")
@format_option("html", "svg")
@pass_cli
def run(cli: Cli, /, name: str, remedy: str | None, save: str | None, format: str, **given: Any) -> None:
    """Runs a drill in a scratch virtual host of the lab, or on a broker that it starts and removes.

    Where no lab runs, one is started. `--env NAME` runs it on that environment instead, which must allow drills and
    be typed with --confirm; a URL alone is never taken. What breaks a node always gets a broker of its own.

    Remedies are durable, quorum and expires-policy for worker queues, alternate-exchange and dead-letter-queue for
    what no queue takes or a queue gives up, and redispatch for a scheduler that tries the next worker.

    Exit status: 0 what was expected came, 1 it did not, or not every message is accounted for.
    """
    from attune_ops.drills._runner import run as run_drill

    told = {key: value for key, value in given.items() if value is not None}
    environment, topology = _environment(cli), cli.options.get("topology")
    told["confirm"] = _typed(environment, told.get("confirm"))
    if save is not None:
        _refuse_unwritable(save)
    with cli.progress(f"drill {name}") as note:
        made = run_drill(name, environment, topology=topology, remedy=remedy, note=note, **told)
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
    from attune_ops.drills._listing import report as read

    cli.show(read(first, second), format)


@command.command(example="attune-ops drill recover")
@pass_cli
def recover(cli: Cli) -> None:
    """Undoes what a drill left that was killed itself: processes, virtual hosts, its own brokers."""
    from attune_ops.drills._place import settings_of_record
    from attune_ops.drills._recover import recover as undo

    done = undo(settings_of_record, cli.note)
    cli.note(f"drills undone: {done}" if done else "no drill has left anything")


def _environment(cli: Cli) -> Settings | None:
    """The settings of a named environment or lab, else None: a URL alone never leads a drill to a broker."""
    from attune_ops.model.errors import DrillRefused

    if any(cli.options.get(key) or os.environ.get(f"ATTUNE_OPS_{key.upper()}") for key in ("env", "lab")):
        return cli.settings
    if "amqp_url" in cli.options:
        raise DrillRefused("drills run on the lab or on a named environment (--env), not on an --amqp-url")
    return None


def _typed(settings: Settings | None, confirm: str | None) -> str | None:
    """The environment's name as typed, asked for at a terminal where it allows drills; the drill judges it."""
    if settings is not None and settings.drills and not settings.on_lab and confirm is None and sys.stdin.isatty():
        return str(click.prompt(f"the drill breaks things on {settings.env!r}; type its name", err=True))
    return confirm


def _refuse_unwritable(path: str) -> None:
    """Says before the drill that its journal could not be written."""
    from attune_ops.model.errors import ConfigError

    file = Path(path).expanduser()
    if file.is_dir() or not os.access(file.parent, os.W_OK):
        raise ConfigError(f"the journal cannot be written to {path!r}: no folder that may be written to, or a folder")


def _save(cli: Cli, made: Any, path: str) -> None:
    from attune_ops.model.errors import ConfigError
    from attune_ops.render import written

    try:
        Path(path).expanduser().write_text(written(made, "json", cli.secrets) + "\n", encoding="utf-8")
    except OSError as e:
        raise ConfigError(f"the journal cannot be written to {path!r}: {e.strerror}") from None
