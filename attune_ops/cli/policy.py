"""`attune-ops policy`: clean-up safety as policies, in place of queues declared anew."""

from __future__ import annotations

from typing import Any

import click

from attune_ops.cli import _exit
from attune_ops.cli._base import Cli, format_option, group, pass_cli
from attune_ops.cli._inspect import inspection
from attune_ops.cli._options import change_options, confirmed, duration, json_object
from attune_ops.topology.policies.policy_table import COLUMNS

# Option, type, key of the policy, help. Times are given as such and set in milliseconds.
SETTINGS: tuple[tuple[str, Any, str, str], ...] = (
    ("expires", duration, "TIME", "Delete a queue that nobody used for so long, with its messages."),
    ("message-ttl", duration, "TIME", "Give a message up after so long."),
    ("dead-letter-exchange", str, "NAME", "Where messages go that a queue gives up."),
    ("dead-letter-routing-key", str, "KEY", "Their key; without it they keep their own."),
    ("max-length", int, "N", "At most N messages in a queue."),
    ("max-length-bytes", int, "N", "At most N bytes of messages in a queue."),
    ("overflow", str, "HOW", "Of a full queue: drop-head, reject-publish, reject-publish-dlx."),
    ("delivery-limit", int, "N", "Give a message of a quorum queue up after N deliveries."),
    ("alternate-exchange", str, "NAME", "Where messages of an exchange go that no queue takes."),
)
TIMES = ("expires", "message-ttl")


def _setting_options(function: Any) -> Any:
    for name, kind, metavar, help in reversed(SETTINGS):
        function = click.option(f"--{name}", type=kind, metavar=metavar, help=help)(function)
    return function


@group()
def command() -> None:
    """Shows, sets and removes policies: expiry, TTL, dead letters, length limits, alternate exchange."""


command.add_command(
    inspection(
        "show",
        COLUMNS,
        "Lists the policies, what each is in force for, and the safety policies that are not set.",
        example="attune-ops policy show",
        then="attune-ops policy apply NAME says what setting one would do",
        asked=lambda ops: ops.policies.show,
    )
)


@command.command(example="attune-ops policy apply worker-queues --expires 1h --message-ttl 5m")
@click.argument("name")
@_setting_options
@click.option(
    "--definition",
    metavar="JSON",
    callback=json_object,
    help="Other settings, as RabbitMQ names them.",
)
@click.option("--pattern", metavar="REGEX", help="Which names it means (default: the safety policy's).")
@click.option(
    "--apply-to", metavar="WHAT", help="queues, exchanges, all; from 3.12 classic_queues, quorum_queues, streams."
)
@click.option("--priority", type=int, default=1, show_default=True, help="The highest that matches is in force, alone.")
@change_options("Set it; without it only what would be done is shown.")
@format_option()
@pass_cli
def apply(cli: Cli, /, name: str, definition: dict[str, Any] | None, format: str, **how: Any) -> None:
    """Sets the policy NAME: worker-queues, base-queues or exchanges; any other with its --pattern.

    Shows for which queues and exchanges it would be in force, which policies it would hide there and with them which
    settings (an object has one policy, they are never merged), and what the broker would refuse.
    """
    values = {key: how.pop(key.replace("-", "_")) for key, *_ in SETTINGS}
    said = {k: round(v * 1000) if k in TIMES else v for k, v in values.items() if v is not None}
    how["confirm"] = confirmed(cli, how["confirm"]) if how["apply"] else how["confirm"]
    change = cli.ops.policies.apply(name, (definition or {}) | said, **how)
    cli.show(change, format)
    if not change.applied:
        cli.note("nothing was changed; --apply does it")
    cli.exit(_exit.FOUND if change.refusals and not change.applied else _exit.OK)


@command.command(
    example="attune-ops policy apply worker-queues --apply\nattune-ops policy remove worker-queues --apply"
)
@click.argument("name")
@change_options("Remove it; without it only what would be done is shown.")
@format_option()
@pass_cli
def remove(cli: Cli, name: str, apply: bool, confirm: str | None, format: str) -> None:
    """Removes the policy NAME; shows what each queue and exchange loses, and which policy takes over."""
    typed = confirmed(cli, confirm) if apply else confirm
    change = cli.ops.policies.remove(name, apply=apply, confirm=typed)
    cli.show(change, format)
    if not change.applied:
        cli.note("nothing was changed; --apply does it")
