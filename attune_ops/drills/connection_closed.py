"""An operator closes a worker's connection."""

from __future__ import annotations

from collections.abc import Iterator

from attune_ops.drills import drill, faults
from attune_ops.drills._expecting import Expect
from attune_ops.drills._stage import Stage


@drill(
    "connection-closed",
    hypothesis="A worker whose connection is closed takes its start-up again; the backlog of an auto-delete queue is "
    "gone meanwhile.",
    promise="Closing a connection over the management API ends it with 320 CONNECTION_FORCED.",
    source="https://www.rabbitmq.com/docs/management#http-api",
    worker={"handler_s": 0.2, "concurrency": 1, "reconnect": True},
)
def connection_closed(stage: Stage) -> Iterator[Expect]:
    """Close a connection in the management UI, with a backlog in the worker's queue.

    To do: do not close a worker's connection to "wake it up"; stop it, or keep its queue (--remedy durable).
    """
    worker = stage.workers[0]
    queue = stage.queue_of(worker)
    load = stage.load(worker)
    yield stage.sent(load, stage.parameters.count)
    yield stage.ready(queue.name, stage.parameters.count // 2)
    if queue.auto_delete:
        stage.may("lost")
    stage.fault(f"an operator closes the connection of {worker.name}")
    client = f"attune worker {worker.name}"
    yield Expect("its connection is closed", lambda: faults.close_connections(stage.settings, client) > 0, 20)
    yield stage.logged(worker, "ready", count=2)
    yield stage.consumed(queue.name)
    yield stage.empty(queue.name, within=60)
