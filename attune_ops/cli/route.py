"""`attune-ops route`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import IO, TYPE_CHECKING, Any

import click

from attune_ops.cli import _base, _complete, _exit
from attune_ops.cli._base import format_option
from attune_ops.cli._options import check_vhost, confirm_option, confirmed, json_object
from attune_ops.cli._run import Cli, pass_cli
from attune_ops.model.units import counted, listed
from attune_ops.routing.route import REASONS, Reason

if TYPE_CHECKING:
    from attune_ops.routing import Router
    from attune_ops.routing.route import Route

CHUNK = 1000  # lines of a batch that are written in one go


def _header(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> dict[str, Any]:
    """Texts by name; `CC` and `BCC`, which are arrays, may be repeated."""
    found: dict[str, Any] = {}
    for value in values:
        name, equals, text = value.partition("=")
        if not equals:
            raise click.BadParameter(f"{value!r} is not NAME=VALUE")
        found[name] = [*found.get(name, ()), text] if name in ("CC", "BCC") else text
    return found


@_base.command(example="attune-ops route attune.executions worker.1")
@click.argument("exchange", required=False, shell_complete=_complete.exchanges)
@click.argument("key", required=False)
@click.option("--header", "texts", multiple=True, metavar="NAME=VALUE", callback=_header,
              help="A text header; CC=KEY and BCC=KEY add routing keys. Repeatable.")  # fmt: skip
@click.option("--headers", metavar="JSON", callback=json_object, help="Headers of any type: '{\"retries\": 3}'.")
@click.option("--from", "file", metavar="FILE", help="Use a definitions export or snapshot; no connection.")
@click.option(
    "--vhost",
    metavar="NAME",
    help="The virtual host, if FILE has several that are not empty; lines of a batch may name their own.",
)
@click.option("--batch", type=click.File("rb"), metavar="FILE.jsonl",
              help="Answer each line {vhost?, exchange, routing_key, headers?}, or {vhost?, dead_letter, reason, "
                   "routing_key, headers?}, in order; - is standard input.")  # fmt: skip
@click.option("--dead-letter", metavar="QUEUE", shell_complete=_complete.queues,
              help="Route a dead letter of QUEUE with routing key KEY.")  # fmt: skip
@click.option(
    "--reason", type=click.Choice(REASONS), default="rejected", show_default=True, help="Why QUEUE dead-letters it."
)
@click.option("--canary", is_flag=True,
              help="Prove the route on the live broker, in a temporary virtual host with copies of the exchanges "
                   "and queues (at most 1,000) within reach; no existing queue receives the message. Needs tag "
                   "administrator.")  # fmt: skip
@confirm_option
@format_option("mermaid", "svg", "dot", "html")
@pass_cli
def command(cli: Cli, /, batch: IO[bytes] | None, canary: bool, confirm: str | None, format: str, **asked: Any) -> None:
    """Shows which queues a message is routed to, and how.

    EXCHANGE "" is the default exchange; its routing keys are queue names. Exit status 1: the broker refuses the
    message, routed it differently than simulated (--canary), or a line of the batch has no answer. An unroutable
    message has exit status 0.
    """
    where = {name: asked.pop(name) for name in ("file", "vhost")}
    _check(batch, canary, **where, **asked)
    if batch is not None:
        cli.exit(_answer_lines(cli, batch, *_routers(cli, **where, batch=True)))
    headers = {**(asked.pop("headers") or {}), **asked.pop("texts")}
    if canary:
        typed = confirmed(cli, confirm)
        cli.note("creating a scratch virtual host with the same definitions …")
        route = cli.ops.canary(asked["exchange"], asked["key"], headers, confirm=typed)
    else:
        route = _answer(cli, **where, headers=headers, **asked)
    cli.show(route, format)
    cli.exit(_exit.OK if route.error is None and (route.canary is None or route.canary.agrees) else _exit.FOUND)


def _check(
    batch: object,
    canary: bool,
    file: str | None,
    vhost: str | None,
    exchange: str | None,
    key: str | None,
    dead_letter: str | None,
    **_: Any,
) -> None:
    """Raises `UsageError` for options that exclude each other."""
    if canary:
        for option, given in (("--batch", batch), ("--dead-letter", dead_letter), ("--from", file)):
            if given is not None:
                raise click.UsageError(f"--canary proves one publish on the live broker; omit {option}")
    if batch is not None:
        if dead_letter is not None or exchange is not None:
            raise click.UsageError("--batch reads its questions from the file; omit EXCHANGE, KEY and --dead-letter")
    elif dead_letter is None and (exchange is None or key is None):
        raise click.UsageError("give EXCHANGE and KEY, or --dead-letter QUEUE and KEY, or --batch FILE.jsonl")
    elif dead_letter is not None and exchange is None:
        raise click.UsageError("--dead-letter needs KEY, the routing key of the message")
    check_vhost(file, vhost)


def _routers(
    cli: Cli, file: str | None, vhost: str | None, batch: bool = False
) -> tuple[Mapping[str, Router], str | None]:
    """A router for each virtual host, and the default virtual host: each line of a batch may name its own."""
    from attune_ops.routing import Router

    if file is None:
        return {cli.settings.vhost: cli.ops.router()}, cli.settings.vhost
    from attune_ops.model.errors import ConfigError
    from attune_ops.model.snapshot_file import choose_vhost, load_brokers

    brokers = load_brokers(file)
    without_policies = False
    for broker in brokers.values():
        unread = [name for name in Router.LISTINGS if getattr(broker, name) is None]
        if unread not in ([], ["policies"]):
            why = brokers.missing or "not read"
            raise ConfigError(f"{file}: no route is known without the {listed(unread)} of the broker: {why}")
        without_policies |= bool(unread)
    if without_policies:
        cli.note(f"{file}: without policies; alternate and dead-letter exchanges that they set are left out")
    if brokers.missing:
        cli.note(f"{file}: the broker was not read completely: {brokers.missing}")
    routers = {name: Router.from_snapshot(broker) for name, broker in brokers.items()}
    if brokers.nameless:
        return _Nameless(routers), next(iter(routers))
    if batch and vhost is None and len(brokers.filled) > 1:  # a line without one is of /, as in AMQP
        return routers, "/" if "/" in brokers.filled else None
    return routers, choose_vhost(brokers, file, vhost, cli.note)


class _Nameless(dict[str, "Router"]):
    """The router of a file without the name of its virtual host: it answers for any."""

    def __missing__(self, name: str) -> Router:
        return next(iter(self.values()))


def _answer(
    cli: Cli,
    file: str | None,
    vhost: str | None,
    exchange: str,
    key: str | None,
    dead_letter: str | None,
    reason: Reason,
    headers: dict[str, Any],
) -> Route:
    from attune_ops.routing.route_notes import with_notes

    routers, name = _routers(cli, file, vhost)
    assert name is not None
    if dead_letter is None:
        route = routers[name].route(exchange, key or "", headers)
    elif key is None:  # a single argument with --dead-letter is the key
        route = routers[name].dead_letter(dead_letter, reason, exchange, headers)
    else:
        route = routers[name].dead_letter(dead_letter, reason, key, headers, exchange)
    return with_notes(routers[name], route)


def _answer_lines(cli: Cli, lines: Iterable[bytes], routers: Mapping[str, Router], vhost: str | None) -> int:
    """Writes an answer for each line and returns the exit status."""
    import msgspec

    from attune_ops.routing.router import BadLine, answers
    from attune_ops.routing.view_route import as_json, bad_line

    bad = 0
    waiting: list[bytes] = []
    for answer in answers(lines, routers, vhost):
        bad += isinstance(answer, BadLine)
        data = bad_line(answer.line, answer.error) if isinstance(answer, BadLine) else as_json(answer)
        waiting.append(msgspec.json.encode(data))
        if len(waiting) == CHUNK:
            if not cli.write(b"\n".join(waiting).decode()):
                break
            waiting.clear()
    if waiting:
        cli.write(b"\n".join(waiting).decode())
    if bad:
        cli.note(f"attune-ops: {counted(bad, 'line')} could not be answered")
    return _exit.FOUND if bad else _exit.OK
