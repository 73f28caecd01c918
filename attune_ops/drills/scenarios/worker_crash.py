"""A worker is killed with a backlog in its queue."""

from __future__ import annotations

from attune_ops.drills.catalog import drill
from attune_ops.drills.context import Context, Steps


@drill(
    hypothesis="A crash of a worker loses the backlog of its auto-delete queue; a durable queue keeps the backlog.",
    promise="An auto-delete queue is deleted with its messages when its last consumer is gone; none is dead-lettered.",
    source="https://www.rabbitmq.com/docs/queues#properties",
    worker={"handler_s": 0.2, "concurrency": 1},
)
def worker_crash(context: Context) -> Steps:
    """Kills a worker (kill -9) while its queue holds a backlog. Publisher confirms do not protect it.

    To do: use durable worker queues without auto-delete (--remedy durable), so that the backlog is there when the
    worker is back. Or let the scheduler request executions again that did not start in time.
    """
    crashed = context.services.workers[0]
    queue = context.services.queue_of(crashed)
    yield context.send(crashed)
    yield context.expect.ready(queue.name, context.count // 2)
    context.faults.kill(crashed)
    if queue.auto_delete:
        context.allow("lost")
        yield context.expect.queue_gone(queue.name)
        yield context.expect.doctor_reports("AT401", queue.name)
    else:
        yield context.expect.consumed(queue.name, 0)
        yield context.expect.queue_stays(queue.name)
    back = context.services.worker(crashed.name, concurrency=50)
    yield context.expect.consumed(queue.name)
    yield context.expect.empty(queue.name)
    context.log.add(f"{crashed.name} is back as worker {back.worker_id}")
