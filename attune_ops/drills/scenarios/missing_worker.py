"""Executions are sent to a worker that does not exist."""

from __future__ import annotations

from attune_ops.drills.catalog import drill
from attune_ops.drills.context import Context, Steps
from attune_ops.drills.scenarios._shared import send_to_absent

MISSING = 99


@drill(
    hypothesis="A mandatory message to a worker that does not exist is returned to the publisher.",
    promise="A mandatory message that is unroutable is returned before its confirm.",
    source="https://www.rabbitmq.com/docs/confirms#when-publishes-are-confirmed",
)
def missing_worker(context: Context) -> Steps:
    """Half of the executions are sent to worker 99, which does not exist.

    Without the mandatory flag the broker confirms them and drops them.

    To do: publish with the mandatory flag. Add an alternate exchange (--remedy alternate-exchange), or send returned
    messages to another worker (--remedy redispatch).
    """
    context.faults.announce(f"half of the executions are sent to worker {MISSING}")
    yield from send_to_absent(context, MISSING, context.services.workers[0])
