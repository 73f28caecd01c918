"""Looking at the queues while a drill runs: live, over a connection of its own, each change kept as a sample."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from attune_ops.drills.journal import Course, Sample
from attune_ops.installation.amqp import Depth, depth, open_connection
from attune_ops.installation.config.settings import Settings
from attune_ops.model.errors import AttuneOpsError, SourceError

if TYPE_CHECKING:
    from pika import BlockingConnection

EVERY_S = 0.2
TIMEOUT_S = 3.0
ANSWER_S = 5.0
FOLLOW_S = 0.5  # how often who follows a drill is told how it goes

Follow = Callable[[Course], None]


class Eye:
    """Asks the broker for the depth of queues, and remembers which were seen and then were missing."""

    def __init__(self, settings: Settings, began: float) -> None:
        self.settings = settings
        self.queues: list[str] = []
        self.samples: list[Sample] = []
        self.vanished: set[str] = set()
        self._seen: set[str] = set()
        self._began = began
        self._next = 0.0
        self._connection: BlockingConnection | None = None

    def depth(self, queue: str) -> Depth | None:
        """Ready messages and consumers, None where the queue is missing; raises `SourceError` without an answer."""
        import pika.exceptions

        try:
            found = depth(self._open(), queue, timeout=ANSWER_S)
        except (pika.exceptions.AMQPError, OSError) as e:
            self.close()
            raise SourceError(f"the broker does not answer: {type(e).__name__}") from None
        if found is not None:
            self._seen.add(queue)
        elif queue in self._seen:
            self.vanished.add(queue)
        return found

    def look(self) -> None:
        """Takes a sample of all watched queues where one is due."""
        if time.monotonic() < self._next or not self.queues:
            return
        found: list[Depth | None] = []
        with contextlib.suppress(AttuneOpsError):
            found = [self.depth(q) for q in self.queues]
        self._next = time.monotonic() + EVERY_S
        if found:
            sample = Sample(
                round((time.monotonic() - self._began) * 1000),
                tuple(d.messages if d else None for d in found),
                tuple(d.consumers if d else None for d in found),
            )
            last = self.samples[-1] if self.samples else None
            if last is None or (last.messages, last.consumers) != (sample.messages, sample.consumers):
                self.samples.append(sample)

    @property
    def evened(self) -> tuple[Sample, ...]:
        """The samples, all with the same number of queues: the later ones have more."""

        def padded(values: tuple[int | None, ...]) -> tuple[int | None, ...]:
            return values + (None,) * (len(self.queues) - len(values))

        return tuple(Sample(s.at_ms, padded(s.messages), padded(s.consumers)) for s in self.samples)

    def watch(self, *queues: str) -> None:
        """Adds queues to those that are sampled."""
        self.queues += [q for q in queues if q not in self.queues]

    def close(self) -> None:
        """Closes the connection; the next look opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):
                connection.close()

    def _open(self) -> BlockingConnection:
        if self._connection is None or self._connection.is_closed:
            self._connection = open_connection(
                self.settings.amqp, name="attune-ops drill", timeout=TIMEOUT_S, ca_file=self.settings.ca_file,
                heartbeat=6,
            )  # fmt: skip
        return self._connection
