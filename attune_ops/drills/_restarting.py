"""A broker that restarts, cleanly or not: what both drills expect of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from attune_ops.drills._expecting import Expect
from attune_ops.drills._stage import BROKER_RESTART, Stage


def restart(stage: Stage, end: Callable[[str], None], how: str) -> Iterator[Expect]:
    """Ends the broker with a backlog of executions and of requests, starts it, and expects everybody back."""
    worker, executor, node = stage.workers[0], stage.executor, stage.broker.state.nodes[0].name
    queue = stage.queue_of(worker)
    load = stage.load(worker)
    yield stage.sent(load, stage.parameters.count)
    yield stage.ready(queue.name, stage.parameters.count // 2)
    if not queue.durable or not stage.parameters.durable:
        stage.may("lost")
        stage.lost(queue.name, BROKER_RESTART)
    # What the broker held of acknowledgements when it ended is delivered again, if the queue is kept.
    stage.may("duplicated")
    stage.fault(f"the broker {how}", "the broker starts again", lambda: stage.broker.start_node(node, timeout=120))
    end(node)
    yield stage.logged(worker, "lost", within=20)
    stage.mend()
    yield stage.logged(worker, "ready", count=2, within=60)
    yield stage.logged(executor, "ready", count=2, within=60)
    yield stage.consumed(queue.name, within=20)
    yield stage.empty(queue.name, within=60)
