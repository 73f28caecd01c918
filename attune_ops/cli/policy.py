"""`attune-ops policy`: safety policies, instead of redeclared queues."""

from __future__ import annotations

from typing import Any

import click

from attune_ops.cli import _exit
from attune_ops.cli._base import format_option, group
from attune_ops.cli._duration import duration
from attune_ops.cli._inspect import inspection
from attune_ops.cli._options import DRY_RUN, change_options, confirmed, json_object, other_release_option
from attune_ops.cli._run import Cli, pass_cli

# Option and policy key, type, metavar, help. A time is given with its unit and set in milliseconds.
SETTINGS: tuple[tuple[str, Any, str, str], ...] = (
    ("expires", duration, "TIME", "Expire an unused queue after TIME, with its messages (x-expires)."),
    ("message-ttl", duration, "TIME", "Drop or dead-letter a message after TIME in the queue (x-message-ttl)."),
    ("dead-letter-exchange", str, "NAME", "Exchange for dead letters."),
    ("dead-letter-routing-key", str, "KEY", "Routing key of dead letters (default: their own)."),
    ("max-length", int, "N", "At most N messages in a queue."),
    ("max-length-bytes", int, "N", "At most N bytes of messages in a queue."),
    ("overflow", str, "HOW", "Overflow behaviour: drop-head, reject-publish, reject-publish-dlx."),
    ("delivery-limit", int, "N", "Drop or dead-letter a message of a quorum queue after N deliveries."),
    ("alternate-exchange", str, "NAME", "Exchange for unroutable messages."),
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
        "attune_ops.topology.policies.effects",
        "Lists the policies, what each is effective for, and the safety policies that are not set.",
        example="attune-ops policy show",
        then="attune-ops policy apply NAME shows what setting one would do",
        method=lambda ops: ops.policies.show,
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
@click.option("--pattern", metavar="REGEX", help="Names that it applies to (default: that of the safety policy).")
@click.option(
    "--apply-to",
    metavar="WHAT",
    help="queues, exchanges or all; from 3.12 also classic_queues, quorum_queues, streams.",
)
@click.option(
    "--priority",
    type=int,
    default=1,
    show_default=True,
    help="Only the matching policy with the highest priority is effective.",
)
@change_options("Set the policy")
@other_release_option
@format_option()
@pass_cli
def apply(cli: Cli, /, name: str, definition: dict[str, Any] | None, format: str, **how: Any) -> None:
    """Sets the policy NAME: worker-queues, base-queues, exchanges or dead-letters; any other name needs --pattern.

    Shows the queues and exchanges that it would be effective for, the policies and settings that it would shadow (an
    object has one effective policy, policies are never merged), and what the broker would refuse.
    """
    values = {key: how.pop(key.replace("-", "_")) for key, *_ in SETTINGS}
    said = {k: round(v * 1000) if k in TIMES else v for k, v in values.items() if v is not None}
    how["confirm"] = confirmed(cli, how["confirm"], how["apply"])
    change = cli.ops.policies.apply(name, (definition or {}) | said, **how)
    cli.show(change, format)
    if not change.applied:
        cli.note(DRY_RUN)
    cli.exit(_exit.FOUND if change.refusals and not change.applied else _exit.OK)


@command.command(
    example="attune-ops policy apply test --pattern '^test' --max-length 1000 --apply\n"
    "attune-ops policy remove test --apply"
)
@click.argument("name")
@change_options("Remove the policy")
@format_option()
@pass_cli
def remove(cli: Cli, name: str, apply: bool, confirm: str | None, format: str) -> None:
    """Removes the policy NAME; shows the settings that each queue and exchange loses, and its next policy."""
    typed = confirmed(cli, confirm, apply)
    change = cli.ops.policies.remove(name, apply=apply, confirm=typed)
    cli.show(change, format)
    if not change.applied:
        cli.note(DRY_RUN)
