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

from attune_ops.installation.amqp import CLOSE_S, in_time, short_connection
from attune_ops.installation.amqp_write import READ, BrokerRefused, publish
from attune_ops.installation.config import Settings
from attune_ops.messages import interrupts, raw_amqp
from attune_ops.messages.message import Message
from attune_ops.messages.publisher import Destination, Publisher
from attune_ops.messages.queue_state import QueueInfo
from attune_ops.model.errors import ActionError, AttuneOpsError
from attune_ops.model.units import counted

if TYPE_CHECKING:
    from pika.adapters.blocking_connection import BlockingChannel

    from attune_ops.installation.timed_connection import TimedConnection

PREFETCH = 1000  # unacknowledged messages
BATCH = 500  # messages made safe and acknowledged at once
BATCH_BYTES = 8 << 20  # … or as soon as their bodies have this size together
PAUSE_S = 0.05  # without a message: the queue may be empty
FULL_S = 5.0  # between two reads of `keep_alive` where BATCH_BYTES wait for the caller
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
        self._may_reject = info.delivery_limit is None
        self._limit = info.delivery_limit if info.counts_requeues else None
        self._at_limit: dict[int, Delivery] = {}  # not acknowledged; a requeue would exceed their delivery limit
        self.read = 0  # messages handed to the caller
        self._channel: BlockingChannel = connection.channel()
        self._arrived: deque[Delivery] = deque()
        self._bytes = 0
        self.empty = False  # whether the queue was empty at the last `next_batch`
        self.closed = False  # whether the broker has received every acknowledgement
        self._served = 0.0
        self._closing = False
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
            if self._to_requeue > self._prefetch // 2:
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
        for tag in self._at_limit.keys() & self._safe:
            del self._at_limit[tag]
        with raw_amqp.broker_errors(f"acknowledging messages of queue {self.queue!r}"):
            if self._to_requeue:
                self._acknowledge_each()
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

    def keep_alive(self) -> None:
        """Sends heartbeats while the caller waits: else the broker requeues what is not acknowledged."""
        now = time.monotonic()
        if self._bytes >= BATCH_BYTES and now - self._served < FULL_S:  # what arrives stays in memory
            return
        self._served = now
        with raw_amqp.broker_errors(f"reading queue {self.queue!r}", READ):
            raw_amqp.process_events(self._channel, 0)

    def close(self) -> None:
        """Requeues what is not acknowledged, and waits until the broker has received every acknowledgement.

        A message at its delivery limit is republished instead. Raises `ActionError` where that is not possible: the
        broker then dead-letters or drops the message.
        """
        self._closing = True
        with raw_amqp.broker_errors(f"closing the channel of queue {self.queue!r}"):
            self._stop_consuming()
            self._acknowledge_each()
            why = self._republish() if self._at_limit else ""
            # From 4.3 on a quorum queue counts no delivery for this, but one for basic.reject and for a closed channel.
            self._channel.basic_nack(0, multiple=True, requeue=True)
            self._channel.close()
            self.closed = True
        if self._at_limit:
            messages = counted(len(self._at_limit), "message")
            raise ActionError(
                f"{messages} of queue {self.queue!r} at the delivery limit ({self._limit}) could not be republished "
                f"({why}): the broker dead-letters or drops what exceeds the limit"
            )

    def close_after_error(self) -> str:
        """The same, as far as the connection can still be used, and briefly; returns why it failed, raises nothing."""
        if self._connection.is_open and self._channel.is_open and not interrupts.forced():
            try:
                with in_time(self._connection, CLOSE_S):
                    self.close()
            except AttuneOpsError as e:
                return str(e) if self._at_limit else ""
        return ""

    def _acknowledge_each(self) -> None:
        for tag in sorted(self._safe):
            self._channel.basic_ack(tag)
        self._safe.clear()

    def _republish(self) -> str:
        """Publishes a copy of each message that a requeue would dead-letter or drop, then acknowledges it.

        Returns why it was not possible for those that are left in `_at_limit`.
        """
        why = ""
        try:
            publisher = Publisher(self._connection)
            publisher.publish((tag, Destination("", self.queue, t.message.properties), t.message.body)
                              for tag, t in self._at_limit.items())  # fmt: skip
            settled = publisher.settled(all=True)
        except ActionError as e:
            return str(e)
        for tag, _, result in settled:
            if result == "published":
                self._channel.basic_ack(tag)
                del self._at_limit[tag]
                self._republished += 1
            else:
                why = result
        return why

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
        delivery = Delivery(method.delivery_tag, message)
        if self._limit is not None and message.deliveries >= self._limit:
            self._at_limit[delivery.tag] = delivery
        if not self._closing:  # else it is requeued
            self._arrived.append(delivery)
            self._bytes += len(body)

    def _on_cancel(self, _: Any) -> None:
        """The broker cancelled the consumer: the queue was deleted or moved."""
        self._tag = None

    def _stop_consuming(self) -> None:
        """Goes on with basic.get: messages to be requeued fill the prefetch."""
        tag, self._tag = self._tag, None
        if tag is None:
            return
        if self._may_reject:
            self._channel.basic_cancel(tag)
        else:  # basic.reject would count as a delivery
            raw_amqp.cancel(self._channel, tag)


@contextlib.contextmanager
def open_reader(
    settings: Settings, info: QueueInfo, *, ahead: bool = True, prefetch: int = PREFETCH
) -> Iterator[QueueReader]:
    """Connects to read a queue; messages that are not acknowledged at the end are requeued.

    Without `ahead` no message is prefetched: it would be requeued with the flag `redelivered`. Raises `SourceError`
    where the broker cannot be reached, `ActionError` where it refuses.
    """
    if info.type == "quorum" and info.delivery_limit is not None and info.counts_requeues:
        _require_republish(settings, info)
    with raw_amqp.connected(settings, f"reading {info.name}") as connection:
        with raw_amqp.broker_errors(f"reading queue {info.name!r}", READ):
            reader = QueueReader(connection, info, info.may_consume and ahead, prefetch)
        try:
            yield reader
        except BaseException as e:
            lost = reader.close_after_error()
            if lost and isinstance(e, AttuneOpsError):
                raise raw_amqp.extended(e, lost) from e
            raise
        reader.close()


def _require_republish(settings: Settings, info: QueueInfo) -> None:
    """Raises `ActionError` where this user cannot publish to the queue, before a message at its limit is delivered.

    Publishes an empty message to the default exchange that no queue can get: the broker returns it.
    """
    with short_connection(settings, "look") as connection, in_time(connection, settings.timeout):
        channel = connection.channel()
        channel.confirm_delivery()
        try:
            publish(channel, "", "", b"")
        except BrokerRefused as e:
            raise ActionError(
                f"queue {info.name!r} has a delivery limit ({info.delivery_limit}): a requeue would remove a message "
                f"at the limit, and it cannot be republished ({e}); no message was read"
            ) from None
