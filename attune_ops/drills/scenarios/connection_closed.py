"""An operator closes a worker's connection."""

from __future__ import annotations

from attune_ops.drills.catalog import drill
from attune_ops.drills.context import Context, Steps
from attune_ops.drills.expectations import Expectation
from attune_ops.drills.undo import writer


@drill(
    hypothesis="When its connection is closed, a worker repeats its start-up; the backlog of its auto-delete queue is "
    "lost.",
    promise="Closing a connection over the management API ends it with 320 CONNECTION_FORCED.",
    source="https://www.rabbitmq.com/docs/management#http-api",
    worker={"handler_s": 0.2, "concurrency": 1, "reconnect": True},
)
def connection_closed(context: Context) -> Steps:
    """Closes a worker's connection over the management API, with a backlog in its queue.

    To do: do not close a worker's connection to wake the worker up. Stop the worker, or make its queue durable
    (--remedy durable).
    """
    worker = context.services.workers[0]
    queue = context.services.queue_of(worker)
    yield context.send(worker)
    yield context.expect.ready(queue.name, context.count // 2)
    if queue.auto_delete:
        context.allow("lost")
    context.faults.announce(f"an operator closes the connection of {worker.name}")
    client = f"attune worker {worker.name}"
    with writer(context.settings) as broker:
        yield Expectation("its connection is closed", lambda: broker.close_connections(client) > 0, 20)
    yield context.expect.logged(worker, "ready", count=2)
    yield context.expect.consumed(queue.name)
    yield context.expect.empty(queue.name, within=60)
