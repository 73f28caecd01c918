"""Publishing with confirms that are not waited for singly, each message as mandatory; says what became of each."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import pika.exceptions as refusals
from pika import spec

from attune_ops.installation.config import Settings
from attune_ops.messages import raw_amqp
from attune_ops.messages.properties import decode
from attune_ops.messages.replay import Destination
from attune_ops.model.errors import ActionError, AttuneOpsError

if TYPE_CHECKING:
    import pika

WINDOW = 2000  # messages published and not yet confirmed
WINDOW_BYTES = 16 << 20
WRITE_EVERY = 50  # messages
STUCK_S = 60.0  # no confirm for so long
NOT_FOUND = 404

Outcome = Literal["published", "returned", "refused", "nowhere"]  # nowhere: there is no such exchange


class _Sent:
    """A message that was published and not yet confirmed."""

    __slots__ = ("body", "key", "returned", "to")

    def __init__(self, key: int, to: Destination, body: bytes) -> None:
        self.key, self.to, self.body, self.returned = key, to, body, False

    def fits(self, method: Any, raw: bytes, body: bytes) -> bool:
        """Whether this may be the message that came back; RabbitMQ 4 sorts headers by name."""
        there = (method.exchange, method.routing_key) == (self.to.exchange, self.to.routing_key)
        if self.returned or not there or body != self.body:
            return False
        return raw == self.to.properties or decode(raw) == decode(self.to.properties)


class Settled(NamedTuple):
    """What became of one message: its key, where it was sent, and the broker's answer."""

    key: int
    to: Destination
    outcome: Outcome


class Publisher:
    """Publishes messages, each under a key of the caller's; `settled` has what became of them since it was taken.

    A return names no message, but it arrives before the confirm of its own and in the order of publishing; so it
    belongs to the first message in flight that is the same, byte for byte.
    """

    def __init__(self, connection: pika.BlockingConnection, rate: float | None = None) -> None:
        self._connection = connection
        self._channel = connection.channel()
        self._publish = raw_amqp.confirming(self._channel, self._on_confirm, self._on_return)
        self._flying: dict[int, _Sent] = {}  # in the order of publishing, by the broker's number
        self._bytes = 0
        self._number = 0
        self._settled: list[Settled] = []
        self._exchanges: dict[str, bool] = {"": True}
        self._every = 0.0 if rate is None else 1 / rate
        self._next = time.monotonic()

    def publish(self, messages: Iterable[tuple[int, Destination, bytes]]) -> None:
        """Sends messages (key, destination, body); waits only while too many are in flight, or for the rate's sake."""
        with raw_amqp.working("publishing"):
            for key, to, body in messages:
                if not self._has_exchange(to.exchange):
                    # To publish there would close the channel, and leave all that is in flight in doubt.
                    self._settled.append(Settled(key, to, "nowhere"))
                    continue
                if self._every:
                    self._pace()
                if len(self._flying) >= WINDOW or self._bytes >= WINDOW_BYTES:
                    self._wait(lambda: len(self._flying) < WINDOW and self._bytes < WINDOW_BYTES)
                self._number += 1
                self._flying[self._number] = _Sent(key, to, body)
                self._bytes += len(body)
                self._publish(to.exchange, to.routing_key, body, raw_amqp.RawProperties(to.properties), True)
                if self._number % WRITE_EVERY == 0:
                    raw_amqp.turn(self._channel, 0)

    def settled(self, *, all: bool = False) -> list[Settled]:
        """What became of messages since the last call, by key; with `all` it waits until every one is answered."""
        if all:
            with raw_amqp.working("waiting for the broker's confirms"):
                self._wait(lambda: not self._flying)
        done, self._settled = self._settled, []
        return done

    @contextlib.contextmanager
    def hurrying(self, settle: Callable[[], None]) -> Iterator[None]:
        """Waits a moment for what is in flight, where somebody interrupts: what `settle` knows is not sent twice."""
        try:
            yield
        except KeyboardInterrupt:
            with contextlib.suppress(AttuneOpsError):  # pika may be past use, interrupted where it stood
                self._await_confirms()
                settle()
            raise

    def _await_confirms(self) -> None:
        until = time.monotonic() + raw_amqp.HURRY_S
        with contextlib.suppress(AttuneOpsError), raw_amqp.working("waiting for the broker's confirms"):
            while self._flying and time.monotonic() < until:
                raw_amqp.turn(self._channel, raw_amqp.HURRY_S / 10)

    def _has_exchange(self, name: str) -> bool:
        """Whether there is such an exchange; taken for granted where the user may not ask."""
        if name not in self._exchanges:
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
            raw_amqp.turn(self._channel, self._next - now)
        self._next = max(self._next, now - self._every) + self._every

    def _wait(self, done: Callable[[], bool]) -> None:
        answered, since = len(self._settled), time.monotonic()
        while not done():
            raw_amqp.turn(self._channel, 1)
            if len(self._settled) > answered:
                answered, since = len(self._settled), time.monotonic()
            elif time.monotonic() - since > STUCK_S:
                raise ActionError(
                    f"the broker has confirmed nothing for {STUCK_S:g} s (an alarm?); of {len(self._flying)} messages "
                    f"it is not known whether they arrived"
                )

    def _on_return(self, _: Any, method: Any, properties: Any, body: bytes) -> None:
        found = next((s for s in self._flying.values() if s.fits(method, properties.raw, body)), None)
        if found is not None:
            found.returned = True
            return
        # It cannot be told which this was. Twice is better than never: none of them counts as published.
        for sent in self._flying.values():
            sent.returned |= sent.to.exchange == method.exchange

    def _on_confirm(self, method: Any) -> None:
        last = method.delivery_tag
        if not method.multiple:
            numbers = [last]
        else:
            numbers = []
            for number in self._flying:
                if number > last:
                    break
                numbers.append(number)
        refused = isinstance(method, spec.Basic.Nack)
        for number in numbers:
            sent = self._flying.pop(number)
            self._bytes -= len(sent.body)
            outcome: Outcome = "refused" if refused else "returned" if sent.returned else "published"
            self._settled.append(Settled(sent.key, sent.to, outcome))


@contextlib.contextmanager
def open_publisher(settings: Settings, rate: float | None = None) -> Iterator[Publisher]:
    """Connects to publish; `rate` is the most messages per second. Raises `SourceError`.

    A connection of its own: a broker in alarm reads nothing from one that publishes, not even acknowledgements.
    """
    with raw_amqp.connected(settings, "publishing") as connection:
        with raw_amqp.working("opening a channel"):
            publisher = Publisher(connection, rate)
        yield publisher
