"""A worker is killed with a backlog in its queue."""

from __future__ import annotations

from attune_ops.drills.catalog import drill
from attune_ops.drills.context import Context, Steps


@drill(
    hypothesis="A crash of a worker loses the backlog of its auto-delete queue; a durable queue keeps the backlog. A "
    "worker that acknowledges at dispatch (since 2026-02-09) also loses what it was running.",
    promise="An auto-delete queue is deleted with its messages when its last consumer is gone; none is dead-lettered. "
    "Only unacknowledged messages are requeued.",
    source="https://www.rabbitmq.com/docs/queues#properties",
    worker={"handler_s": 0.2, "concurrency": 1},
)
def worker_crash(context: Context) -> Steps:
    """Kills a worker (kill -9) while its queue holds a backlog. Publisher confirms do not protect it.

    January's worker handles one message at a time and acknowledges it afterwards: the broker requeues what it was
    running, if the queue stays. Since 2026-02-09 a worker acknowledges when it begins: nothing redelivers what it was
    running, and the executor marks these executions as abandoned (--topology attune-0.6).

    To do: use durable worker queues without auto-delete (--remedy durable), so that the backlog is there when the
    worker is back. Since 2026-02-09 also search for abandoned executions after a crash, and start them again. Or let
    the scheduler request executions again that did not start in time.
    """
    crashed = context.services.workers[0]
    queue = context.services.queue_of(crashed)
    yield context.send(crashed)
    yield context.expect.ready(queue.name, context.count // 2)
    context.faults.kill(crashed)
    context.allow_loss_at_dispatch()
    if queue.auto_delete:
        context.predict("lost")
        yield context.expect.queue_gone(queue.name)
        yield context.expect.doctor_reports("AT401", queue.name)
    else:
        yield context.expect.consumed(queue.name, 0)
        yield context.expect.queue_stays(queue.name)
    back = context.services.worker(crashed.name, concurrency=50)
    yield context.expect.consumed(queue.name)
    yield context.expect.empty(queue.name)
    context.log.add(f"{crashed.name} is back as worker {back.worker_id}")
