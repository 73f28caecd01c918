"""A worker crashes and starts again under the same name while messages for it are published."""

from __future__ import annotations

from attune_ops.drills.catalog import drill
from attune_ops.drills.context import Context, Steps
from attune_ops.drills.expectations import Expectation


@drill(
    hypothesis="A worker that starts again under the same name gets its id and queue name again and continues; "
    "messages published in between are returned.",
    promise="An auto-delete queue is deleted with its last consumer, and an unroutable mandatory message is returned.",
    source="https://www.rabbitmq.com/docs/publishers#unroutable",
)
def worker_reconnect(context: Context) -> Steps:
    """Kills a worker (kill -9) and starts it under the same name, while messages are published.

    To do: publish with the mandatory flag, and send returned messages to another worker (--remedy redispatch).
    """
    first = context.services.workers[0]
    # Slow, so that messages are still sent when the worker is back.
    count = 2 * context.count
    load = context.services.load(*context.services.workers, count=count, rate=context.parameters.rate / 4)
    yield context.expect.logged(first, "acked", count=5)
    context.faults.kill(first)
    context.allow_loss_at_dispatch()
    queue = context.services.queue_of(first)
    if queue.auto_delete:
        context.allow("lost", "returned")
        yield context.expect.queue_gone(queue.name)
    again = context.services.worker(first.name)
    yield Expectation("it has its id again", lambda: again.worker_id == first.worker_id, 1)
    yield context.expect.consumed(queue.name)
    yield context.expect.sent(load, count)
    yield context.expect.logged(again, "acked")
