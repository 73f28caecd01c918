"""`attune-ops messages`: peek, tap, drain, restore and move without losing a message."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from attune_ops.cli import _complete, _exit
from attune_ops.cli._base import format_option, group
from attune_ops.cli._duration import duration
from attune_ops.cli._options import DRY_RUN, change_options, confirmed
from attune_ops.cli._run import Cli, pass_cli

if TYPE_CHECKING:
    from attune_ops.messages.preview import Preview
    from attune_ops.messages.transfer import Transfer

FILTER = click.option(
    "--filter", "filters", multiple=True, metavar="NAME=VALUE",
    help="Only matching messages. Repeatable, all must match. NAME: type, key, exchange, id, reason and queue (of the "
    "newest dead-lettering), age, retries, deaths, size, $.path.in.body; comparison: =, !=, >, <, >=, <=; * matches "
    "any text.",
)  # fmt: skip
REVEAL = click.option("--reveal", is_flag=True, help="Show secrets, after a confirmation.")
CONFIRM = click.option(
    "--confirm", metavar="NAME", help="Confirm without a prompt: `reveal`, or the name of a protected environment."
)
LIMIT = click.option("--limit", type=click.IntRange(min=1), metavar="N", help="At most N messages.")


def _publishing(function: Any) -> Any:
    """The options of the commands that publish messages."""
    for option in (
        click.option("--finished", is_flag=True,
                     help="Include messages of finished executions (skips the registry check)."),
        click.option("--max-replays", type=click.IntRange(min=0), default=3, show_default=True, metavar="N",
                     help="Do not publish a dead letter that was already replayed N times."),
        click.option("--rate", type=click.FloatRange(min=0, min_open=True), metavar="N",
                     help="At most N messages per second."),
        click.option("--routing-key", metavar="KEY", help="Routing key to publish with."),
        click.option("--exchange", metavar="NAME",
                     help="Exchange to publish to; '' with --routing-key QUEUE publishes to that queue."),
    ):  # fmt: skip
        function = option(function)
    return function


@group()
def command() -> None:
    """Peeks at, taps, drains, restores and moves messages. No message is lost, even if the command is killed."""


@command.command(example="attune-ops messages peek attune.events.queue --count 3")
@click.argument("queue", shell_complete=_complete.queues)
@click.option(
    "--count",
    "--limit",
    "count",
    type=click.IntRange(min=1),
    default=10,
    show_default=True,
    metavar="N",
    help="Number of messages.",
)
@FILTER
@REVEAL
@CONFIRM
@format_option()
@pass_cli
def peek(
    cli: Cli, queue: str, count: int, filters: tuple[str, ...], reveal: bool, confirm: str | None, format: str
) -> None:
    """Shows the first messages of QUEUE: envelope, age, retries, why they are in the queue. Secrets are masked.

    The messages are delivered and requeued: they keep their position and are flagged `redelivered`; consumers do not
    get them meanwhile. Up to RabbitMQ 4.2 a quorum queue counts a delivery. A message at its delivery limit is then
    republished at the end of the queue, which needs write permission on amq.default.
    """
    if reveal:
        confirm = _may_reveal(cli, confirm)
    cli.show(cli.ops.messages.peek(queue, count, filters=filters, reveal=reveal, confirm=confirm), format)


@command.command(example="attune-ops messages tap attune.events --limit 1 --for 2s")
@click.argument("exchange", shell_complete=_complete.exchanges)
@click.argument("key", required=False)
@FILTER
@LIMIT
@click.option("--for", "seconds", type=duration, metavar="TIME", help="Duration (default: until Ctrl-C).")
@click.option("--save", metavar="FILE", help="Also write the messages to FILE, secrets included; restore reads it.")
@click.option("--json-lines", is_flag=True, help="One message a line, as JSON, as it passes.")
@REVEAL
@CONFIRM
@format_option()
@pass_cli
def tap(cli: Cli, /, exchange: str, key: str | None, json_lines: bool, format: str, **how: Any) -> None:
    """Shows copies of the messages that pass EXCHANGE, live; no queue of an application is touched.

    The broker copies each message to an exclusive queue of the tap, at most 10,000 at a time, and deletes that queue
    with the connection. Without KEY the tap is bound like the bindings that are there. Where one of them disappears,
    the tap removes its own after about 2 s; until then messages that only the tap receives count as routed. With a KEY
    that nothing else binds, messages count as routed that would be returned to their publisher; this is refused where
    they would go to an alternate exchange.
    """
    if how["reveal"]:
        how["confirm"] = _may_reveal(cli, how["confirm"])
    elif how["save"]:
        how["confirm"] = confirmed(cli, how["confirm"])
    import sys

    from attune_ops.messages import view_tap_result
    from attune_ops.render import written

    def on_message(message: Preview) -> bool:
        if json_lines:
            return cli.write(written(message, "json", cli.secrets).replace("\n", " "))
        if not sys.stdout.isatty():
            return cli.write(written(message, "text", cli.secrets) + "\n")
        cli.show(message, "table")
        return True

    cli.note(f"tapping exchange {exchange}" + ("" if how["seconds"] or how["limit"] else "; Ctrl-C ends it"))
    live = json_lines or format == "table"
    done = cli.ops.messages.tap(exchange, key, **how, on_message=on_message if live else None)
    if not live:
        cli.show(done, format)
    for line in (view_tap_result.summary(done), *done.notes):
        cli.note(line)


@command.command(example="attune-ops messages drain attune.events.queue --to events.jsonl --filter 'age>1h'")
@click.argument("queue", shell_complete=_complete.queues)
@click.option("--to", required=True, metavar="FILE", help="Output file, - is stdout; an earlier drain is resumed.")
@FILTER
@LIMIT
@change_options("Drain the queue")
@format_option()
@pass_cli
def drain(cli: Cli, /, queue: str, format: str, **how: Any) -> None:
    """Moves messages from QUEUE to a file that `restore` publishes again byte for byte.

    A message is acknowledged only when it is durably on disk. After an interrupt or a kill, run the same command again:
    it resumes. Messages that were on disk and not yet acknowledged are then in the file twice; `restore` skips the
    duplicates.
    """
    from attune_ops.model.files import STDOUT

    show = cli.report if how["to"] == STDOUT else cli.show
    _transfer(cli, how, format, lambda: cli.ops.messages.drain(queue, **how), show)


@command.command(
    example="attune-ops messages drain attune.events.queue --to events.jsonl --limit 1 --apply\n"
    "attune-ops messages restore events.jsonl --exchange= --routing-key=attune.events.queue --rate 100"
)
@click.argument("file")
@FILTER
@_publishing
@click.option("--again", is_flag=True, help="Publish again even if already restored.")
@click.option("--copies", is_flag=True, help="Do not skip duplicates in the file.")
@change_options("Publish the messages")
@format_option()
@pass_cli
def restore(cli: Cli, /, file: str, format: str, **how: Any) -> None:
    """Publishes the messages of FILE again, dead letters to their original exchange.

    All queues that are bound there get a copy, and their consumers handle it again: the dry run names them. With
    --exchange= --routing-key=QUEUE, that queue alone gets the messages. With another --exchange or --routing-key, all
    messages are published there, unchanged.

    Each is confirmed and marked in FILE.restored; after a kill, run the same command again. A message that is not
    published (unroutable, nacked, replayed too often, execution finished) stays in the file and is reported (exit
    status 1).
    """
    how["on_notice"] = lambda text: cli.error(f"attune-ops: {text}")
    _transfer(cli, how, format, lambda: cli.ops.messages.restore(file, **how))


@command.command(example="attune-ops messages move attune.events.queue attune.notifications.queue --limit 1")
@click.argument("queue", metavar="FROM", shell_complete=_complete.queues)
@click.argument("to", metavar="[TO]", required=False, shell_complete=_complete.queues)
@FILTER
@_publishing
@LIMIT
@change_options("Move the messages")
@format_option()
@pass_cli
def move(cli: Cli, /, queue: str, to: str | None, format: str, **how: Any) -> None:
    """Moves messages from queue FROM to queue TO. Without TO, returns dead letters to their original exchange.

    All queues that are bound to that exchange get a copy; with --filter queue=QUEUE --exchange= --routing-key=QUEUE,
    the dead letters of QUEUE return to that queue alone.

    A message is acknowledged only when the broker has confirmed its copy. A message that is not published (unroutable,
    nacked, replayed too often, execution finished) stays in FROM and is reported (exit status 1).
    """
    how["on_notice"] = lambda text: cli.error(f"attune-ops: {text}")
    _transfer(cli, how, format, lambda: cli.ops.messages.move(queue, to, **how))


def _transfer(
    cli: Cli,
    how: dict[str, Any],
    format: str,
    run: Callable[[], Transfer],
    show: Callable[[Transfer, str], None] | None = None,
) -> None:
    """Runs one and shows its result; exit status 1 where a selected message was not published."""
    how["confirm"] = confirmed(cli, how["confirm"], how["apply"])
    with _progress(cli) as how["on_progress"]:
        done = run()
    (show or cli.show)(done, format)
    if not done.applied:
        cli.note(DRY_RUN)
    cli.exit(_exit.FOUND if done.applied and done.incomplete else _exit.OK)


@contextmanager
def _progress(cli: Cli) -> Iterator[Callable[[int], None]]:
    """Shows the number of messages so far, on a terminal."""
    import sys

    if not sys.stderr.isatty():
        yield lambda count: None
        return
    from rich.console import Console

    from attune_ops.model.units import counted

    with Console(stderr=True, no_color=cli.color is False).status("connecting …") as status:
        yield lambda count: status.update(counted(count, "message"))


def _may_reveal(cli: Cli, confirm: str | None) -> str | None:
    """Asks for a confirmation to show secrets; returns the name of a protected environment, or None."""
    from attune_ops.model.errors import ConfigError

    if cli.settings.protected:
        return confirmed(cli, confirm)
    import sys

    if confirm != "reveal" and not (
        sys.stdin.isatty() and click.confirm("Show the secrets in these messages?", err=True)
    ):
        raise ConfigError("secrets are shown only after a confirmation: answer yes, or give --confirm reveal")
    return None
