"""In a cluster a node stops answering for longer than its peers wait."""

from __future__ import annotations

from collections.abc import Iterator

from attune_ops.drills import drill
from attune_ops.drills._expecting import Expect
from attune_ops.drills._stage import Stage

TICK_S = 5


@drill(
    "partition",
    hypothesis="A node that is cut off is given up after its peers' tick time; what was in its transient queues is "
    "lost, and the cluster is whole when it was restarted.",
    promise="Nodes find a peer dead that does not answer for about net_ticktime; it is then down for them.",
    source="https://www.rabbitmq.com/docs/partitions",
    needs="cluster",
    workers=1,
    config=(f"net_ticktime = {TICK_S}",),
)
def partition(stage: Stage) -> Iterator[Expect]:
    """SIGSTOP of the second node: its connections stay open, and it answers neither peers nor clients.

    To do: three nodes with pause_minority, or quorum queues (--remedy quorum), so that one side alone decides; AT111
    names partitions.
    """
    far = stage.worker("far", settings=stage.at(1), handler_s=0.2, concurrency=1, reconnect=True)
    queue = stage.queue_of(far)
    backlog = stage.load(far)
    yield stage.sent(backlog, stage.parameters.count)
    yield stage.ready(queue.name, stage.parameters.count // 2)
    if not queue.durable:
        stage.may("lost")
        stage.lost(queue.name, "deleted with the node that held it")
    stage.may("duplicated")
    stage.suspend_node(1)
    yield stage.doctor_finds("the node, given up by the others", "AT110")
    if not queue.durable:
        yield stage.unavailable(queue.name)
    load = stage.load(stage.workers[0])
    yield stage.sent(load, stage.parameters.count)
    yield stage.empty(stage.queue_of(stage.workers[0]).name)
    name = stage.broker.state.nodes[1].name
    stage.say(f"node {name} is restarted, as an operator would: one that was cut off may not find back by itself")
    stage.broker.kill_node(name)
    stage.broker.start_node(name, timeout=120)
    yield stage.logged(far, "ready", count=2, within=60)
    yield stage.doctor_content("AT110", "AT111")
    yield stage.consumed(queue.name, within=30)
    yield stage.empty(queue.name, within=60)
