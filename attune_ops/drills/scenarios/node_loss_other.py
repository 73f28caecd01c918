"""A cluster loses a node that holds no queue or connection of a worker."""

from __future__ import annotations

from attune_ops.drills.catalog import drill
from attune_ops.drills.context import Context, Steps


@drill(
    hypothesis="The loss of a node does not affect a worker with queue and connection on another node.",
    promise="Exchanges and bindings are on every node; a classic queue needs only its own node.",
    source="https://www.rabbitmq.com/docs/clustering",
    needs="cluster",
)
def node_loss_other(context: Context) -> Steps:
    """Kills the third node (kill -9) while workers on the first node consume.

    To do: nothing at once, but the cluster now has two nodes (AT110).
    """
    load = context.services.load(*context.services.workers, count=3 * context.count)
    yield context.expect.logged(load, "confirmed", count=5)
    context.broker.kill_node(2)
    yield context.expect.sent(load, 3 * context.count, within=60)
    yield context.expect.empty(context.services.queue_of(context.services.workers[0]).name)
    yield context.expect.doctor_reports_any("the node", "AT110")
