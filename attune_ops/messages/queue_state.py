"""The state of a queue before messages are read from it, and the side effects of reading."""

from __future__ import annotations

import msgspec

from attune_ops.installation.amqp import depth, server_version, short_connection
from attune_ops.installation.config import Settings
from attune_ops.installation.management import open_management
from attune_ops.installation.management_types.objects import OneQueue
from attune_ops.model.errors import ActionError, SourceError
from attune_ops.model.units import counted
from attune_ops.routing.rules import Rules


class QueueInfo(msgspec.Struct, frozen=True):
    """One queue, now. What only the management API reports is None where it is not available; `unknown` says why."""

    name: str
    ready: int
    consumers: int
    type: str | None = None
    auto_delete: bool | None = None
    delivery_limit: int | None = None  # of a quorum queue
    counts_requeues: bool = True  # whether a message that basic.nack requeues counts towards it
    unknown: str = ""
    size: int | None = None  # bytes of the ready messages
    unacknowledged: int | None = None  # messages, by statistics that are seconds old

    @property
    def may_consume(self) -> bool:
        """Whether a consumer may subscribe: an auto-delete queue is deleted with its last one, messages included."""
        return self.auto_delete is False

    @property
    def other_consumers(self) -> tuple[str, ...]:
        """A note on the queue's other consumers, where it has some."""
        others = counted(self.consumers, "other consumer")
        return (f"{others} of the queue may receive messages meanwhile",) if self.consumers else ()

    def notes(self, requeued: bool) -> tuple[str, ...]:
        """The side effects of reading messages; `requeued` says that some of them are requeued."""
        found: list[str] = []
        if self.unknown:
            found.append(f"auto-delete flag unknown ({self.unknown}): using basic.get, slower")
        elif self.auto_delete:
            found.append("auto-delete queue: using basic.get, because its last consumer would delete it")
        found += self.other_consumers
        if requeued:
            found.append("requeued messages keep their position and are flagged `redelivered`")
            if self.type == "quorum":
                found.append("a quorum queue before RabbitMQ 4.3 counts a delivery for each requeued message")
            if self.delivery_limit is not None and self.counts_requeues:
                limit = f"its delivery limit ({self.delivery_limit})"
                found.append(f"a message that has reached {limit} is republished at the end of the queue instead")
        return tuple(found)


def read_queue(settings: Settings, queue: str) -> QueueInfo:
    """Reads the state of a queue, needs tag management for all of it, changes nothing.

    Raises `ActionError` where the queue does not exist, or is a stream: reading a stream removes nothing.
    """
    with short_connection(settings, "look") as connection:
        live, version = depth(connection, queue), server_version(connection) or ""
    if live is None:
        raise ActionError(f"no queue {queue!r} in virtual host {settings.vhost!r}; see `attune-ops queues`")
    unknown = "the management API does not list it"
    with open_management(settings) as management:
        try:
            listed = management.queue(queue)
        except SourceError as e:
            listed, unknown = None, str(e)
    limit = _limit(listed, version)
    info = QueueInfo(
        queue,
        live.messages,
        live.consumers,
        delivery_limit=limit,
        counts_requeues=not version or Rules.of(version).counts_requeues,
        unknown=unknown if listed is None else "",
    )
    if listed is None:
        return info
    type = listed.type.removeprefix("rabbit_").removesuffix("_queue")
    if type == "stream":
        raise ActionError(f"queue {queue!r} is a stream: messages cannot be removed from it, they expire")
    size = size_of(listed, live.messages)
    return msgspec.structs.replace(
        info, type=type, auto_delete=listed.auto_delete, size=size, unacknowledged=listed.messages_unacknowledged
    )


def size_of(statistics: OneQueue | None, ready: int) -> int | None:
    """The bytes of the ready messages; None where the statistics, which are seconds old, are of fewer messages."""
    if statistics is None or statistics.messages_ready is None or statistics.messages_ready < ready:
        return None
    return statistics.message_bytes_ready


def _limit(queue: OneQueue | None, version: str) -> int | None:
    """The effective delivery limit: the lower of argument and policy, else the release's default; below 0 is none."""
    if queue is None:  # it may be a quorum queue
        return _default_limit(version)
    if "quorum" not in queue.type:
        return None
    policy = queue.effective_policy_definition
    by_policy = policy.get("delivery-limit") if isinstance(policy, dict) else None
    limits = [limit for limit in (queue.arguments.get("x-delivery-limit"), by_policy) if isinstance(limit, int)]
    limit = min(limits) if limits else _default_limit(version)
    return None if limit is None or limit < 0 else limit


def _default_limit(version: str) -> int | None:
    """20 from RabbitMQ 4.0 on (rabbit_quorum_queue: DEFAULT_DELIVERY_LIMIT), none before."""
    return None if version.startswith(("3.", "2.")) else 20
