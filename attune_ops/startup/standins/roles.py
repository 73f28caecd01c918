"""The four stand-ins: how they handle messages, what each publishes on its own, and what follows from a message."""

from __future__ import annotations

import time
from collections import deque
from datetime import UTC, datetime
from typing import Any, NamedTuple

from attune_ops.installation.registry_read import read_registry
from attune_ops.installation.registry_session import session
from attune_ops.model.envelope import Envelope, NotAnEnvelope, parse
from attune_ops.model.errors import SourceError
from attune_ops.model.facts import Facts
from attune_ops.model.topology import Consumer
from attune_ops.startup.standins.job import Answer
from attune_ops.startup.standins.publishing import EnvelopePublisher, Pace, number_of
from attune_ops.startup.standins.standin import TICK_S, StandIn

REGISTRY_AGE_S = 1.0  # the longest time that the executor uses its list of workers
PUBLISHED = {
    "sensor": "EventCreated", "notifier": "NotificationCreated", "api": "EventCreated", "supervisor": "EventCreated",
}  # fmt: skip
ACTION: dict[str, Any] = {"action_ref": "core.echo", "action_id": None, "config": {}}


class PendingMessage(NamedTuple):
    """A message that was received and is neither acknowledged nor rejected yet."""

    channel: Any
    delivery_tag: int
    message_id: str | None
    envelope: Envelope | None
    consumer: Consumer | None
    queue: str

    @property
    def log_members(self) -> dict[str, Any]:
        """The members that identify the message in the log; its number is None where no stand-in sent it."""
        number = number_of(self.envelope) if self.envelope else None
        return {"message_id": self.message_id, "number": number, "queue": self.queue}


class MessageHandler(StandIn):
    """Handles up to `concurrency` messages at once, or as many as the topology's consumer does; others wait.

    It acknowledges as the topology's consumer does: after handling, or at dispatch. What it acknowledged at dispatch it
    handles to its end, also where the connection is lost meanwhile, and at a clean stop for at most `GRACE_S`.

    A subclass defines in `follow` what it does with a message. A body that is no envelope is rejected, as Attune does.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._waiting: deque[PendingMessage] = deque()
        self._busy = 0
        self._dispatched: list[PendingMessage] = []  # acknowledged, and not handled yet

    def follow(self, publisher: EnvelopePublisher, envelope: Envelope) -> Answer:
        """Publishes what follows from a message, and returns the answer to the message itself."""
        return "ack"

    def on_message(self, channel: Any, method: Any, properties: Any, body: bytes) -> None:
        """Queues one message for handling."""
        envelope, error = None, None
        try:
            envelope = parse(body)
        except NotAnEnvelope as e:
            error = str(e)
        own = next((c for c in self.service.state.consumers if c.tag == method.consumer_tag), None)
        message = PendingMessage(
            channel,
            method.delivery_tag,
            properties.message_id,
            envelope,
            own and own.consumer,
            own.queue if own else "",
        )
        self.log.write(
            "received",
            **message.log_members,
            message_type=envelope.message_type if envelope else None,
            tag=method.consumer_tag,
            routing_key=method.routing_key,
            redelivered=method.redelivered,
        )
        if error is not None:
            self.log.write("undecodable", **message.log_members, text=error)
            self._answer(message, "reject")
        elif self._answer_to(message) == "lose":
            self._answer(message, "lose")
        else:
            self._waiting.append(message)
            self._work()

    def on_lost(self) -> None:
        """Drops what was not acknowledged: the broker has requeued it."""
        self._waiting.clear()
        self._busy = len(self._dispatched)

    def on_ready(self) -> None:
        """Handles what was acknowledged before the connection was lost."""
        for message in self._dispatched:
            self._handle(message)

    @property
    def unfinished(self) -> bool:
        """Whether something is acknowledged and not handled yet."""
        return bool(self._dispatched)

    def _work(self) -> None:
        while self._waiting and not self.stopping and self._busy < self._at_once(self._waiting[0]):
            message = self._waiting.popleft()
            self._busy += 1
            at_dispatch = message.consumer is not None and message.consumer.acknowledges == "at-dispatch"
            if at_dispatch and self._answer_to(message) == "ack" and self._answer(message, "ack", before_handling=True):
                self._dispatched.append(message)
            self._handle(message)

    def _at_once(self, message: PendingMessage) -> int:
        """How many messages may be handled at once where this is the next one."""
        topology = message.consumer.at_once if message.consumer else None
        return min(self.behaviour.concurrency, topology or self.behaviour.concurrency)

    def _handle(self, message: PendingMessage) -> None:
        if self.behaviour.handler_s:
            self.service.state.connection.call_later(self.behaviour.handler_s, lambda: self._handled(message))
        else:
            self._handled(message)

    def _handled(self, message: PendingMessage) -> None:
        self._busy -= 1
        answer = self._answer_to(message)
        if answer == "ack" and message.envelope is not None and self.publisher is not None:
            answer = self.follow(self.publisher, message.envelope)
        if answer != "hold":
            self.log.write("handled", **message.log_members)
        if message in self._dispatched:
            self._dispatched.remove(message)
        elif answer != "hold":
            self._answer(message, answer)
        self._work()

    def _answer_to(self, message: PendingMessage) -> Answer:
        b = self.behaviour
        return b.outcome if not b.only or message.log_members["number"] in b.only else "ack"

    def _answer(self, message: PendingMessage, answer: Answer, *, before_handling: bool = False) -> bool:
        """Acknowledges, rejects or requeues one message, on the channel that delivered it; False where that is gone."""
        if not message.channel.is_open:
            return False  # the broker has requeued its deliveries
        if answer in ("ack", "lose"):
            message.channel.basic_ack(message.delivery_tag)
            self.log.write("acked", **message.log_members, before_handling=before_handling)
        else:
            message.channel.basic_nack(message.delivery_tag, requeue=answer == "requeue")
            self.log.write("requeued" if answer == "requeue" else "rejected", **message.log_members)
        return True


class WorkerStandIn(MessageHandler):
    """Handles executions and reports their status and completion, where the topology has a worker publish that."""

    def follow(self, publisher: EnvelopePublisher, envelope: Envelope) -> Answer:
        """Reports an execution as running and then completed."""
        number = number_of(envelope)
        if envelope.message_type == "ExecutionRequested" and number is not None:
            publisher.send("ExecutionStatusChanged", number, cause=envelope, status="running")
            publisher.send("ExecutionCompleted", number, cause=envelope, status="completed")
        return "ack"


class PublisherStandIn(MessageHandler):
    """Publishes events or notifications at a steady rate, where the topology has this service publish them."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._pace = Pace(self.behaviour.rate, self.behaviour.count, self.behaviour.first)

    def act(self, publisher: EnvelopePublisher) -> float:
        """Publishes the next message when it is due."""
        number = self._pace.due(time.monotonic())
        if number is not None:
            self.publish(publisher, number)
        return self._pace.wait(time.monotonic(), TICK_S)

    def publish(self, publisher: EnvelopePublisher, number: int) -> None:
        """Publishes one message."""
        publisher.send(PUBLISHED[self.job.service], number)


