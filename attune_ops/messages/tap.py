"""Tapping an exchange: copies of the messages that pass it, without touching a queue of an application."""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from attune_ops.installation import audit
from attune_ops.installation.amqp_write import ACCESS_REFUSED, BrokerRefused, bind, declare_queue, unbind
from attune_ops.installation.collect import collect
from attune_ops.installation.config import Settings
from attune_ops.installation.management import Management, open_management
from attune_ops.messages import raw_amqp
from attune_ops.messages.filters import Filter, accepts, parse
from attune_ops.messages.message import Message
from attune_ops.messages.message_file import OF_TAP, MessageFile, check_file, open_file
from attune_ops.messages.preview import Preview, preview
from attune_ops.model.display import Shown
from attune_ops.model.errors import ActionError, ConfigError, SourceError
from attune_ops.model.facts import Source
from attune_ops.model.ownership import require
from attune_ops.model.redaction import Redactor
from attune_ops.model.snapshot import BindingState
from attune_ops.model.topology import Binding, Queue
from attune_ops.model.units import counted, listed
from attune_ops.routing.virtual_host import VirtualHost

DEFAULT_EXCHANGE = "amq.default"  # its name in a permission
TYPES = ("direct", "fanout", "topic", "headers")  # with any other type one more binding changes who gets what
WAITING = 10_000  # messages that wait for the tap at most; the broker drops the oldest copies
PREFETCH = 500
MOST_KEYS = 1_000
LOOK_S = 2.0  # between two readings of what waits, and of the bindings

ALONE = "a message that only the tap receives counts as routed: it is not returned"

OnMessage = Callable[[Preview], bool | None]  # False ends the tap


class TapResult(Shown, msgspec.Struct, frozen=True):
    """What passed an exchange: `seen` messages, of them those that match, and what the tap itself dropped or cost."""

    exchange: str
    vhost: str
    keys: tuple[str, ...]
    seen: int
    matched: int
    messages: tuple[Preview, ...]
    taken_at: datetime
    saved: str | None = None
    revealed: bool = False
    notes: tuple[str, ...] = ()


def tap(
    settings: Settings,
    exchange: str,
    key: str | None = None,
    *,
    limit: int | None = None,
    seconds: float | None = None,
    filters: Iterable[str] = (),
    save: str | Path | None = None,
    reveal: bool = False,
    confirm: str | None = None,
    on_message: OnMessage | None = None,
) -> TapResult:
    """Copies messages that pass `exchange` for at most `limit` messages or `seconds` s; needs tag management.

    The copies go to an exclusive queue that the broker deletes with the connection. Without a `key` the tap has the
    keys of the bindings that are there, and removes its own about `LOOK_S` after one disappears: only in between can it
    change the route of a message. A `key` of your own can make a message routable that no queue would take: its
    publisher then gets no return. With `save` the matching messages are also written to a file that `restore` reads.
    Each is given to `on_message`, or kept in the result without it. An interrupt ends a tap without limit and time.
    `reveal` and `save` are logged to the audit log. Raises `ConfigError`, `ActionError`, `SourceError`.

    >>> result = ops.messages.tap("attune.events", limit=5, seconds=1)
    >>> result.seen, result.keys
    (0, ('#',))
    """
    if limit is None and seconds is None and on_message is None:
        raise ConfigError("a tap that keeps its messages needs an end: give a limit or a duration")
    path, selected = None if save is None else Path(save), parse(filters)
    bindings, follows = _bindings(settings, exchange, key)
    if path is not None:
        check_file(path, settings, _label(exchange))
    session = _Tap(settings, exchange, bindings, limit, seconds, selected, None if reveal else _redactor(settings))
    session.on_message, session.follows = on_message, follows
    with contextlib.ExitStack() as stack:
        if reveal or path is not None:
            how = "messages tap --reveal" if reveal else "messages tap --save"
            outcome = stack.enter_context(audit.change(settings, how, exchange, confirm=confirm))
            stack.callback(lambda: outcome.update(shown=session.matched))
        if path is not None:
            session.file = stack.enter_context(open_file(path, settings, _label(exchange)))
        try:
            session.run()
        except KeyboardInterrupt:
            if limit is not None or seconds is not None:
                raise
    return TapResult(
        exchange=exchange,
        vhost=settings.vhost,
        keys=tuple(dict.fromkeys(b.routing_key for b in bindings)),
        seen=session.seen,
        matched=session.matched,
        messages=tuple(session.kept),
        taken_at=datetime.now(UTC),
        saved=None if path is None else str(path),
        revealed=reveal,
        notes=tuple(session.notes),
    )


