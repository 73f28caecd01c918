"""The nodes of a cluster restart one after the other."""

from __future__ import annotations

from attune_ops.drills.catalog import drill
from attune_ops.drills.context import Context, Steps


@drill(
    hypothesis="In a rolling restart each worker loses its transient queue once, and every worker comes back.",
    promise="A cluster is available while one node restarts; transient classic queues do not survive the restart of "
    "their node.",
    source="https://www.rabbitmq.com/docs/upgrade#rolling-upgrades",
    needs="cluster",
    worker={"reconnect": True},
    workers=1,
)
def rolling_restart(context: Context) -> Steps:
    """Stops and starts each node in turn, with a worker on each; then sends messages to all workers.

    No message is in a queue while a node restarts: what a backlog loses then is measured by broker-restart.

    To do: drain the workers of a node before the node stops. Before the next node, wait until the node is back and its
    workers consume.
    """
    for n in (1, 2):
        context.services.worker(f"far{n}", settings=context.broker.node_settings(n), reconnect=True)
    on = list(enumerate(context.services.workers))
    for n, worker in reversed(on):
        context.broker.stop_node(n)
        yield context.expect.logged(worker, "lost", within=30)
        queue = context.services.queue_of(worker)
        if n and not queue.durable:  # while the first node is down, the drill itself has no connection
            yield context.expect.unavailable(queue.name)
        context.faults.revert()
        yield context.expect.logged(worker, "ready", count=2, within=60)
        yield context.expect.consumed(queue.name, within=30)
    yield context.send(*context.services.workers)
    for worker in context.services.workers:
        yield context.expect.logged(worker, "acked", count=context.count // 4)
