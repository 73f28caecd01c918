"""Two processes run as one worker."""

from __future__ import annotations

from collections.abc import Iterator

from attune_ops.drills import drill
from attune_ops.drills._expecting import Expect
from attune_ops.drills._stage import Stage


@drill(
    "worker-twice",
    hypothesis="Two processes of one name share one id and one queue; each message goes to one of them.",
    promise="Consumers of one queue compete: a message is delivered to one of them.",
    source="https://www.rabbitmq.com/docs/consumers",
)
def worker_twice(stage: Stage) -> Iterator[Expect]:
    """A worker is started a second time under the same name, then one of the two stops cleanly.

    No message is done twice; but the first that stops marks both as inactive, and the scheduler passes over a worker
    that lives until its next heartbeat.

    To do: a name for each process (AT404 finds the others).
    """
    first = stage.workers[0]
    second = stage.worker(first.name)
    queue = stage.queue_of(first).name
    yield Expect("both have one id", lambda: first.worker_id == second.worker_id, 1)
    yield stage.consumed(queue, 2)
    yield stage.doctor_names("AT404", first.name)
    load = stage.load(first)
    yield stage.sent(load, stage.parameters.count)
    yield stage.logged(first, "acked")
    yield stage.logged(second, "acked")
    yield stage.empty(queue)
    stage.stop(second)
    yield stage.consumed(queue, 1)
