"""Taking messages from a queue in batches, and acknowledging each when its taker says that it is safe.

A consumer is fast, but it changes an auto-delete queue: when its last consumer goes, the queue goes, with
everything in it, also when that consumer's process was killed. So such a queue, and one of which it is not
known, is emptied by basic.get, which is no consumer (rabbit_amqqueue_process: has_had_consumers).
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from attune_ops.installation.config import Settings
from attune_ops.messages import raw_amqp
from attune_ops.messages.message import Message
from attune_ops.messages.publisher import Publisher
from attune_ops.messages.queue_state import Seen
from attune_ops.messages.replay import Destination
from attune_ops.model.errors import ActionError

if TYPE_CHECKING:
    import pika
    from pika.adapters.blocking_connection import BlockingChannel

PREFETCH = 1000  # messages that the broker sends ahead of acknowledgements
BATCH = 500  # messages made safe and acknowledged at once
BATCH_BYTES = 8 << 20  # … or as soon as their bodies are so large together
PAUSE_S = 0.05  # no message for so long: perhaps the queue is empty
STUCK_S = 20.0  # none for so long although some are ready: somebody else has them all


class Taken(NamedTuple):
    """A message that was taken and is not yet acknowledged; `tag` is its delivery tag."""

    tag: int
    message: Message


class Source:
    """One queue that messages are taken from. Whatever is not acknowledged at the end goes back to it."""

    def __init__(self, connection: pika.BlockingConnection, seen: Seen, consume: bool, prefetch: int) -> None:
        self.queue = queue = seen.name
        self._put_at_end_count = 0
        self._connection = connection
        self._limit = seen.delivery_limit
        self._last_chance: list[Taken] = []  # held at their delivery limit: the queue would give them up
        self.taken = 0
        self._channel: BlockingChannel = connection.channel()
        self._arrived: deque[Taken] = deque()
        self._bytes = 0
        self.empty = False  # whether there was nothing more when `more` last looked
        self._open: set[int] = set()  # the tags that the taker has, neither acknowledged nor held
        self._order: deque[int] = deque()  # the same in order, as long as none is held
        self._safe: set[int] = set()  # those that are safe and wait for one that came before them
        self._held = 0
        self._prefetch = prefetch
        self._tag: str | None = None
        if consume:
            self._channel.basic_qos(prefetch_count=prefetch)
            self._channel.add_on_cancel_callback(self._on_cancel)
            self._tag = self._channel.basic_consume(queue, self._on_message)

    @property
    def notes(self) -> tuple[str, ...]:
        """What became of messages that could not simply be given back, or nothing."""
        if not self._put_at_end_count:
            return ()
        return (f"{self._put_at_end_count} at their delivery limit were put at the end of the queue, as fresh copies",)

    def more(self, limit: int | None = None) -> list[Taken]:
        """The next batch, at most `limit`; [] where there is nothing more (`empty`), or not before some are safe.

        Raises `ActionError` where nothing comes although messages are ready.
        """
        wanted = BATCH if limit is None else min(BATCH, limit)
        with raw_amqp.working(f"taking from queue {self.queue!r}"):
            if self._tag is not None and self._held > self._prefetch // 2:
                self._stop_consuming()
            self.empty = self._get(wanted) if self._tag is None else self._consume(wanted)
        batch = [self._arrived.popleft() for _ in range(min(wanted, len(self._arrived)))]
        self._bytes -= sum(len(t.message.body) for t in batch)
        self.taken += len(batch)
        self._open.update(t.tag for t in batch)
        if not self._held:
            self._order.extend(t.tag for t in batch)
        return batch

    def acknowledge(self, tags: Iterable[int]) -> None:
        """Tells the broker that these messages are safe; it forgets them."""
        self._safe.update(tags)
        self._open -= self._safe
        with raw_amqp.working(f"acknowledging to queue {self.queue!r}"):
            if self._held:
                for tag in sorted(self._safe):
                    self._channel.basic_ack(tag)
                self._safe.clear()
                return
            last = 0  # all up to here are safe: one acknowledgement does for them
            while self._order and self._order[0] in self._safe:
                last = self._order.popleft()
                self._safe.remove(last)
            if last:
                self._channel.basic_ack(last, multiple=True)

    def hold(self, taken: Taken) -> None:
        """Leaves a message to the queue: it goes back when this source is closed."""
        self._held += 1
        self._open.discard(taken.tag)
        if self._limit is not None and taken.message.deliveries >= self._limit:
            self._last_chance.append(taken)

    def close(self) -> None:
        """Gives back what is held, and waits until the broker has taken every acknowledgement."""
        with raw_amqp.working(f"leaving queue {self.queue!r}"):
            if self._tag is not None:
                self._stop_consuming()
            self.acknowledge(())
            if self._last_chance:
                self._put_at_end()
            if self._held:
                # From 4.3 on a quorum queue counts no delivery for what is given back so, but one for a closed channel.
                self._channel.basic_nack(0, multiple=True, requeue=True)
            self._channel.close()

    def _put_at_end(self) -> None:
        """Publishes a copy of each message that would not survive being given back, then acknowledges it."""
        publisher = Publisher(self._connection)
        publisher.publish((t.tag, Destination("", self.queue, t.message.properties), t.message.body)
                          for t in self._last_chance)  # fmt: skip
        for tag, _, outcome in publisher.settled(all=True):
            if outcome == "published":
                self._channel.basic_ack(tag)
                self._put_at_end_count += 1

    def _consume(self, wanted: int) -> bool:
        quiet_since, none_ready = time.monotonic(), 0
        while len(self._arrived) < wanted and self._bytes < BATCH_BYTES:
            before = len(self._arrived)
            raw_amqp.turn(self._channel, PAUSE_S)
            if self._tag is None:
                raise ActionError(f"queue {self.queue!r} was deleted or moved while it was emptied")
            if len(self._arrived) > before:
                quiet_since, none_ready = time.monotonic(), 0
                continue
            if self._arrived:
                break
            # What the queue had sent before the first answer has arrived by the second.
            none_ready = none_ready + 1 if self._ready() == 0 else 0
            if none_ready == 2:
                return True
            if self._open and not none_ready:
                break  # what the taker has fills the prefetch
            if time.monotonic() - quiet_since > STUCK_S:
                raise ActionError(f"queue {self.queue!r} delivers nothing: another consumer has it to itself")
        return False

    def _get(self, wanted: int) -> bool:
        while len(self._arrived) < wanted and self._bytes < BATCH_BYTES:
            method, properties, body = self._channel.basic_get(self.queue)
            if method is None:
                return not self._arrived
            self._on_message(self._channel, method, properties, body)
        return False

    def _ready(self) -> int:
        return int(self._channel.queue_declare(self.queue, passive=True).method.message_count)

    def _on_message(self, channel: Any, method: Any, properties: Any, body: bytes) -> None:
        key = method.routing_key  # pika gives bytes where it is not UTF-8
        shown, odd = (key, None) if isinstance(key, str) else (key.decode(errors="replace"), key)
        n = self.taken + len(self._arrived) + 1
        message = Message(n, method.exchange, shown, properties.raw, body, method.redelivered, odd)
        self._arrived.append(Taken(method.delivery_tag, message))
        self._bytes += len(body)

    def _on_cancel(self, _: Any) -> None:
        """The broker cancelled the consumer: its queue is gone."""
        self._tag = None

    def _stop_consuming(self) -> None:
        """Goes on by basic.get: what is held fills the prefetch, and a consumer would get nothing more."""
        tag, self._tag = self._tag, None
        self._channel.basic_cancel(tag)


@contextlib.contextmanager
def open_source(settings: Settings, seen: Seen, *, prefetch: int = PREFETCH, few: bool = False) -> Iterator[Source]:
    """Connects to take messages from a queue; what is not acknowledged at the end goes back to it.

    With `few` none is taken ahead: it would go back marked as redelivered. Raises `SourceError` where the broker
    cannot be reached, `ActionError` where it refuses.
    """
    with raw_amqp.connected(settings, f"taking from {seen.name}") as connection:
        with raw_amqp.working(f"taking from queue {seen.name!r}"):
            source = Source(connection, seen, seen.may_consume and not few, prefetch)
        yield source
        source.close()
