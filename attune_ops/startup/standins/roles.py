"""The four stand-ins: what each does on its own, and what follows from a message that it handled."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

from attune_ops.installation.registry_read import read_registry, session
from attune_ops.model.envelope import Envelope
from attune_ops.model.errors import SourceError
from attune_ops.model.facts import Facts
from attune_ops.startup.standins.consumer import Handling
from attune_ops.startup.standins.job import Outcome
from attune_ops.startup.standins.publishing import Pace, Publisher, number_of
from attune_ops.startup.standins.standin import TICK_S

REGISTRY_AGE_S = 1.0  # how old what the scheduler knows of the workers may be
ACTION: dict[str, Any] = {"action_ref": "core.echo", "action_id": None, "config": {}}


class Worker(Handling):
    """Takes executions and reports their status and end, where the topology has a worker publish that."""

    def follow(self, publisher: Publisher, envelope: Envelope) -> Outcome:
        """Reports an execution as running and then completed."""
        number = number_of(envelope)
        if envelope.message_type == "ExecutionRequested" and number is not None:
            publisher.send("ExecutionStatusChanged", number, cause=envelope, status="running")
            publisher.send("ExecutionCompleted", number, cause=envelope, status="completed")
        return "ack"


class Source(Handling):
    """Publishes one kind of message at a steady rate, where the topology has this service publish it."""

    message_type = ""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._pace = Pace(self.behaviour.rate, self.behaviour.count, self.behaviour.first)

    def act(self, publisher: Publisher) -> float:
        """Publishes the next message where it is due."""
        number = self._pace.due(time.monotonic())
        if number is not None:
            self.publish(publisher, number)
        return self._pace.wait(time.monotonic(), TICK_S)

    def publish(self, publisher: Publisher, number: int) -> None:
        """Publishes one message."""
        publisher.send(self.message_type, number)


class Sensor(Source):
    """Publishes events."""

    message_type = "EventCreated"


class Notifier(Source):
    """Publishes notifications."""

    message_type = "NotificationCreated"


class Executor(Source):
    """Turns events into enforcements, those into executions, and sends each of these to one live worker.

    A dispatch that comes back (no queue took it) is logged and its request acknowledged: whoever publishes
    without `mandatory` would not even know. With `redispatch` the next worker gets it.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._turn = 0
        self._workers = self.behaviour.targets
        self._read_at = float("-inf")

    def publish(self, publisher: Publisher, number: int) -> None:
        """Requests an execution of itself, or sends it straight to a worker."""
        if self.behaviour.direct:
            self._dispatch(publisher, number, None)
        else:
            publisher.send("ExecutionRequested", number, **ACTION)

    def follow(self, publisher: Publisher, envelope: Envelope) -> Outcome:
        """Takes an event, enforcement or execution one step further."""
        number = number_of(envelope)
        match envelope.message_type:
            case "EventCreated":
                publisher.send("EnforcementCreated", number, cause=envelope)
            case "EnforcementCreated":
                publisher.send("ExecutionRequested", number, cause=envelope, **ACTION)
            case "ExecutionRequested":
                return "ack" if self._dispatch(publisher, number, envelope) else "reject"
        return "ack"

    def _dispatch(self, publisher: Publisher, number: int | None, cause: Envelope | None) -> bool:
        """Sends one execution to one worker; False where there is no worker to send it to."""
        workers = self._live_workers()
        if not workers:
            self.journal.write("no_worker", number=number)
            return False
        for _ in range(len(workers) if self.behaviour.redispatch else 1):
            worker_id = workers[self._turn % len(workers)]
            self._turn += 1
            if publisher.send("ExecutionRequested", number, worker_id=worker_id, cause=cause, **ACTION) == "confirmed":
                break
        return True

    def _live_workers(self) -> tuple[int, ...]:
        """The ids of the workers that may get work, as the registry tells; the last known where it does not answer."""
        now, database = time.monotonic(), self.settings.database
        if self.behaviour.targets or database is None or now - self._read_at < REGISTRY_AGE_S:
            return self._workers
        self._read_at = now
        try:
            with session(database, self.settings.timeout) as s:
                registry = read_registry(s, heartbeat_interval=self.settings.heartbeat_interval, executions=False)
        except SourceError as e:
            self.journal.write("registry_failed", text=str(e))
            return self._workers
        live = Facts(self.settings.topology, datetime.now(UTC), registry=registry).live_workers
        self._workers = tuple(w.id for w in live if not w.cordoned)
        return self._workers


KINDS: dict[str, type[Handling]] = {
    "worker": Worker,
    "executor": Executor,
    "sensor": Sensor,
    "notifier": Notifier,
}
