"""A cluster node stops answering for longer than its peers wait."""

from __future__ import annotations

from attune_ops.drills.catalog import drill
from attune_ops.drills.context import NODE_LOST, Context, Steps

TICK_S = 5


@drill(
    hypothesis="The other nodes treat a partitioned node as down after net_ticktime; the messages in its transient "
    "queues are lost, and the cluster is complete after its restart.",
    promise="A node that does not answer its peers for about net_ticktime is treated as down by them.",
    source="https://www.rabbitmq.com/docs/partitions",
    needs="cluster",
    workers=1,
    config=(f"net_ticktime = {TICK_S}",),
)
def partition(context: Context) -> Steps:
    """Suspends the second node (SIGSTOP): its connections stay open, and it answers neither peers nor clients.

    To do: use three nodes and quorum queues (--remedy quorum), and in releases with Mnesia pause_minority, so that only
    one side stays available. With Khepri (RabbitMQ 4.3) pause_minority has no effect: a side without a majority accepts
    no declare. AT111 reports partitions.
    """
    far = context.services.worker(
        "far", settings=context.broker.node_settings(1), handler_s=0.2, concurrency=1, reconnect=True
    )
    queue = context.services.queue_of(far)
    backlog = context.services.load(far)
    yield context.expect.sent(backlog, context.count)
    yield context.expect.ready(queue.name, context.count // 2)
    if not queue.durable:
        context.predict("lost")
        context.allow_loss(queue.name, NODE_LOST)
    context.allow("duplicated")
    context.broker.suspend_node(1)
    yield context.expect.doctor_reports_any("the node as down", "AT110")
    if not queue.durable:
        yield context.expect.unavailable(queue.name)
    yield context.send(context.services.workers[0])
    yield context.expect.empty(context.services.queue_of(context.services.workers[0]).name)
    name = context.broker.lab.state.nodes[1].name
    context.log.add(f"node {name} is restarted, as an operator would do: a partitioned node may not rejoin by itself")
    context.broker.lab.kill_node(name)
    context.broker.lab.start_node(name, timeout=120)
    yield context.expect.logged(far, "ready", count=2, within=60)
    yield context.expect.doctor_reports_none("AT110", "AT111")
    yield context.expect.consumed(queue.name, within=30)
    yield context.expect.empty(queue.name, within=60)