def _redactor(settings: Settings) -> Redactor:
    return Redactor(settings.redact, settings.secrets)


def _label(exchange: str) -> str:
    """What stands in a message file in place of the queue."""
    return f"{OF_TAP}{exchange})"


def _bindings(settings: Settings, exchange: str, key: str | None) -> tuple[list[Binding], bool]:
    """The bindings of the tap, and whether they are like those of the exchange.

    Raises `ConfigError` where a tap could change the route of a message.
    """
    if not exchange:
        raise ConfigError("the default exchange cannot be tapped: it has no bindings; use messages peek QUEUE")
    facts = require(collect(settings, (Source.BROKER,), listings=VirtualHost.LISTINGS), Source.BROKER)
    found = facts.actual.exchange_named.get(exchange)
    if found is None:
        raise ActionError(f"no exchange {exchange!r} in vhost {settings.vhost!r}")
    if found.type not in TYPES:
        raise ConfigError(f"exchange {exchange!r} has type {found.type}: one more binding would change its routing")
    there = facts.actual.bindings_from.get(exchange, ())
    alike = [b for b in there if key is None or b.routing_key == key]
    if alike:
        same = {_match(b): b for b in alike}
        if len(same) > MOST_KEYS:
            raise ConfigError(f"exchange {exchange!r} has {len(same)} different bindings: give a KEY")
        return [Binding(exchange, "", b.routing_key, arguments=b.arguments) for b in same.values()], True
    if key is None:
        raise ActionError(f"exchange {exchange!r} has no binding: every message is unroutable; give a KEY to see them")
    alternates = VirtualHost.from_snapshot(facts.actual).alternates(exchange)
    if alternates:
        raise ConfigError(
            f"exchange {exchange!r} has the alternate exchange {alternates[0]!r}, and key {key!r} is not bound: the "
            "tap would take messages from it. Omit KEY, or tap the alternate exchange"
        )
    return [Binding(exchange, "", key)], False


def _match(binding: Binding | BindingState) -> tuple[str, str]:
    """What decides which messages a binding matches."""
    return binding.routing_key, str(sorted(binding.arguments.items()))


def _how_bound(bindings: int) -> str:
    return (
        f"bound like {counted(bindings, 'binding')} of the exchange; where one disappears, the tap removes its own "
        f"after about {LOOK_S:.0f} s; until then messages that only the tap receives count as routed"
    )


