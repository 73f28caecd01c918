"""A worker requeues a message that always fails."""

from __future__ import annotations

from attune_ops.drills.catalog import drill
from attune_ops.drills.context import Context, Steps

LOOPS = 20


@drill(
    hypothesis="A message that is requeued each time is redelivered endlessly, while the others are handled.",
    promise="A requeued message returns to its place in the queue and is redelivered; classic queues do not count "
    "deliveries.",
    source="https://www.rabbitmq.com/docs/nack",
    worker={"outcome": "requeue", "only": (3,), "handler_s": 0.02},
)
def poison_loop(context: Context) -> Steps:
    """A worker nacks one message with requeue each time, as Attune does after a connection error.

    To do: count retries (retry_count of the envelope), or use quorum queues with a delivery limit and a dead-letter
    queue that is bound: beyond the limit a message is dropped where its dead letter is unroutable (poison-reject).
    """
    worker = context.services.workers[0]
    queue = context.services.queue_of(worker)
    context.faults.announce("message 3 is poison")
    yield context.send(worker)
    yield context.expect.logged(worker, "requeued", count=LOOPS)
    yield context.expect.logged(worker, "acked", count=context.count - 1)
    context.allow("lost" if queue.auto_delete else "queued")
    context.services.stop(worker)
