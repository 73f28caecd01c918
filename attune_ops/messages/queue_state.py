"""What is known of a queue before messages are taken from it, and what taking them changes besides."""

from __future__ import annotations

import msgspec

from attune_ops.installation.amqp import depth, server_version, short_connection
from attune_ops.installation.config import Settings
from attune_ops.installation.management import open_management
from attune_ops.installation.management_types import OneQueue
from attune_ops.model.errors import ActionError, SourceError
from attune_ops.model.units import counted


class Seen(msgspec.Struct, frozen=True):
    """One queue, now. What only the management API tells is None where that does not answer; `unknown` says why."""

    name: str
    ready: int
    consumers: int
    type: str | None = None
    auto_delete: bool | None = None
    delivery_limit: int | None = None  # a quorum queue's; a message given back after so many deliveries is given up
    unknown: str = ""

    @property
    def may_consume(self) -> bool:
        """Whether a consumer may be attached: an auto-delete queue would go with it, messages included."""
        return self.auto_delete is False

    @property
    def company(self) -> tuple[str, ...]:
        """Who else takes messages from it, or nothing."""
        others = counted(self.consumers, "consumer")
        return (f"messages also go to {others} of the queue meanwhile",) if self.consumers else ()

    def notes(self, held: bool) -> tuple[str, ...]:
        """What taking messages changes, and whom it meets; `held` says that some are given back."""
        found: list[str] = []
        if self.unknown:
            found.append(f"not known whether the queue is auto-delete ({self.unknown}): taken one by one, slowly")
        elif self.auto_delete:
            found.append("an auto-delete queue goes with its last consumer: taken one by one, without a consumer")
        found += self.company
        if held:
            found.append("what is given back keeps its place and is marked redelivered")
            if self.type == "quorum":
                found.append("a quorum queue counts a delivery for each that is given back (not from 4.3 on)")
            if self.delivery_limit is not None:
                found.append(
                    f"one that was delivered {self.delivery_limit} times, the queue's limit, is put at its end instead"
                )
        return tuple(found)


def look(settings: Settings, queue: str) -> Seen:
    """Reads what is known of a queue; needs tag management for all of it, changes nothing.

    Raises `ActionError` where there is no such queue, or it is a stream, whose messages cannot be taken away.
    """
    with short_connection(settings, "look") as connection:
        live, version = depth(connection, queue), server_version(connection) or ""
    if live is None:
        raise ActionError(f"there is no queue {queue!r} in virtual host {settings.vhost!r}; `attune-ops queues`")
    management = open_management(settings)
    try:
        told = management.queue(queue)
    except SourceError as e:
        return Seen(queue, live.messages, live.consumers, delivery_limit=_default_limit(version), unknown=str(e))
    finally:
        management.close()
    if told is None:
        return Seen(queue, live.messages, live.consumers, unknown="the management API does not list it")
    type = told.type.removeprefix("rabbit_").removesuffix("_queue")
    if type == "stream":
        raise ActionError(f"queue {queue!r} is a stream: reading takes nothing away, and what is in it expires")
    limit = _limit(told, version) if type == "quorum" else None
    return Seen(queue, live.messages, live.consumers, type, told.auto_delete, limit)


def _limit(queue: OneQueue, version: str) -> int | None:
    """The delivery limit in force: the lower of argument and policy, else the release's default; below 0 is none."""
    policy = queue.effective_policy_definition
    told = (queue.arguments.get("x-delivery-limit"), policy.get("delivery-limit") if isinstance(policy, dict) else None)
    limits = [limit for limit in told if isinstance(limit, int)]
    limit = min(limits) if limits else _default_limit(version)
    return None if limit is None or limit < 0 else limit


def _default_limit(version: str) -> int | None:
    """20 from RabbitMQ 4.0 on (rabbit_quorum_queue: DEFAULT_DELIVERY_LIMIT), none before."""
    return None if version.startswith(("3.", "2.")) else 20
