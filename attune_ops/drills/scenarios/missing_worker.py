"""Executions are sent to a worker that does not exist."""

from __future__ import annotations

from attune_ops.drills.catalog import drill
from attune_ops.drills.context import Context, Steps

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
    context.allow("returned", "queued")
    context.faults.announce(f"half of the executions are sent to worker {MISSING}")
    load = context.services.load(ids=(MISSING, context.services.workers[0].worker_id or 0))
    yield context.expect.sent(load, context.count)
    half = context.count // 2
    answer = "returned" if context.remedy is None else "confirmed"
    yield context.expect.logged(load, answer, count=half)
