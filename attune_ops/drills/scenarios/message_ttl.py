"""Messages expire in a worker's queue and are dead-lettered."""

from __future__ import annotations

import msgspec

from attune_ops.drills.catalog import drill
from attune_ops.drills.context import Context, Steps
from attune_ops.drills.remedies import with_worker_queues

TTL_MS = 500


@drill(
    hypothesis="An expired message is dead-lettered with its own routing key; a direct exchange does not route it to a "
    "queue bound by '#', and it is dropped.",
    promise="An expired message is republished to the dead-letter exchange with its routing keys, and dropped where "
    "it is unroutable there.",
    source="https://www.rabbitmq.com/docs/dlx#routing",
    topology="attune-2026-09",
)
def message_ttl(context: Context) -> Steps:
    """Kills a worker with a short message TTL on its queue; messages to it then expire.

    attune.dlx is a direct exchange, and matches the '#' of attune.dlx.queue literally. The current release drops its
    dead letters.

    To do: set an explicit dead-letter routing key by a policy (--remedy dead-letter-queue; `policy apply dead-letters`
    for 0.5 and 0.6). A topic or fanout exchange works too, but Attune's services declare attune.dlx as direct, and get
    406 for another type.
    """
    short = with_worker_queues(
        context.topology, lambda q: msgspec.structs.replace(q, arguments={**q.arguments, "x-message-ttl": TTL_MS})
    )
    worker = context.services.worker("brief", settings=msgspec.structs.replace(context.settings, topology=short))
    queue = context.services.queue_of(worker).name
    context.faults.kill(worker)
    yield context.expect.consumed(queue, 0)
    context.expires = True
    context.predict("expired" if context.has_remedy("dead-letter-queue") else "lost")
    yield context.send(worker)
    yield context.expect.empty(queue, within=TTL_MS / 1000 + 10)
