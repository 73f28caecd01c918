"""What stand-ins publish: envelopes, routed by the topology's table of publishers, each with its outcome in the log."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from attune_ops.installation.amqp_write import asking, publish
from attune_ops.model.envelope import CONTENT_TYPE, Envelope, build
from attune_ops.model.topology import Publish, Topology
from attune_ops.startup.standins.job import EventLog, Job

if TYPE_CHECKING:
    from pika import BlockingConnection

# The member of a payload that holds the message's number, by the prefix of its type.
_NUMBERED = (("Execution", "execution_id"), ("Enforcement", "enforcement_id"), ("Event", "event_id"))

PERSISTENT, TRANSIENT = 2, 1


def number_field(message_type: str) -> str:
    """The member of the payload that holds the number of such a message."""
    return next((field for prefix, field in _NUMBERED if message_type.startswith(prefix)), "id")


def number_of(envelope: Envelope) -> int | None:
    """The number of a message, or None for one that no stand-in sent."""
    number = envelope.payload.get(number_field(envelope.message_type))
    return number if isinstance(number, int) else None


def route(topology: Topology, service: str, message_type: str, worker_id: int | None = None) -> Publish | None:
    """Where `service` publishes this type, to one worker or to none in particular; None where it does not."""
    for entry, one in topology.publishes_of(() if worker_id is None else (worker_id,)):
        if one == worker_id and entry.message_type == message_type and {service, "any"} & set(entry.by):
            return entry
    return None


class EnvelopePublisher:
    """Publishes mandatory messages with publisher confirms on its own channel; logs one outcome for each."""

    def __init__(self, connection: BlockingConnection, job: Job, log: EventLog, ids: random.Random) -> None:
        self.service, self.behaviour, self.topology, self.log = job.service, job.behaviour, job.settings.topology, log
        self._ids = ids
        with asking("opening a channel for publishing"):
            self._channel = connection.channel()
            self._channel.confirm_delivery()

    def send(
        self,
        message_type: str,
        number: int | None,
        *,
        worker_id: int | None = None,
        cause: Envelope | None = None,
        **payload: Any,
    ) -> str | None:
        """Publishes one message where the topology says; returns its outcome, or None where the service does not.

        Raises `BrokerRefused` where no confirm came: the message is then `indeterminate` in the log.
        """
        found = route(self.topology, self.service, message_type, worker_id)
        if found is None:
            return None
        envelope = self._envelope(message_type, number, cause, payload)
        about = {
            "message_id": envelope.message_id, "number": number, "message_type": message_type,
            "exchange": found.exchange, "routing_key": found.routing_key, "correlation_id": envelope.correlation_id,
        }  # fmt: skip
        self.log.write("attempted", **about)
        outcome = "indeterminate"
        try:
            outcome = publish(
                self._channel, found.exchange, found.routing_key, envelope.encode(), self._properties(envelope)
            )
        finally:  # each attempt has one outcome, also where the wait for it is interrupted
            self.log.write(outcome, **about)
        return outcome

    def _envelope(
        self, message_type: str, number: int | None, cause: Envelope | None, payload: dict[str, Any]
    ) -> Envelope:
        payload = {number_field(message_type): number, **payload}
        if self.behaviour.padding:
            payload["padding"] = "x" * self.behaviour.padding
        message_id = UUID(int=self._ids.getrandbits(128), version=4)
        return build(
            message_type, payload, message_id=message_id, at=datetime.now(UTC), source=self.service, cause=cause
        )

    def _properties(self, envelope: Envelope) -> Any:
        from pika import BasicProperties

        return BasicProperties(
            content_type=CONTENT_TYPE,
            delivery_mode=TRANSIENT if self.behaviour.transient else PERSISTENT,
            message_id=str(envelope.message_id),
            correlation_id=str(envelope.correlation_id),
            timestamp=int(envelope.timestamp.timestamp()),
        )


class Pace:
    """When the next message is due at a steady rate, and when all of them are sent."""

    def __init__(self, rate: float, count: int | None, first: int) -> None:
        self._interval = 1 / rate if rate > 0 else None
        self._left = count
        self._next_at: float | None = None
        self.number = first

    def due(self, now: float) -> int | None:
        """The number of the message that is due now, or None; counts it as sent."""
        if self._interval is None or self._left == 0:
            return None
        if self._next_at is None:
            self._next_at = now
        if now < self._next_at:
            return None
        self._next_at = max(self._next_at + self._interval, now - 1)  # at most 1 s of backlog after a pause
        self._left = None if self._left is None else self._left - 1
        self.number += 1
        return self.number - 1

    def wait(self, now: float, longest: float) -> float:
        """The seconds until the next one is due, at most `longest`."""
        if self._interval is None or self._left == 0 or self._next_at is None:
            return longest
        return max(0.0, min(longest, self._next_at - now))
