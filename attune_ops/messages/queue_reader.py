"""Reads messages from a queue in batches, and acknowledges each once the caller says that it is safe.

A consumer is fast, but an auto-delete queue is deleted with its last consumer, messages included, also where that
consumer's process was killed. So such a queue, and one with an unknown flag, is read with basic.get, which is not a
consumer (rabbit_amqqueue_process: has_had_consumers).
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from attune_ops.installation.amqp_write import READ
from attune_ops.installation.config import Settings
from attune_ops.messages import interrupts, raw_amqp
from attune_ops.messages.message import Message
from attune_ops.messages.publisher import Destination, Publisher
from attune_ops.messages.queue_state import QueueInfo
from attune_ops.model.errors import ActionError
from attune_ops.model.units import counted

if TYPE_CHECKING:
    from pika.adapters.blocking_connection import BlockingChannel

    from attune_ops.installation.timed_connection import TimedConnection

PREFETCH = 1000  # unacknowledged messages
BATCH = 500  # messages made safe and acknowledged at once
BATCH_BYTES = 8 << 20  # … or as soon as their bodies have this size together
PAUSE_S = 0.05  # without a message: the queue may be empty
STUCK_S = 20.0  # without a message although some are ready: another consumer gets them all


class Delivery(NamedTuple):
    """A message that was delivered and is not yet acknowledged; `tag` is its delivery tag."""

    tag: int
    message: Message


class QueueReader:
    """Reads one queue. Messages that are not acknowledged at the end are requeued."""

    def __init__(self, connection: TimedConnection, info: QueueInfo, consume: bool, prefetch: int) -> None:
        self.queue = queue = info.name
        self._republished = 0
        self._connection = connection
        self._limit = info.delivery_limit
        self._at_limit: list[Delivery] = []  # a requeue would exceed their delivery limit
        self.read = 0  # messages handed to the caller
        self._channel: BlockingChannel = connection.channel()
        self._arrived: deque[Delivery] = deque()
        self._bytes = 0
        self.empty = False  # whether the queue was empty at the last `next_batch`
        self._open: set[int] = set()  # tags that the caller has neither acknowledged nor left to be requeued
        self._order: deque[int] = deque()  # the same in order, as long as none is to be requeued
        self._safe: set[int] = set()  # tags that are safe and wait for an earlier one
        self._to_requeue = 0
        self._prefetch = prefetch
        self._tag: str | None = None
        if consume:
            self._channel.basic_qos(prefetch_count=prefetch)
            self._channel.add_on_cancel_callback(self._on_cancel)
            self._tag = self._channel.basic_consume(queue, self._on_message)

    @property
    def notes(self) -> tuple[str, ...]:
        """A note on messages that were republished instead of requeued, where there are some."""
        if not self._republished:
            return ()
        count = counted(self._republished, "message was", "messages were")
        return (f"{count} at the delivery limit: republished at the end of the queue",)

    def next_batch(self, limit: int | None = None) -> list[Delivery]:
        """The next batch, at most `limit`; [] at the end of the queue (`empty`), or until some are acknowledged.

        Raises `ActionError` where no message arrives although messages are ready.
        """
        wanted = BATCH if limit is None else min(BATCH, limit)
        with raw_amqp.broker_errors(f"reading queue {self.queue!r}", READ):
            if self._tag is not None and self._to_requeue > self._prefetch // 2:
                self._stop_consuming()
            self.empty = self._get(wanted) if self._tag is None else self._consume(wanted)
        batch = [self._arrived.popleft() for _ in range(min(wanted, len(self._arrived)))]
        self._bytes -= sum(len(t.message.body) for t in batch)
        self.read += len(batch)
        self._open.update(t.tag for t in batch)
        if not self._to_requeue:
            self._order.extend(t.tag for t in batch)
        return batch

    def acknowledge(self, tags: Iterable[int]) -> None:
        """Acknowledges messages that are safe elsewhere: the broker deletes them."""
        if interrupts.forced():  # pika is unusable: what is safe elsewhere is then in the queue too
            return
        self._safe.update(tags)
        self._open -= self._safe
        with raw_amqp.broker_errors(f"acknowledging messages of queue {self.queue!r}"):
            if self._to_requeue:
                for tag in sorted(self._safe):
                    self._channel.basic_ack(tag)
                self._safe.clear()
                return
            last = 0  # all up to here are safe: one acknowledgement for all of them
            while self._order and self._order[0] in self._safe:
                last = self._order.popleft()
                self._safe.remove(last)
            if last:
                self._channel.basic_ack(last, multiple=True)

    def requeue_later(self, delivery: Delivery) -> None:
        """Leaves a message in the queue: it is requeued when this reader is closed."""
        self._to_requeue += 1
        self._open.discard(delivery.tag)
        if self._limit is not None and delivery.message.deliveries >= self._limit:
            self._at_limit.append(delivery)

    def close(self) -> None:
        """Requeues what is to be requeued, and waits until the broker has received every acknowledgement."""
        with raw_amqp.broker_errors(f"closing the channel of queue {self.queue!r}"):
            if self._tag is not None:
                self._stop_consuming()
            self.acknowledge(())
            if self._at_limit:
                self._republish()
            if self._to_requeue:
                # From 4.3 on a quorum queue counts no delivery for a basic.nack, but one for a closed channel.
                self._channel.basic_nack(0, multiple=True, requeue=True)
            self._channel.close()

    def _republish(self) -> None:
        """Publishes a copy of each message that a requeue would dead-letter or drop, then acknowledges it."""
        publisher = Publisher(self._connection)
        publisher.publish((t.tag, Destination("", self.queue, t.message.properties), t.message.body)
                          for t in self._at_limit)  # fmt: skip
        for tag, _, result in publisher.settled(all=True):
            if result == "published":
                self._channel.basic_ack(tag)
                self._republished += 1

    def _consume(self, wanted: int) -> bool:
        quiet_since, none_ready = time.monotonic(), 0
        while len(self._arrived) < wanted and self._bytes < BATCH_BYTES:
            before = len(self._arrived)
            raw_amqp.process_events(self._channel, PAUSE_S)
            if self._tag is None:
                raise ActionError(f"queue {self.queue!r} was deleted or moved while it was read")
            if len(self._arrived) > before:
                quiet_since, none_ready = time.monotonic(), 0
                continue
            if self._arrived:
                break
            # What the queue sent before the first answer has arrived by the second.
            none_ready = none_ready + 1 if self._ready() == 0 else 0
            if none_ready == 2:
                return True
            if self._open and not none_ready:
                break  # unacknowledged messages fill the prefetch
            if time.monotonic() - quiet_since > STUCK_S:
                raise ActionError(f"queue {self.queue!r} delivers nothing: another consumer is exclusive")
        return False

    def _get(self, wanted: int) -> bool:
        while len(self._arrived) < wanted and self._bytes < BATCH_BYTES:
            interrupts.interruption_point()
            method, properties, body = self._channel.basic_get(self.queue)
            if method is None:
                return not self._arrived
            self._on_message(self._channel, method, properties, body)
        return False

    def _ready(self) -> int:
        return int(self._channel.queue_declare(self.queue, passive=True).method.message_count)

    def _on_message(self, channel: Any, method: Any, properties: Any, body: bytes) -> None:
        message = Message.received(self.read + len(self._arrived) + 1, method, properties, body)
        self._arrived.append(Delivery(method.delivery_tag, message))
        self._bytes += len(body)

    def _on_cancel(self, _: Any) -> None:
        """The broker cancelled the consumer: the queue was deleted or moved."""
        self._tag = None

    def _stop_consuming(self) -> None:
        """Goes on with basic.get: messages to be requeued fill the prefetch."""
        tag, self._tag = self._tag, None
        self._channel.basic_cancel(tag)


@contextlib.contextmanager
def open_reader(
    settings: Settings, info: QueueInfo, *, ahead: bool = True, prefetch: int = PREFETCH
) -> Iterator[QueueReader]:
    """Connects to read a queue; messages that are not acknowledged at the end are requeued.

    Without `ahead` no message is prefetched: it would be requeued with the flag `redelivered`. Raises `SourceError`
    where the broker cannot be reached, `ActionError` where it refuses.
    """
    with raw_amqp.connected(settings, f"reading {info.name}") as connection:
        with raw_amqp.broker_errors(f"reading queue {info.name!r}", READ):
            reader = QueueReader(connection, info, info.may_consume and ahead, prefetch)
        yield reader
        reader.close()