class ExecutorStandIn(PublisherStandIn):
    """Turns events into enforcements, enforcements into executions, and sends each execution to one live worker.

    A dispatch that is returned as unroutable is logged, and its request acknowledged, as a publisher without
    `mandatory` would do. With `redispatch` the execution is sent to the next worker.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._turn = 0
        self._workers = self.behaviour.targets
        self._read_at = float("-inf")

    def publish(self, publisher: EnvelopePublisher, number: int) -> None:
        """Publishes a request for an execution to its own queue, or with `direct` an execution to a worker."""
        if self.behaviour.direct:
            self._dispatch(publisher, number, None)
        else:
            publisher.send("ExecutionRequested", number, **ACTION)

    def follow(self, publisher: EnvelopePublisher, envelope: Envelope) -> Answer:
        """Publishes the enforcement of an event, the execution of an enforcement, or dispatches an execution."""
        number = number_of(envelope)
        match envelope.message_type:
            case "EventCreated":
                publisher.send("EnforcementCreated", number, cause=envelope)
            case "EnforcementCreated":
                publisher.send("ExecutionRequested", number, cause=envelope, **ACTION)
            case "ExecutionRequested":
                return "ack" if self._dispatch(publisher, number, envelope) else "reject"
        return "ack"

    def _dispatch(self, publisher: EnvelopePublisher, number: int | None, cause: Envelope | None) -> bool:
        """Sends one execution to one worker; False where there is no live worker."""
        workers = self._live_workers()
        if not workers:
            self.log.write("no_worker", number=number)
            return False
        for _ in range(len(workers) if self.behaviour.redispatch else 1):
            worker_id = workers[self._turn % len(workers)]
            self._turn += 1
            if publisher.send("ExecutionRequested", number, worker_id=worker_id, cause=cause, **ACTION) == "confirmed":
                break
        return True

    def _live_workers(self) -> tuple[int, ...]:
        """The ids of the live, uncordoned workers in the registry; the last known ones where it does not answer."""
        now, database = time.monotonic(), self.settings.database
        if self.behaviour.targets or database is None or now - self._read_at < REGISTRY_AGE_S:
            return self._workers
        self._read_at = now
        try:
            with session(database, self.settings.timeout) as s:
                registry = read_registry(s, stale_after=self.settings.stale_after, executions=False)
        except SourceError as e:
            self.log.write("registry_failed", text=str(e))
            return self._workers
        live = Facts(self.settings.topology, datetime.now(UTC), registry=registry).live_workers
        self._workers = tuple(w.id for w in live if not w.cordoned)
        return self._workers


STAND_INS: dict[str, type[MessageHandler]] = {
    "worker": WorkerStandIn,
    "executor": ExecutorStandIn,
    "sensor": PublisherStandIn,
    "notifier": PublisherStandIn,
    "api": PublisherStandIn,
    "supervisor": PublisherStandIn,
}
