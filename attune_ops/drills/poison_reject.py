"""A worker rejects some messages without requeue."""

from __future__ import annotations

from collections.abc import Iterator

from attune_ops.drills import drill
from attune_ops.drills._expecting import Expect
from attune_ops.drills._stage import Stage

POISON = (3, 4, 5)


@drill(
    "poison-reject",
    hypothesis="A message that is rejected without requeue is dropped where no dead-letter queue takes it.",
    promise="basic.nack without requeue dead-letters a message if its queue has a dead-letter exchange, else it is "
    "discarded.",
    source="https://www.rabbitmq.com/docs/dlx",
    worker={"outcome": "reject", "only": POISON},
)
def poison_reject(stage: Stage) -> Iterator[Expect]:
    """Three messages are rejected, as Attune does with errors that it does not try again.

    January's worker queues have no dead-letter exchange, and nothing is bound to attune.dlx.

    To do: a dead-letter queue that really is bound (--remedy dead-letter-queue).
    """
    worker = stage.workers[0]
    stage.may("dead_lettered" if stage.cured("dead-letter-queue") else "lost")
    stage.fault(f"messages {', '.join(map(str, POISON))} are poison")
    load = stage.load(worker)
    yield stage.sent(load, stage.parameters.count)
    yield stage.logged(worker, "rejected", count=len(POISON))
    yield stage.empty(stage.queue_of(worker).name)
