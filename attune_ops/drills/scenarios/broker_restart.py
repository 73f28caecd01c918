"""The broker is restarted cleanly."""

from __future__ import annotations

from attune_ops.drills.catalog import drill
from attune_ops.drills.context import Context, Steps
from attune_ops.drills.scenarios._shared import restart


@drill(
    hypothesis="A clean restart of the broker loses every transient queue with its messages, and keeps durable ones.",
    promise="Durable queues and persistent messages survive a restart; transient queues are deleted when a node "
    "starts.",
    source="https://www.rabbitmq.com/docs/queues#durability",
    needs="node",
    worker={"handler_s": 0.2, "concurrency": 1, "reconnect": True},
)
def broker_restart(context: Context) -> Steps:
    """Stops and starts the broker with a backlog in a worker's queue, as an upgrade does.

    To do: drain the workers before, or make their queues durable (--remedy durable). Clients must reconnect.
    """
    yield from restart(context, context.broker.lab.stop_node, "is stopped cleanly")
