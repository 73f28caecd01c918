"""A broker that restarts, cleanly or not: what both drills expect of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from attune_ops.drills._expecting import Expect
from attune_ops.drills._stage import BROKER_RESTART, Stage


def restart(stage: Stage, end: Callable[[str], None], how: str) -> Iterator[Expect]:
    """Ends the broker with a backlog at a worker and requests that wait for an executor, starts it, expects all back.

    The worker is connected and connects again; the executor starts when the broker is back.
    """
    worker, node, count = stage.workers[0], stage.broker.state.nodes[0].name, stage.parameters.count
    queue, requests = stage.queue_of(worker), stage.requests_queue
    stage.eye.watch(requests)
    stage.stop(stage.executor)
    waiting = stage.load()
    yield stage.sent(waiting, count)
    load = stage.load(worker)
    yield stage.sent(load, count)
    yield stage.ready(queue.name, count // 2)
    for name, durable in ((queue.name, queue.durable), (requests, True)):
        if not durable or not stage.parameters.durable:
            stage.may("lost")
            stage.lost(name, BROKER_RESTART)
    # What the broker held of acknowledgements when it ended is delivered again, if the queue is kept.
    stage.may("duplicated")
    stage.fault(f"the broker {how}", "the broker starts again", lambda: stage.broker.start_node(node, timeout=120))
    end(node)
    yield stage.logged(worker, "lost", within=20)
    stage.mend()
    yield stage.ready(requests, count if stage.parameters.durable else 0, within=60)
    yield stage.logged(worker, "ready", count=2, within=60)
    yield stage.consumed(queue.name, within=20)
    yield stage.empty(queue.name, within=60)
    stage.start("executor", "executor")
    yield stage.empty(requests, within=60)
