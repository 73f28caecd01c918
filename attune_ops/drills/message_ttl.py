"""Messages expire in a worker's queue on their way to the dead-letter queue."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from attune_ops.drills import drill
from attune_ops.drills._expecting import Expect
from attune_ops.drills._stage import Stage
from attune_ops.drills.remedies import with_worker_queues

TTL_MS = 500


@drill(
    "message-ttl",
    hypothesis="An expired message is dead-lettered with its own routing key; a direct exchange with a queue bound by "
    "'#' has no queue for it, and it is dropped.",
    promise="A message that expires is republished to the dead-letter exchange with its routing keys, and dropped "
    "where that routes it nowhere.",
    source="https://www.rabbitmq.com/docs/dlx#routing",
    topology="attune-2026-09",
)
def message_ttl(stage: Stage) -> Iterator[Expect]:
    """A worker with a short time to live on its queue is killed; what is dispatched then expires.

    attune.dlx is a direct exchange, and it takes the '#' of attune.dlx.queue literally: the way of the present release
    ends in nothing.

    To do: a topic or fanout exchange, or a key that is said (--remedy dead-letter-queue).
    """
    short = with_worker_queues(
        stage.topology, lambda q: msgspec.structs.replace(q, arguments={**q.arguments, "x-message-ttl": TTL_MS})
    )
    worker = stage.worker("brief", settings=msgspec.structs.replace(stage.settings, topology=short))
    queue = stage.queue_of(worker).name
    stage.kill(worker)
    yield stage.consumed(queue, 0)
    stage.expires = True
    stage.may("expired" if stage.cured("dead-letter-queue") else "lost")
    load = stage.load(worker)
    yield stage.sent(load, stage.parameters.count)
    yield stage.empty(queue, within=TTL_MS / 1000 + 10)
