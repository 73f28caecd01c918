"""A worker rejects some messages without requeue."""

from __future__ import annotations

from attune_ops.drills.catalog import drill
from attune_ops.drills.context import Context, Steps

POISON = (3, 4, 5)


@drill(
    hypothesis="A message that is rejected without requeue is dropped where no dead-letter queue is bound for it.",
    promise="basic.nack without requeue dead-letters a message if its queue has a dead-letter exchange, else it is "
    "discarded.",
    source="https://www.rabbitmq.com/docs/dlx",
    worker={"outcome": "reject", "only": POISON},
)
def poison_reject(context: Context) -> Steps:
    """A worker rejects three messages, as Attune does after errors that it does not retry.

    The worker queues of 2026-01 have no dead-letter exchange, and no queue is bound to attune.dlx.

    To do: add a dead-letter queue with a binding (--remedy dead-letter-queue).
    """
    worker = context.services.workers[0]
    context.predict("dead_lettered" if context.has_remedy("dead-letter-queue") else "lost")
    context.faults.announce(f"messages {', '.join(map(str, POISON))} are poison")
    yield context.send(worker)
    yield context.expect.logged(worker, "rejected", count=len(POISON))
    yield context.expect.empty(context.services.queue_of(worker).name)
