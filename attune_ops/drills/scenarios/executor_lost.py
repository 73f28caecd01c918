"""The executor crashes while requests are published."""

from __future__ import annotations

from attune_ops.drills.catalog import drill
from attune_ops.drills.context import Context, Steps


@drill(
    hypothesis="Requests wait in the executor's durable queue until the executor is back; none is lost.",
    promise="A durable queue is kept without consumers, and unacknowledged messages are requeued.",
    source="https://www.rabbitmq.com/docs/confirms#automatic-requeueing",
)
def executor_lost(context: Context) -> Steps:
    """Kills the executor (kill -9) with unacknowledged messages; later it starts again.

    A request that is redelivered may have been sent to a worker before: its execution then runs twice. The ledger has
    the requests only.

    To do: monitor the depth and the consumers of the executor's queues (AT405).
    """
    executor = context.services.executor
    queue = context.services.requests_queue
    context.sampler.watch(queue)
    load = context.services.load(count=2 * context.count)
    yield context.expect.logged(executor, "acked", count=5)
    context.faults.kill(executor)
    yield context.expect.consumed(queue, 0)
    yield context.expect.sent(load, 2 * context.count)
    yield context.expect.ready(queue, context.count // 2)
    yield context.expect.doctor_reports_any("that the executor does not consume", "AT405")
    context.services.start("executor", "executor")
    yield context.expect.empty(queue)
