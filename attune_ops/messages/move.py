"""Moving messages from a queue: the source is acknowledged only when the broker has confirmed the copy."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from attune_ops.installation import audit
from attune_ops.installation.amqp import depth, short_connection
from attune_ops.installation.config import Settings
from attune_ops.messages import raw_amqp
from attune_ops.messages.publisher import WINDOW, Publisher, open_publisher
from attune_ops.messages.queue_state import Seen, look
from attune_ops.messages.replay import Destination, Target
from attune_ops.messages.selection import EVERYTHING, Choice, Chooser, Left, Tally, asking_registry
from attune_ops.messages.taker import BATCH, Source, Taken, open_source
from attune_ops.messages.transfer import Transfer
from attune_ops.model.errors import ActionError, ConfigError
from attune_ops.model.units import counted

NEVER_DIED = (
    "what never died has nowhere to go back to: --apply leaves it in the queue, counts it and ends with status 1"
)


def move(
    settings: Settings,
    queue: str,
    choice: Choice = EVERYTHING,
    *,
    limit: int | None = None,
    rate: float | None = None,
    prefetch: int = WINDOW + BATCH,
    apply: bool = False,
    confirm: str | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> Transfer:
    """Publishes the messages of `queue` elsewhere, as mandatory and confirmed, and takes them away from it.

    It moves at most as many as were there at the beginning, so what comes back is not moved again. Killed at any
    moment it loses none; what was confirmed and not yet acknowledged (at most WINDOW + BATCH messages) is then
    in both places. What no queue takes, or something speaks against, stays. Without `apply` says what it would do.
    Undo: move them back. Raises `ActionError`, or `SourceError` where the connection breaks.
    """
    if (choice.target.exchange, choice.target.routing_key) == ("", queue):
        raise ConfigError(f"queue {queue!r} is both where messages come from and where they go")
    began = time.perf_counter()
    back = choice.target.dead_only
    seen = look(settings, queue)
    _require_queue(settings, choice.target)
    run = _Run(settings, seen, limit)
    with asking_registry(settings, choice) as (ended_of, note):
        if apply:
            detail = {"to": choice.target.words, "filters": [f.text for f in choice.filters]}
            with audit.change(settings, "messages move", queue, confirm=confirm, **detail) as outcome:
                try:
                    with raw_amqp.telling(lambda: f"{run.tally.were_published} moved", ", the others are still there"):
                        run.publish(Chooser(settings, choice, ended_of), rate, prefetch, on_progress)
                finally:
                    outcome |= run.tally.by_fate
        else:
            most = seen.ready if limit is None else min(limit, seen.ready)
            run.tally.add_many("published", most, "")
    return Transfer(
        what="move",
        source=queue,
        target=choice.target.words,
        applied=apply,
        at_most=not apply,
        shares=run.tally.shares,
        taken_at=datetime.now(UTC),
        duration_ms=(time.perf_counter() - began) * 1000,
        notes=(
            *([note] if note else []),
            *([NEVER_DIED] if back and not apply else []),
            *seen.notes(held=not apply or run.gives_back),
            *run.notes,
        ),
    )


class _Run:
    """One move of at most `limit` messages, out of those that were there at the beginning."""

    def __init__(self, settings: Settings, seen: Seen, limit: int | None) -> None:
        self.tally = Tally()
        self._settings, self._seen, self._limit = settings, seen, limit
        self._redelivered = self._taken = self._sent = 0
        self._flying: dict[int, Taken] = {}
        self._notes: tuple[str, ...] = ()

    @property
    def gives_back(self) -> bool:
        """Whether some of what was taken stayed."""
        return self.tally.count("published") < self._taken

    @property
    def notes(self) -> tuple[str, ...]:
        """What became of messages besides, and what is not known of those that a killed move may have published."""
        if not self._redelivered:
            return self._notes
        before = counted(self._redelivered, "message", "messages")
        twice = f"{before} had been handed out before: if to a move that was killed, they are there twice"
        return (*self._notes, twice)

    def publish(
        self, chooser: Chooser, rate: float | None, prefetch: int, on_progress: Callable[[int], None] | None
    ) -> None:
        """Moves batch by batch."""
        few = self._limit is not None and self._limit <= prefetch
        with (
            open_publisher(self._settings, rate) as publisher,
            open_source(self._settings, self._seen, prefetch=prefetch, few=few) as source,
            publisher.hurrying(lambda: self._settle(publisher, source)),
        ):
            while (wanted := self._wanted(source)) > 0 and not source.empty:
                batch = source.more(wanted)
                self._taken = source.taken
                publisher.publish(self._going(chooser, source, batch))
                self._settle(publisher, source, all=not batch)
                if on_progress is not None:
                    on_progress(self.tally.count("published"))
            self._settle(publisher, source, all=True)
        self._notes = source.notes

    def _wanted(self, source: Source) -> int:
        left = self._seen.ready - source.taken
        return left if self._limit is None else min(left, self._limit - self._sent)

    def _going(self, chooser: Chooser, source: Source, batch: list[Taken]) -> Iterator[tuple[int, Destination, bytes]]:
        decisions = chooser.choose([taken.message for taken in batch])
        for taken, decision in zip(batch, decisions, strict=True):
            if isinstance(decision, Left):
                source.hold(taken)
                self.tally.add(decision)
            else:
                self._sent += 1
                self._flying[taken.tag] = taken
                self._redelivered += taken.message.redelivered
                yield taken.tag, decision, taken.message.body

    def _settle(self, publisher: Publisher, source: Source, all: bool = False) -> None:
        safe = []
        for tag, to, outcome in publisher.settled(all=all):
            self.tally.settle(to, outcome)
            taken = self._flying.pop(tag)
            if outcome == "published":
                safe.append(tag)
            else:
                source.hold(taken)
        if safe:
            source.acknowledge(safe)


def _require_queue(settings: Settings, target: Target) -> None:
    """Raises `ActionError` where the target is a queue that is not there: every message would be returned."""
    if target.exchange != "" or target.routing_key is None:
        return
    with short_connection(settings, "look") as connection:
        if depth(connection, target.routing_key) is None:
            raise ActionError(f"there is no queue {target.routing_key!r} to move to in {settings.vhost!r}")
