"""A cluster loses the node that holds a worker's queue."""

from __future__ import annotations

from attune_ops.drills.catalog import drill
from attune_ops.drills.context import NODE_LOST, Context, Steps

NODE = 1


@drill(
    hypothesis="A worker's queue is on the node that the worker is connected to, and is lost with that node.",
    promise="A classic queue is on one node; when that is down a transient queue is deleted and a durable queue is "
    "unavailable.",
    source="https://www.rabbitmq.com/docs/classic-queues",
    needs="cluster",
    workers=1,
)
def node_loss_own(context: Context) -> Steps:
    """Kills the node (kill -9) that a worker is connected to; the worker has no other address, and ends.

    A redeclare of the lost queue creates a new one on another node. RabbitMQ 4.3.6 keeps the record of the lost queue,
    and the redeclare waits until the node is back.

    To do: give workers several addresses. Use quorum queues for messages that must not be lost (--remedy quorum); their
    other members continue.
    """
    far = context.services.worker("far", settings=context.broker.node_settings(NODE), handler_s=0.2, concurrency=1)
    queue = context.services.queue_of(far)
    yield context.send(far)
    yield context.expect.ready(queue.name, context.count // 2)
    if not queue.durable:
        context.predict("lost")
        context.allow_loss(queue.name, NODE_LOST)
    context.allow("duplicated")
    context.broker.kill_node(NODE)
    yield context.expect.ended(far, within=30)
    if queue.type != "quorum":
        yield context.expect.unavailable(queue.name)
    # A quorum queue still counts the consumer that was on the lost node, so consumers are not checked here.
    if queue.type != "quorum" and (queue.durable or not context.expect.is_gone(queue.name)):
        context.faults.revert()
    context.services.worker("far", concurrency=50)
    yield context.expect.empty(queue.name, within=60)
