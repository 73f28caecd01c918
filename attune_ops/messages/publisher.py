"""Publishing mandatory messages with asynchronous publisher confirms, and the broker's answer for each."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import msgspec
import pika.exceptions as refusals
from pika import spec

from attune_ops.installation.amqp_write import WRITE
from attune_ops.installation.config import Settings
from attune_ops.messages import interrupts, raw_amqp
from attune_ops.messages.properties import decode
from attune_ops.model import deadline
from attune_ops.model.errors import AttuneOpsError, SourceError
from attune_ops.model.units import counted

if TYPE_CHECKING:
    from attune_ops.installation.timed_connection import TimedConnection

WINDOW = 2000  # messages published and not yet confirmed
WINDOW_BYTES = 16 << 20
WRITE_EVERY = 50  # messages
STUCK_S = 60.0  # without a confirm
NOTICE_S = 10.0  # between two sentences about an alarm that lasts
NOT_FOUND = 404

PublishResult = Literal["published", "unroutable", "nacked", "exchange not found"]


class Destination(msgspec.Struct, frozen=True):
    """Where a message is published, and with which properties."""

    exchange: str
    routing_key: str | bytes
    properties: bytes

    @property
    def key(self) -> str:
        """The routing key as text."""
        return self.routing_key if isinstance(self.routing_key, str) else self.routing_key.decode(errors="replace")


class _Sent:
    """A message that was published and is not yet confirmed."""

    __slots__ = ("body", "key", "returned", "to")

    def __init__(self, key: int, to: Destination, body: bytes) -> None:
        self.key, self.to, self.body, self.returned = key, to, body, False

    def fits(self, method: Any, raw: bytes, body: bytes) -> bool:
        """Whether this may be the message that was returned; RabbitMQ 4 sorts headers by name."""
        same = (method.exchange, method.routing_key) == (self.to.exchange, self.to.routing_key)
        if self.returned or not same or body != self.body:
            return False
        return raw == self.to.properties or decode(raw) == decode(self.to.properties)


class Settled(NamedTuple):
    """One answered message: its key, its destination, the broker's answer."""

    key: int
    to: Destination
    result: PublishResult


