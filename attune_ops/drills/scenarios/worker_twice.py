"""Two processes run as one worker."""

from __future__ import annotations

from attune_ops.drills.catalog import drill
from attune_ops.drills.context import Context, Steps
from attune_ops.drills.expectations import Expectation


@drill(
    hypothesis="Two processes with the same name have one id and one queue; each message is delivered to one of them.",
    promise="Consumers of one queue compete: a message is delivered to one of them.",
    source="https://www.rabbitmq.com/docs/consumers",
)
def worker_twice(context: Context) -> Steps:
    """Starts a worker twice under the same name, then stops one of the two cleanly.

    No message is handled twice. But the first stop marks both as inactive, and the scheduler skips the running worker
    until its next heartbeat.

    To do: give each process its own name (AT404 finds duplicates).
    """
    first = context.services.workers[0]
    second = context.services.worker(first.name)
    queue = context.services.queue_of(first).name
    yield Expectation("both have one id", lambda: first.worker_id == second.worker_id, 1)
    yield context.expect.consumed(queue, 2)
    yield context.expect.doctor_reports("AT404", first.name)
    yield context.send(first)
    yield context.expect.logged(first, "acked")
    yield context.expect.logged(second, "acked")
    yield context.expect.empty(queue)
    context.services.stop(second)
    yield context.expect.consumed(queue, 1)
