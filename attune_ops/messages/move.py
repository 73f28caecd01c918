"""Moving messages from a queue: the source is acknowledged only when the broker has confirmed the copy."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime

from attune_ops.installation import audit
from attune_ops.installation.amqp import depth, short_connection
from attune_ops.installation.config import Settings
from attune_ops.messages import interrupts, raw_amqp
from attune_ops.messages.fan_out import fan_out_notes
from attune_ops.messages.length_limit import read_room
from attune_ops.messages.publisher import WINDOW, Destination, Publisher, open_publisher
from attune_ops.messages.queue_reader import BATCH, Delivery, QueueReader, open_reader
from attune_ops.messages.queue_state import QueueInfo, read_queue
from attune_ops.messages.selection import MAX_REPLAYS, Kept, OutcomeCounter, Selector, Target
from attune_ops.messages.transfer import Transfer
from attune_ops.model.errors import ActionError, ConfigError
from attune_ops.model.units import counted

PREFETCH = WINDOW + BATCH
AHEAD_S = 60  # of messages are read ahead at a given rate: for 30 minutes the broker lets them be unacknowledged
DEAD_ONLY = "messages that were not dead-lettered stay in the queue; with --apply the exit status is then 1"


def move(
    settings: Settings,
    queue: str,
    to: str | None = None,
    *,
    exchange: str | None = None,
    routing_key: str | None = None,
    filters: Iterable[str] = (),
    limit: int | None = None,
    rate: float | None = None,
    max_replays: int | None = MAX_REPLAYS,
    finished: bool = False,
    apply: bool = False,
    confirm: str | None = None,
    on_progress: Callable[[int], None] | None = None,
    on_notice: Callable[[str], None] | None = None,
) -> Transfer:
    """Moves messages from `queue` to queue `to`, to an exchange, or dead letters back to where they came from.

    Publishes each as mandatory, waits for its confirm, then acknowledges it. At most as many are moved as were ready
    at the beginning, so what comes back is not moved again. Killed at any moment it loses none; what was confirmed and
    not yet acknowledged (at most PREFETCH messages) is then in both places. What is not published stays. Without
    `apply` it is a dry run. Undo: move them back. `on_notice` gets a sentence while an alarm blocks publishers. Raises
    `ConfigError` where both `to` and an exchange or key are given, `ActionError` also where the messages may exceed a
    length limit of queue `to` above which it drops messages, or `SourceError` where the connection breaks.

    >>> transfer = ops.messages.move("attune.events.queue", "attune.notifications.queue", limit=1)
    >>> transfer.applied, transfer.target
    (False, "queue 'attune.notifications.queue'")
    """
    if to is not None and (exchange is not None or routing_key is not None):
        raise ConfigError("give a queue to move to, or an exchange and key, not both")
    dead_only = to is None and exchange is None and routing_key is None
    if to is not None:
        exchange, routing_key = "", to
    target = Target(exchange, routing_key, counted=dead_only, counted_back=True, dead_only=dead_only)
    if (target.exchange, target.routing_key) == ("", queue):
        raise ConfigError(f"queue {queue!r} is both source and destination")
    filters = tuple(filters)
    selector = Selector(settings, filters, target, max_replays)
    began = time.perf_counter()
    info = read_queue(settings, queue)
    _require_queue(settings, target)
    most = info.ready if limit is None else min(limit, info.ready)
    room = read_room(settings, target).notes(most, info.size, of_all=limit is not None or bool(filters))
    run = _Run(settings, info, limit)
    with selector.registry(finished=finished) as note:
        if apply:
            with audit.change(settings, "messages move", queue, confirm=confirm, **selector.detail) as outcome:
                try:
                    with raw_amqp.resume_hint(run.so_far, ""):
                        run.publish(selector, rate, on_progress, on_notice)
                finally:
                    outcome |= run.counter.by_outcome
        else:
            run.counter.expect(most)
    return Transfer(
        what="move",
        source=queue,
        target=target.words,
        applied=apply,
        at_most=not apply,
        outcomes=run.counter.outcomes,
        taken_at=datetime.now(UTC),
        duration_ms=(time.perf_counter() - began) * 1000,
        notes=(
            *([note] if note else []),
            *([DEAD_ONLY] if dead_only and not apply else []),
            *(fan_out_notes(settings, selector, queue, apply) if most else ()),
            *info.notes(requeued=not apply or run.requeues),
            *room,
            *run.notes,
        ),
    )


class _Run:
    """One move of at most `limit` messages, out of those that were ready at the beginning."""

    def __init__(self, settings: Settings, info: QueueInfo, limit: int | None) -> None:
        self.counter = OutcomeCounter()
        self._settings, self._info, self._limit = settings, info, limit
        self._redelivered = self._read = self._sent = 0
        self._in_flight: dict[int, Delivery] = {}
        self._notes: tuple[str, ...] = ()
        self._reader: QueueReader | None = None

    @property
    def requeues(self) -> bool:
        """Whether some of the messages stayed."""
        return self.counter.count("published") < self._read

    @property
    def notes(self) -> tuple[str, ...]:
        """The reader's notes, and how many messages a killed move may have published already."""
        if not self._redelivered:
            return self._notes
        before = counted(self._redelivered, "message was redelivered", "messages were redelivered")
        return (*self._notes, f"{before}: possible duplicates, if an earlier move was killed")

    def so_far(self) -> str:
        """What is certain after an error: how many messages were moved, and how many may be in both places."""
        confirmed, doubtful = self.counter.count("published"), len(self._in_flight)
        if self._reader is not None and not self._reader.closed:  # the last acknowledgements may not have arrived
            doubtful = min(PREFETCH, confirmed + doubtful)
        if not doubtful:
            return f"{self.counter.were_published} moved, the others stayed"
        return (
            f"{self.counter.were_published} confirmed, the others stayed; up to {counted(doubtful, 'message')} (in "
            "flight, or confirmed and not acknowledged) may be in both places"
        )

    def publish(
        self,
        selector: Selector,
        rate: float | None,
        on_progress: Callable[[int], None] | None,
        on_notice: Callable[[str], None] | None,
    ) -> None:
        """Moves batch by batch."""
        ahead = self._limit is None or self._limit > PREFETCH
        prefetch = PREFETCH if rate is None else int(min(PREFETCH, rate * AHEAD_S + 1))
        with (
            open_publisher(self._settings, rate, on_notice) as publisher,
            open_reader(self._settings, self._info, ahead=ahead, prefetch=prefetch) as reader,
            publisher.drain_confirms_on_error(lambda: self._settle(publisher, reader)),
        ):
            self._reader = reader
            publisher.on_wait = lambda: self._while_waiting(publisher, reader)
            while (wanted := self._remaining(reader)) > 0 and not reader.empty:
                interrupts.interruption_point()
                batch = reader.next_batch(min(wanted, prefetch))
                self._read = reader.read
                publisher.publish(self._selected(selector, reader, batch))
                self._settle(publisher, reader, all=not batch)
                if on_progress is not None:
                    on_progress(self.counter.count("published"))
            self._settle(publisher, reader, all=True)
        self._notes = reader.notes

    def _remaining(self, reader: QueueReader) -> int:
        ready = self._info.ready - reader.read
        return ready if self._limit is None else min(ready, self._limit - self._sent)

    def _selected(
        self, selector: Selector, reader: QueueReader, batch: list[Delivery]
    ) -> Iterator[tuple[int, Destination, bytes]]:
        decisions = selector.decide([delivery.message for delivery in batch])
        for delivery, decision in zip(batch, decisions, strict=True):
            if isinstance(decision, Kept):
                reader.requeue_later(delivery)
                self.counter.add(decision)
            else:
                self._sent += 1
                self._in_flight[delivery.tag] = delivery
                self._redelivered += delivery.message.redelivered
                yield delivery.tag, decision, delivery.message.body

    def _while_waiting(self, publisher: Publisher, reader: QueueReader) -> None:
        self._settle(publisher, reader)
        reader.keep_alive()

    def _settle(self, publisher: Publisher, reader: QueueReader, all: bool = False) -> None:
        safe = []
        for tag, to, result in publisher.settled(all=all):
            self.counter.settle(to, result)
            delivery = self._in_flight.pop(tag)
            if result == "published":
                safe.append(tag)
            else:
                reader.requeue_later(delivery)
        if safe:
            reader.acknowledge(safe)


def _require_queue(settings: Settings, target: Target) -> None:
    """Raises `ActionError` where the target is a queue that does not exist: every message would be unroutable."""
    if target.exchange != "" or target.routing_key is None:
        return
    with short_connection(settings, "look") as connection:
        if depth(connection, target.routing_key) is None:
            raise ActionError(f"no queue {target.routing_key!r} in virtual host {settings.vhost!r} to move to")
