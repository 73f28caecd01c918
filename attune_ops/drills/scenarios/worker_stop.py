"""A worker is stopped cleanly with a backlog in its queue."""

from __future__ import annotations

from attune_ops.drills.catalog import drill
from attune_ops.drills.context import Context, Steps


@drill(
    hypothesis="A clean stop loses the backlog of an auto-delete queue, as a crash does.",
    promise="Cancelling the last consumer deletes an auto-delete queue at once, with its messages.",
    source="https://www.rabbitmq.com/docs/queues#properties",
    worker={"handler_s": 0.2, "concurrency": 1},
)
def worker_stop(context: Context) -> Steps:
    """Stops a worker (SIGTERM) while its queue holds a backlog: it cancels its consumer, and the queue is deleted.

    Auto-delete does prevent an orphaned queue here, but the messages in the queue are lost.

    To do: cordon a worker and let it drain before you stop it, or make its queue durable (--remedy durable).
    """
    stopped = context.services.workers[0]
    queue = context.services.queue_of(stopped)
    yield context.send(stopped)
    yield context.expect.ready(queue.name, context.count // 2)
    context.services.stop(stopped)
    if queue.auto_delete:
        context.predict("lost")
        yield context.expect.queue_gone(queue.name)
    else:
        yield context.expect.consumed(queue.name, 0)
        yield context.expect.queue_stays(queue.name)
        context.services.worker(stopped.name, concurrency=50)
        yield context.expect.empty(queue.name)
