"""A worker hangs: its connection stays open and it does not answer."""

from __future__ import annotations

from attune_ops.drills.catalog import drill
from attune_ops.drills.context import Context, Steps
from attune_ops.drills.scenarios._shared import silence


@drill(
    hypothesis="A worker that hangs keeps its messages until the AMQP heartbeat ends its connection, not longer.",
    promise="The broker closes a connection after two missed heartbeat intervals; unacknowledged messages are "
    "requeued, if the queue stays.",
    source="https://www.rabbitmq.com/docs/heartbeats",
    worker={"handler_s": 0.2, "concurrency": 1, "short_heartbeat": True, "reconnect": True},
)
def worker_hang(context: Context) -> Steps:
    """Suspends a worker with a backlog (SIGSTOP) until the heartbeat timeout; then the worker resumes.

    Until then the publisher gets confirms, and no message is handled.

    To do: set a heartbeat of 5 to 20 s where delays matter (RabbitMQ's default is 60 s; a shorter one closes
    connections that work), and a time limit on executions. Make worker queues durable (--remedy durable) and handlers
    idempotent: unacknowledged messages of the worker are delivered again.
    """
    worker = context.services.workers[0]
    yield context.send(worker)
    context.faults.suspend(worker)
    yield from silence(context, worker)
