"""What is recorded while a drill runs: its events, and the depth of the queues over a connection of its own."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from attune_ops.drills.journal import DepthSample, Event, EventKind
from attune_ops.installation.amqp import Depth, close, depth, open_connection
from attune_ops.installation.config.settings import Settings
from attune_ops.model.errors import AttuneOpsError, SourceError

if TYPE_CHECKING:
    from pika import BlockingConnection

INTERVAL_S = 0.2
TIMEOUT_S = 3.0
ANSWER_S = 5.0


class DrillLog:
    """The steps, faults and undos of a drill, with their times."""

    def __init__(self, on_event: Callable[[Event], None]) -> None:
        self.events: list[Event] = []
        self._began, self._on_event = time.monotonic(), on_event

    @property
    def now_ms(self) -> float:
        """Milliseconds since the drill began."""
        return round((time.monotonic() - self._began) * 1000)

    def add(self, text: str, kind: EventKind = "step") -> None:
        """Adds a step, fault or undo to the journal."""
        self.events.append(Event(self.now_ms, kind, text))
        self._on_event(self.events[-1])


class Sampler:
    """Reads the depth of queues, keeps each change as a sample, and remembers which queues disappeared."""

    def __init__(self, settings: Settings, log: DrillLog) -> None:
        self.settings = settings
        self.queues: list[str] = []
        self.samples: list[DepthSample] = []
        self.disappeared: set[str] = set()
        self._existing: set[str] = set()
        self._log = log
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
            self._existing.add(queue)
        elif queue in self._existing:
            self.disappeared.add(queue)
        return found

    def sample(self) -> None:
        """Takes a sample of all watched queues where one is due."""
        if time.monotonic() < self._next or not self.queues:
            return
        found: list[Depth | None] = []
        with contextlib.suppress(AttuneOpsError):
            found = [self.depth(q) for q in self.queues]
        self._next = time.monotonic() + INTERVAL_S
        if found:
            messages = tuple(d.messages if d else None for d in found)
            consumers = tuple(d.consumers if d else None for d in found)
            last = self.samples[-1] if self.samples else None
            if last is None or (last.messages, last.consumers) != (messages, consumers):
                self.samples.append(DepthSample(self._log.now_ms, messages, consumers))

    @property
    def padded(self) -> tuple[DepthSample, ...]:
        """The samples, all with the same number of queues: the later ones have more."""

        def pad(values: tuple[int | None, ...]) -> tuple[int | None, ...]:
            return values + (None,) * (len(self.queues) - len(values))

        return tuple(DepthSample(s.at_ms, pad(s.messages), pad(s.consumers)) for s in self.samples)

    def watch(self, *queues: str) -> None:
        """Adds queues to those that are sampled."""
        self.queues += [q for q in queues if q not in self.queues]

    def close(self) -> None:
        """Closes the connection; the next reading opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            close(connection)

    def _open(self) -> BlockingConnection:
        if self._connection is None or not self._connection.is_open:
            self.close()
            self._connection = open_connection(
                self.settings.amqp, name="attune-ops drill", timeout=TIMEOUT_S, tls=self.settings.tls,
                heartbeat=6,
            )  # fmt: skip
        return self._connection
