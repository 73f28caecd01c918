"""The incident of 2026-01-16: a worker consumes a queue that it did not declare."""

from __future__ import annotations

from collections.abc import Iterator

from attune_ops.drills import drill
from attune_ops.drills._expecting import Expect
from attune_ops.drills._stage import Stage


@drill(
    "incident",
    hypothesis="A start-up without declare fails at consume with 404, and what is dispatched to it comes back.",
    promise="basic.consume on a queue that does not exist closes the channel with 404 NOT_FOUND; a mandatory message "
    "that no queue takes is returned.",
    source="https://www.rabbitmq.com/docs/channels#error-handling",
)
def incident(stage: Stage) -> Iterator[Expect]:
    """A worker registers and consumes without declaring its queue, as on 2026-01-16.

    The scheduler sees an active worker and dispatches to it.

    To do: declare and bind before consuming, and publish with `mandatory`, so that what reaches nobody is known
    (--remedy alternate-exchange keeps it, --remedy redispatch sends it to another).
    """
    broken = stage.start("worker", "broken", wait=False, skip=("declare", "bind"))
    stage.say("its start-up leaves out declare and bind", "fault")
    yield stage.failed(broken, 404, "consume")
    absent = 1 + max(w.worker_id or 0 for w in stage.workers)
    stage.may("returned", "queued")
    load = stage.load(ids=(absent, *(w.worker_id or 0 for w in stage.workers)))
    yield stage.sent(load, stage.parameters.count)
