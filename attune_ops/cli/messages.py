"""`attune-ops messages`: look at, save, restore and move messages without losing any."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from attune_ops.cli import _exit
from attune_ops.cli._base import Cli, format_option, group, pass_cli
from attune_ops.cli._options import change_options, confirmed

if TYPE_CHECKING:
    from attune_ops.messages.transfer import Transfer

FILTER = click.option(
    "--filter", "filters", multiple=True, metavar="NAME=VALUE",
    help="Only these; may be repeated, all must hold: type, key, exchange, id, reason, queue (it died in), age, "
    "retries, deaths, size, $.path.in.body; with =, !=, >, <, >=, <= and * for anything.",
)  # fmt: skip
LIMIT = click.option("--limit", type=click.IntRange(min=1), metavar="N", help="At most N messages.")


def _publishing(function: Any) -> Any:
    """The options of what publishes messages again."""
    for option in (
        click.option("--finished", is_flag=True, help="Also what the registry says has ended; it is not asked then."),
        click.option("--max-replays", "most_replays", type=click.IntRange(min=0), default=3, show_default=True,
                     metavar="N", help="Keep a dead letter back that was replayed N times."),
        click.option("--rate", type=click.FloatRange(min=0, min_open=True), metavar="N", help="At most N a second."),
        click.option("--routing-key", metavar="KEY", help="Publish with this key."),
        click.option("--exchange", metavar="NAME", help="Publish there; '' and a queue's name as key: to the queue."),
    ):  # fmt: skip
        function = option(function)
    return function


@group()
def command() -> None:
    """Looks at, saves, restores and moves messages; killed at any moment, none of them is lost."""


@command.command(example="attune-ops messages peek attune.events.queue --count 3")
@click.argument("queue")
@click.option("--count", type=click.IntRange(min=1), default=10, show_default=True, metavar="N", help="So many.")
@FILTER
@click.option("--reveal", is_flag=True, help="Show secrets too, after asking.")
@click.option("--confirm", metavar="NAME", help="Instead of asking: `reveal`, or a protected environment's name.")
@format_option()
@pass_cli
def peek(
    cli: Cli, queue: str, count: int, filters: tuple[str, ...], reveal: bool, confirm: str | None, format: str
) -> None:
    """Shows the first messages of QUEUE: envelope, age, retries, why they are there; secrets are masked.

    They are taken and given back: they keep their places but are marked redelivered, and nobody else gets them
    meanwhile. A quorum queue counts a delivery, and gives a message up at its delivery limit.
    """
    if reveal:
        confirm = _may_reveal(cli, confirm)
    cli.show(cli.ops.messages.peek(queue, count, filters=filters, reveal=reveal, confirm=confirm), format)


@command.command(example="attune-ops messages drain attune.events.queue --to events.jsonl --filter 'age>1h' --apply")
@click.argument("queue")
@click.option("--to", required=True, metavar="FILE", help="The file; one of an earlier drain is gone on with.")
@FILTER
@LIMIT
@change_options("Drain it; without it only what would be done is shown.")
@format_option()
@pass_cli
def drain(cli: Cli, /, queue: str, format: str, **how: Any) -> None:
    """Takes messages from QUEUE to a file that `restore` publishes again byte for byte.

    A message is acknowledged only when it is durably on disk. Interrupted or killed, run the same line again: it goes
    on; what was on disk and not yet acknowledged is then in the file twice, which `restore` knows.
    """
    _transfer(cli, how, format, lambda: cli.ops.messages.drain(queue, **how))


@command.command(
    example="attune-ops messages drain attune.events.queue --to events.jsonl --apply\n"
    "attune-ops messages restore events.jsonl --rate 100"
)
@click.argument("file")
@FILTER
@_publishing
@click.option("--again", is_flag=True, help="Also what was restored before.")
@click.option("--copies", is_flag=True, help="Also second copies of a message in the file.")
@change_options("Publish them; without it only what would be done is shown.")
@format_option()
@pass_cli
def restore(cli: Cli, /, file: str, format: str, **how: Any) -> None:
    """Publishes the messages of FILE: dead letters where they died from, the others where they had been published.

    With --exchange or --routing-key there, exactly as they were. Each is confirmed, and marked in FILE.restored;
    killed, run the same line again. What no queue takes stays in the file and is reported (exit status 1).
    """
    _transfer(cli, how, format, lambda: cli.ops.messages.restore(file, **how))


@command.command(example="attune-ops messages move attune.events.queue attune.notifications.queue --limit 1")
@click.argument("queue", metavar="FROM")
@click.argument("to", metavar="[TO]", required=False)
@FILTER
@_publishing
@LIMIT
@change_options("Move them; without it only what would be done is shown.")
@format_option()
@pass_cli
def move(cli: Cli, /, queue: str, to: str | None, format: str, **how: Any) -> None:
    """Moves messages from queue FROM to queue TO, or without TO its dead letters back to where they died from.

    The source is acknowledged only when the broker has confirmed the copy. What no queue takes, was replayed too
    often or has ended stays and is reported (exit status 1).
    """
    _transfer(cli, how, format, lambda: cli.ops.messages.move(queue, to, **how))


def _transfer(cli: Cli, how: dict[str, Any], format: str, run: Callable[[], Transfer]) -> None:
    """Runs one, shows it, and ends with status 1 where something stayed that was to go."""
    how["confirm"] = confirmed(cli, how["confirm"]) if how["apply"] else how["confirm"]
    with _counting(cli) as how["on_progress"]:
        done = run()
    cli.show(done, format)
    if not done.applied:
        cli.note("nothing was changed; --apply does it")
    cli.exit(_exit.FOUND if done.applied and done.incomplete else _exit.OK)


@contextmanager
def _counting(cli: Cli) -> Iterator[Callable[[int], None]]:
    """Shows the number of messages at a terminal while it grows."""
    import sys

    if not sys.stderr.isatty():
        yield lambda count: None
        return
    from rich.console import Console

    from attune_ops.model.units import counted

    with Console(stderr=True, no_color=cli.color is False).status("connecting …") as status:
        yield lambda count: status.update(counted(count, "message"))


def _may_reveal(cli: Cli, confirm: str | None) -> str | None:
    """Asks whether secrets may be shown; returns what the gate of a protected environment wants to hear."""
    from attune_ops.model.errors import ConfigError

    if cli.settings.protected:
        return confirmed(cli, confirm)
    import sys

    if confirm != "reveal" and not (
        sys.stdin.isatty() and click.confirm("Show the secrets in these messages?", err=True)
    ):
        raise ConfigError("secrets are shown only when somebody asks for them: answer yes, or give --confirm reveal")
    return None
