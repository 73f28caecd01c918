"""The incident of 2026-01-16: a worker consumes a queue that it did not declare."""

from __future__ import annotations

from attune_ops.drills.catalog import drill
from attune_ops.drills.context import Context, Steps
from attune_ops.drills.scenarios._shared import send_to_absent


@drill(
    hypothesis="A start-up without declare fails at consume with 404, and messages to that worker are returned.",
    promise="basic.consume on a queue that does not exist closes the channel with 404 NOT_FOUND; an unroutable "
    "mandatory message is returned.",
    source="https://www.rabbitmq.com/docs/channels#error-handling",
)
def incident(context: Context) -> Steps:
    """A worker registers and consumes without declaring its queue, as on 2026-01-16.

    The scheduler sees an active worker and sends executions to it.

    To do: declare and bind before consume. Publish with the mandatory flag, so that unroutable messages are known
    (--remedy alternate-exchange keeps them, --remedy redispatch sends them to another worker).
    """
    broken = context.services.start("worker", "broken", wait=False, skip=("declare", "bind"))
    context.log.add("its start-up skips declare and bind", "fault")
    yield context.expect.failed(broken, 404, "consume")
    absent = context.services.unused_worker_id
    yield from send_to_absent(context, absent, *context.services.workers)
