"""A worker is stopped cleanly with a backlog in its queue."""

from __future__ import annotations

from collections.abc import Iterator

from attune_ops.drills import drill
from attune_ops.drills._expecting import Expect
from attune_ops.drills._stage import Stage


@drill(
    "worker-stop",
    hypothesis="A clean stop loses the backlog of an auto-delete queue just as a crash does.",
    promise="Cancelling the last consumer deletes an auto-delete queue at once, whatever is in it.",
    source="https://www.rabbitmq.com/docs/queues#properties",
    worker={"handler_s": 0.2, "concurrency": 1},
)
def worker_stop(stage: Stage) -> Iterator[Expect]:
    """SIGTERM to a worker while its queue holds a backlog: it cancels its consumer, and the queue goes.

    "Clean Shutdown: auto-delete queues prevent orphaned queues": true, and the price is what they held.

    To do: cordon a worker and let it drain before it is stopped, or keep its queue (--remedy durable).
    """
    stopped = stage.workers[0]
    queue = stage.queue_of(stopped)
    load = stage.load(stopped)
    yield stage.sent(load, stage.parameters.count)
    yield stage.ready(queue.name, stage.parameters.count // 2)
    stage.stop(stopped)
    if queue.auto_delete:
        stage.may("lost")
        yield stage.queue_gone(queue.name)
    else:
        yield stage.consumed(queue.name, 0)
        yield stage.queue_stays(queue.name)
        stage.worker(stopped.name, concurrency=50)
        yield stage.empty(queue.name)
