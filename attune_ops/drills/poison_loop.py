"""A worker requeues a message that always fails."""

from __future__ import annotations

from collections.abc import Iterator

from attune_ops.drills import drill
from attune_ops.drills._expecting import Expect
from attune_ops.drills._stage import Stage

LOOPS = 20


@drill(
    "poison-loop",
    hypothesis="A message that is requeued each time goes round for ever, while the others get through.",
    promise="A requeued message goes back to its place in the queue and is delivered again; classic queues count no "
    "deliveries.",
    source="https://www.rabbitmq.com/docs/nack",
    worker={"outcome": "requeue", "only": (3,), "handler_s": 0.02},
)
def poison_loop(stage: Stage) -> Iterator[Expect]:
    """One message is nacked with requeue each time, as Attune does after a connection error.

    To do: count retries (the envelope's retry_count), or quorum queues with a delivery limit.
    """
    worker = stage.workers[0]
    queue = stage.queue_of(worker)
    stage.fault("message 3 is poison")
    load = stage.load(worker)
    yield stage.sent(load, stage.parameters.count)
    yield stage.logged(worker, "requeued", count=LOOPS)
    yield stage.logged(worker, "acked", count=stage.parameters.count - 1)
    stage.may("lost" if queue.auto_delete else "queued")
    stage.stop(worker)