class _Tap:
    """One tap: its queue, what it saw."""

    file: MessageFile | None = None
    on_message: OnMessage | None = None
    follows = False  # whether its bindings disappear and come back with those that they are like

    def __init__(
        self,
        settings: Settings,
        exchange: str,
        bindings: list[Binding],
        limit: int | None,
        seconds: float | None,
        filters: tuple[Filter, ...],
        redactor: Redactor | None,
    ) -> None:
        self._settings, self._exchange, self._bindings = settings, exchange, bindings
        self._limit, self._filters, self._redactor = limit, filters, redactor
        self._ends = None if seconds is None else time.monotonic() + seconds
        self._ended = self._slow = False
        self._unbound: set[tuple[str, str]] = set()
        self._gone: dict[str, None] = {}  # keys that lost their last other binding
        self._unread = ""
        self._looked = time.monotonic()
        self.seen = self.matched = 0
        self.kept: list[Preview] = []

    @property
    def notes(self) -> Iterator[str]:
        """How it was bound, and what it dropped or could not read."""
        yield _how_bound(len(self._bindings)) if self.follows else ALONE
        if self._gone:
            yield f"no other binding was left with key {listed(map(repr, self._gone))}: the tap removed its own"
        if self._unread:
            yield f"the bindings of the exchange were not read again: {self._unread}"
        if self._slow:
            yield f"the tap is slow: at most {WAITING} copies wait, the oldest may be dropped"

    def run(self) -> None:
        """Taps until the limit, the time or an interrupt; the broker deletes the queue with the connection."""
        doing = f"tapping exchange {self._exchange!r}"
        connected = raw_amqp.connected(self._settings, f"tap {self._exchange}")
        management = open_management(self._settings)
        with connected as connection, management, raw_amqp.broker_errors(doing):
            channel = connection.channel()
            with _rights(self._exchange, self._settings.amqp.user):
                queue = declare_queue(channel, _queue(), server_named=True).name
                for binding in self._bindings:
                    bind(channel, binding, queue)
            channel.basic_qos(prefetch_count=PREFETCH)
            channel.basic_consume(queue, self._received)
            while not self._done:
                matched = self.matched
                raw_amqp.process_events(channel, 0.25)
                self._look(channel, queue, management)
                if self.file is not None and self.matched > matched:
                    self.file.sync()

    @property
    def _done(self) -> bool:
        late = self._ends is not None and time.monotonic() >= self._ends
        return self._ended or late or (self._limit is not None and self.matched >= self._limit)

    def _received(self, channel: Any, method: Any, properties: Any, body: bytes) -> None:
        if self._done:
            return
        self.seen += 1
        message, at = Message.received(self.matched + 1, method, properties, body), datetime.now(UTC)
        if accepts(self._filters, message, at):
            self.matched += 1
            if self.file is not None:
                self.file.append(message)
            shown = preview(message, at, self._redactor)
            if self.on_message is None:
                self.kept.append(shown)
            elif self.on_message(shown) is False:
                self._ended = True
        channel.basic_ack(method.delivery_tag)

    def _look(self, channel: Any, queue: str, management: Management) -> None:
        """Every `LOOK_S` it reads how many copies wait for the tap, and the bindings that its own are like."""
        if time.monotonic() - self._looked <= LOOK_S:
            return
        self._looked = time.monotonic()
        if not self._slow and channel.queue_declare(queue, passive=True).method.message_count > WAITING / 2:
            self._slow = True
        if self.follows:
            self._follow(channel, queue, management)
            self._looked = time.monotonic()  # a request may take its whole time-out

    def _follow(self, channel: Any, queue: str, management: Management) -> None:
        """Removes each binding that has no like any more: the tap alone would make its messages routed."""
        try:
            there = {_match(b) for b in management.bindings_from(self._exchange) if b.destination != queue}
        except SourceError as e:
            self._unread = str(e)
            return
        self._unread = ""
        for binding in self._bindings:
            match = _match(binding)
            if match in there and match in self._unbound:
                bind(channel, binding, queue)
                self._unbound.remove(match)
            elif match not in there and match not in self._unbound:
                unbind(channel, binding, queue)
                self._unbound.add(match)
                self._gone[binding.routing_key] = None


@contextlib.contextmanager
def _rights(exchange: str, user: str | None) -> Iterator[None]:
    """Names the permission that lacks: the broker names the tap's queue, which has a new name each time."""
    try:
        yield
    except BrokerRefused as e:
        if e.code != ACCESS_REFUSED:
            raise
        if f"exchange '{DEFAULT_EXCHANGE}'" in e.text:
            lacks = f"write permission on {DEFAULT_EXCHANGE}"
        elif f"exchange '{exchange}'" in e.text:
            lacks = f"read permission on {exchange}"
        else:
            lacks = "all permissions on queues named amq.gen-…"
        raise ActionError(
            f"tapping exchange {exchange!r}: user {user!r} does not have {lacks} ({e.code}). A tap needs configure, "
            f"write and read on queues named amq.gen-… (pattern ^amq\\.gen-), write on {DEFAULT_EXCHANGE}, and read "
            f"on {exchange}"
        ) from None


def _queue() -> Queue:
    """The tap's own queue. A policy of `.*` could dead-letter what it drops: its arguments send that nowhere."""
    return Queue(
        name="tap",
        durable=False,
        exclusive=True,
        auto_delete=True,
        arguments={
            "x-max-length": WAITING,
            "x-overflow": "drop-head",
            "x-dead-letter-exchange": "",
            "x-dead-letter-routing-key": f"attune-ops.tap.nowhere.{uuid.uuid4()}",
        },
    )
