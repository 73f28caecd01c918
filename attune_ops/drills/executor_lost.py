"""The executor dies while requests keep coming."""

from __future__ import annotations

from collections.abc import Iterator

from attune_ops.drills import drill
from attune_ops.drills._expecting import Expect
from attune_ops.drills._stage import Stage


@drill(
    "executor-lost",
    hypothesis="Requests wait in the executor's durable queue until it is back; none is lost.",
    promise="A durable queue stays without consumers, and what was delivered and not acknowledged goes back to it.",
    source="https://www.rabbitmq.com/docs/confirms#automatic-requeueing",
)
def executor_lost(stage: Stage) -> Iterator[Expect]:
    """Kill -9 of the executor, messages in its hands; later it starts again.

    To do: watch the depth of the executor's queues and that somebody consumes them (AT405).
    """
    executor = stage.executor
    queue = stage.requests_queue
    stage.eye.watch(queue)
    load = stage.load(count=2 * stage.parameters.count)
    yield stage.logged(executor, "acked", count=5)
    stage.kill(executor)
    yield stage.consumed(queue, 0)
    yield stage.sent(load, 2 * stage.parameters.count)
    yield stage.ready(queue, stage.parameters.count // 2)
    yield stage.doctor_names("AT405", queue)
    stage.start("executor", "executor")
    yield stage.empty(queue)
