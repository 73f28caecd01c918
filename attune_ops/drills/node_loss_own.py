"""In a cluster the node is lost that holds a worker's queue."""

from __future__ import annotations

from collections.abc import Iterator

from attune_ops.drills import drill
from attune_ops.drills._expecting import Expect
from attune_ops.drills._stage import Stage

NODE = 1


@drill(
    "node-loss-own",
    hypothesis="A worker's queue is on the node that the worker is connected to, and is lost with it, cluster or not.",
    promise="A classic queue lives on one node; when that is down a transient one is deleted, a durable one is not "
    "available.",
    source="https://www.rabbitmq.com/docs/classic-queues",
    needs="cluster",
    workers=1,
)
def node_loss_own(stage: Stage) -> Iterator[Expect]:
    """Kill -9 of the node that a worker is connected to; the worker has no other address, and ends.

    Whoever declares a lost queue again gets a new one on another node; RabbitMQ 4.3.6 keeps its record, and lets the
    declare wait until the node is back.

    To do: give workers several addresses; quorum queues for what must not be lost (--remedy quorum), whose other
    members go on.
    """
    far = stage.worker("far", settings=stage.at(NODE), handler_s=0.2, concurrency=1)
    queue = stage.queue_of(far)
    load = stage.load(far)
    yield stage.sent(load, stage.parameters.count)
    yield stage.ready(queue.name, stage.parameters.count // 2)
    if not queue.durable:
        stage.may("lost")
        stage.lost(queue.name, "deleted with the node that held it")
    stage.may("duplicated")
    stage.kill_node(NODE)
    yield stage.ended(far, within=30)
    if queue.type != "quorum":
        yield stage.unavailable(queue.name)
    # A quorum queue still counts the consumer that was on the lost node, so consumers are not looked at here.
    if queue.type != "quorum" and (queue.durable or not stage.is_gone(queue.name)):
        stage.mend()
    stage.worker("far", concurrency=50)
    yield stage.empty(queue.name, within=60)