class Publisher:
    """Publishes messages, each under a key of the caller's; `settled` returns the answers since its last call.

    A basic.return does not identify its message, but it arrives before the message's confirm and in the order of
    publishing: so it belongs to the first identical message in flight.
    """

    def __init__(
        self, connection: TimedConnection, rate: float | None = None, on_notice: Callable[[str], None] | None = None
    ) -> None:
        self._connection = connection
        self._channel = connection.channel()
        self._publish = raw_amqp.enable_confirms(self._channel, self._on_confirm, self._on_return)
        self._in_flight: dict[int, _Sent] = {}  # in the order of publishing, by the broker's number
        self._bytes = 0
        self._number = 0
        self._settled: list[Settled] = []
        self._exchanges: dict[str, bool] = {"": True}
        self._every = 0.0 if rate is None else 1 / rate
        self._on_notice = on_notice
        self._blocked_since: float | None = None
        self._noticed = self._served = 0.0
        self.on_wait: Callable[[], None] | None = None  # called every TURN_S during a wait
        self._next = self._since = time.monotonic()  # _since: the last confirm, or the first message without one

    def publish(self, messages: Iterable[tuple[int, Destination, bytes]]) -> None:
        """Publishes messages (key, destination, body); waits while too many are in flight, or for the rate."""
        with raw_amqp.broker_errors("publishing", WRITE):
            for key, to, body in messages:
                if not self._has_exchange(to.exchange):
                    # Publishing there would close the channel, with all messages in flight unknown.
                    self._settled.append(Settled(key, to, "exchange not found"))
                    continue
                if self._every:
                    self._pace()
                if len(self._in_flight) >= WINDOW or self._bytes >= WINDOW_BYTES:
                    self._wait(lambda: len(self._in_flight) < WINDOW and self._bytes < WINDOW_BYTES)
                self._number += 1
                if not self._in_flight:
                    self._since = time.monotonic()
                self._in_flight[self._number] = _Sent(key, to, body)
                self._bytes += len(body)
                self._publish(to.exchange, to.routing_key, body, raw_amqp.RawProperties(to.properties), True)
                if self._number % WRITE_EVERY == 0:
                    raw_amqp.process_events(self._channel, 0)

    def settled(self, *, all: bool = False) -> list[Settled]:
        """The answers since the last call; with `all` it waits until every message is answered."""
        if all:
            with raw_amqp.broker_errors("waiting for the broker's confirms", WRITE):
                self._wait(lambda: not self._in_flight)
        done, self._settled = self._settled, []
        return done

    @contextlib.contextmanager
    def drain_confirms_on_error(self, settle: Callable[[], None]) -> Iterator[None]:
        """After an error or interrupt, waits briefly for confirms and calls `settle`: these are not published twice."""
        try:
            yield
        except (AttuneOpsError, KeyboardInterrupt):
            with contextlib.suppress(AttuneOpsError):  # the connection may be lost, or pika unusable after an interrupt
                self._await_confirms()
                settle()
            raise

    def _await_confirms(self) -> None:
        until = time.monotonic() + min(raw_amqp.INTERRUPT_S, deadline.left())
        with contextlib.suppress(AttuneOpsError), raw_amqp.broker_errors("waiting for the broker's confirms", WRITE):
            while self._in_flight and self._connection.is_open and time.monotonic() < until and not interrupts.forced():
                raw_amqp.process_events(self._channel, raw_amqp.INTERRUPT_S / 10)

    def _has_exchange(self, name: str) -> bool:
        """Whether the exchange exists (passive declare); assumed where the user has no permission."""
        if name not in self._exchanges:
            self._wait(lambda: self._connection.blocked is None)  # pika would wait for the answer without `on_wait`
            channel = self._connection.channel()
            try:
                channel.exchange_declare(name, passive=True)
            except refusals.ChannelClosedByBroker as e:
                self._exchanges[name] = e.reply_code != NOT_FOUND
            else:
                self._exchanges[name] = True
                channel.close()
        return self._exchanges[name]

    def _pace(self) -> None:
        while (now := time.monotonic()) < self._next:
            self._turn(self._next - now)
        self._next = max(self._next, now - self._every) + self._every

    def _wait(self, done: Callable[[], bool]) -> None:
        while not done():
            self._turn(1)

    def _turn(self, seconds: float) -> None:
        """Handles events for at most `seconds`; raises `SourceError` where the broker has stopped confirming."""
        answered, unsent = len(self._settled), self._connection.unsent
        raw_amqp.process_events(self._channel, seconds)
        now = time.monotonic()
        self._tell_of_alarm(now)
        got_on = len(self._settled) > answered or self._connection.unsent < unsent
        if got_on or not self._in_flight or self._connection.blocked is not None:
            self._since = now
            deadline.ended()
        elif now - self._since > STUCK_S or deadline.left() <= 0:
            deadline.ended(late=True)
            raise SourceError(
                f"no publisher confirm for {now - self._since:.0f} s; it is unknown whether "
                f"{counted(len(self._in_flight), 'message')} arrived"
            )
        if self.on_wait is not None and now - self._served >= raw_amqp.TURN_S:
            self._served = now
            self.on_wait()

    def _tell_of_alarm(self, now: float) -> None:
        """Shows that it still waits for the end of an alarm."""
        reason = self._connection.blocked
        if reason is None:
            self._blocked_since = None
        elif self._blocked_since is None:
            self._blocked_since = self._noticed = now
        elif self._on_notice is not None and now - self._noticed >= NOTICE_S:
            self._noticed = now
            self._on_notice(blocked(reason, now - self._blocked_since))

    def _on_return(self, _: Any, method: Any, properties: Any, body: bytes) -> None:
        found = next((s for s in self._in_flight.values() if s.fits(method, properties.raw, body)), None)
        if found is not None:
            found.returned = True
            return
        # Unknown which message this was. A duplicate is better than a loss: none of them counts as published.
        for sent in self._in_flight.values():
            sent.returned |= sent.to.exchange == method.exchange

    def _on_confirm(self, method: Any) -> None:
        last = method.delivery_tag
        if not method.multiple:
            numbers = [last]
        else:
            numbers = []
            for number in self._in_flight:
                if number > last:
                    break
                numbers.append(number)
        nacked = isinstance(method, spec.Basic.Nack)
        for number in numbers:
            sent = self._in_flight.pop(number)
            self._bytes -= len(sent.body)
            result: PublishResult = "nacked" if nacked else "unroutable" if sent.returned else "published"
            self._settled.append(Settled(sent.key, sent.to, result))


@contextlib.contextmanager
def open_publisher(
    settings: Settings, rate: float | None = None, on_notice: Callable[[str], None] | None = None
) -> Iterator[Publisher]:
    """Connects to publish, at most `rate` messages per second. Raises `SourceError`.

    On its own connection: in an alarm the broker blocks publishing connections, acknowledgements included. `on_notice`
    gets a sentence when it does, every NOTICE_S while it does, and when it no longer does.
    """
    with raw_amqp.connected(settings, "publishing") as connection:
        if on_notice is not None:
            connection.on_blocked = lambda reason: on_notice(blocked(reason))
        with raw_amqp.broker_errors("opening a channel"):
            publisher = Publisher(connection, rate, on_notice)
        yield publisher


def blocked(reason: str | None, seconds: float = 0.0) -> str:
    """The sentence about an alarm that blocks publishers (for so long), None where it has ended."""
    if reason is None:
        return "the broker accepts messages again"
    since = f" for {seconds:.0f} s" if seconds else ""
    return f"the broker blocks publishers{since}: {reason}; waiting until the alarm ends (Ctrl-C: nothing is lost)"
