"""How a stand-in handles what its consumers are given: so many at once, each answered once."""

from __future__ import annotations

from collections import deque
from typing import Any, NamedTuple

from attune_ops.model.envelope import Envelope, NotAnEnvelope, parse
from attune_ops.startup.standins.job import Outcome
from attune_ops.startup.standins.publishing import Publisher, number_of
from attune_ops.startup.standins.standin import StandIn


class Taken(NamedTuple):
    """A message that was received and is not answered yet."""

    channel: Any
    delivery_tag: int
    message_id: str | None
    envelope: Envelope | None
    queue: str

    @property
    def said(self) -> dict[str, Any]:
        """What names the message in the log; its number is None where no stand-in sent it."""
        number = number_of(self.envelope) if self.envelope else None
        return {"message_id": self.message_id, "number": number, "queue": self.queue}


class Handling(StandIn):
    """Handles as many messages at once as its concurrency says; the others that it was given wait.

    A subclass says in `follow` what comes of a message. A body that does not decode is rejected, as Attune does.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._waiting: deque[Taken] = deque()
        self._busy = 0

    def follow(self, publisher: Publisher, envelope: Envelope) -> Outcome:
        """Publishes what follows from a message, and says what becomes of the message itself."""
        return "ack"

    def on_message(self, channel: Any, method: Any, properties: Any, body: bytes) -> None:
        """Takes one message into the line."""
        envelope, complaint = _parsed(body)
        taken = Taken(
            channel, method.delivery_tag, properties.message_id, envelope, self._queue_of(method.consumer_tag)
        )
        self.journal.write(
            "received",
            **taken.said,
            message_type=envelope.message_type if envelope else None,
            tag=method.consumer_tag,
            routing_key=method.routing_key,
            redelivered=method.redelivered,
        )
        if complaint is not None:
            self.journal.write("undecodable", **taken.said, text=complaint)
            self._answer(taken, "reject")
        elif self._wanted(taken) == "lose":
            self._answer(taken, "lose")
        else:
            self._waiting.append(taken)
            self._work()

    def on_lost(self) -> None:
        """Forgets what was under way: the broker has given it back to its queues."""
        self._waiting.clear()
        self._busy = 0

    def _work(self) -> None:
        while self._waiting and self._busy < self.behaviour.concurrency:
            taken = self._waiting.popleft()
            self._busy += 1
            if self.behaviour.handler_s:
                self.service.connection.call_later(self.behaviour.handler_s, lambda t=taken: self._handled(t))
            else:
                self._handled(taken)

    def _handled(self, taken: Taken) -> None:
        self._busy -= 1
        outcome = self._wanted(taken)
        if outcome == "ack" and taken.envelope is not None and self.publisher is not None:
            outcome = self.follow(self.publisher, taken.envelope)
        if outcome != "hold":
            self.journal.write("handled", **taken.said)
            self._answer(taken, outcome)
        self._work()

    def _wanted(self, taken: Taken) -> Outcome:
        b = self.behaviour
        return b.outcome if not b.only or taken.said["number"] in b.only else "ack"

    def _answer(self, taken: Taken, outcome: Outcome) -> None:
        """Acknowledges, rejects or requeues one message, on the channel that it came on."""
        if not taken.channel.is_open:
            return  # its deliveries have gone back to the queue with it
        if outcome in ("ack", "lose"):
            taken.channel.basic_ack(taken.delivery_tag)
            self.journal.write("acked", **taken.said)
        else:
            taken.channel.basic_nack(taken.delivery_tag, requeue=outcome == "requeue")
            self.journal.write("requeued" if outcome == "requeue" else "rejected", **taken.said)

    def _queue_of(self, tag: str) -> str:
        return next((a.queue for a in self.service.attached if a.tag == tag), "")


def _parsed(body: bytes) -> tuple[Envelope | None, str | None]:
    """The envelope, or the complaint about it."""
    try:
        return parse(body), None
    except NotAnEnvelope as e:
        return None, str(e)
