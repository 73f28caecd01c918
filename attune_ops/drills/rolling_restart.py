"""The nodes of a cluster are restarted one after the other."""

from __future__ import annotations

from collections.abc import Iterator

from attune_ops.drills import drill
from attune_ops.drills._expecting import Expect
from attune_ops.drills._stage import Stage


@drill(
    "rolling-restart",
    hypothesis="Through a rolling restart each worker loses its transient queue once, and all of them come back.",
    promise="A cluster serves while one node restarts; transient classic queues do not survive that of their node.",
    source="https://www.rabbitmq.com/docs/upgrade#rolling-upgrades",
    needs="cluster",
    worker={"reconnect": True},
    workers=1,
)
def rolling_restart(stage: Stage) -> Iterator[Expect]:
    """Clean stop and start of each node in turn, a worker on each, then messages to all.

    To do: drain the workers of a node before it stops; wait until the node is back and its workers consume before the
    next.
    """
    for n in (1, 2):
        stage.worker(f"far{n}", settings=stage.at(n), reconnect=True)
    on = list(enumerate(stage.workers))
    for n, worker in reversed(on):
        stage.stop_node(n)
        yield stage.logged(worker, "lost", within=30)
        stage.mend()
        yield stage.logged(worker, "ready", count=2, within=60)
        yield stage.consumed(stage.queue_of(worker).name, within=30)
    load = stage.load(*stage.workers)
    yield stage.sent(load, stage.parameters.count)
    for worker in stage.workers:
        yield stage.logged(worker, "acked", count=stage.parameters.count // 4)
