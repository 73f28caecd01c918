"""Failover to a second broker: the topology applied there, services and workers moved."""

from __future__ import annotations

from collections.abc import Iterator

from attune_ops.drills import drill
from attune_ops.drills._expecting import Expect
from attune_ops.drills._stage import Stage
from attune_ops.ops import Ops


@drill(
    "second-broker",
    hypothesis="After the loss of a broker work goes on at a second one, and what was confirmed and durable is handled "
    "when the first is back.",
    promise="A confirmed persistent message in a durable queue survives the loss of the broker's process.",
    source="https://www.rabbitmq.com/docs/confirms#when-publishes-are-confirmed",
    needs="node",
    workers=1,
)
def second_broker(stage: Stage) -> Iterator[Expect]:
    """Requests wait at the first broker when it is killed; at the second everything is declared and workers start.

    To do: have the second broker's topology applied beforehand (`topology apply`), and keep the first one's disk:
    what waits on it is moved with `messages move`, or handled when it is back.
    """
    executor = stage.services[0]
    queue = stage.requests_queue
    stage.eye.watch(queue)
    stage.stop(executor)
    waiting = stage.load()
    yield stage.sent(waiting, stage.parameters.count)
    yield stage.ready(queue, stage.parameters.count)
    stage.kill_node(0)
    second = stage.second_broker()
    applied = Ops(second).topology_apply(apply=True)
    stage.say(f"the topology is applied at {second.amqp.address}: {len(applied.outcomes)} things declared")
    stage.start("executor", "executor", settings=second)
    moved = stage.start("worker", stage.workers[0].name, settings=second)
    after = stage.load(moved, settings=second)
    yield stage.sent(after, stage.parameters.count)
    yield stage.logged(moved, "acked", count=stage.parameters.count)
    stage.mend()
    stage.start("executor", "executor")
    stage.worker(stage.workers[0].name)
    yield stage.empty(queue, within=60)
