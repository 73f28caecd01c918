"""Executions are dispatched to a worker that does not exist."""

from __future__ import annotations

from collections.abc import Iterator

from attune_ops.drills import drill
from attune_ops.drills._expecting import Expect
from attune_ops.drills._stage import Stage

NOBODY = 99


@drill(
    "missing-worker",
    hypothesis="What is dispatched to a worker that does not exist comes back to a publisher that asked to be told.",
    promise="A mandatory message that no queue takes is returned before its confirm.",
    source="https://www.rabbitmq.com/docs/confirms#when-publishes-are-confirmed",
)
def missing_worker(stage: Stage) -> Iterator[Expect]:
    """Half of the executions go to worker 99, which nobody is.

    Without `mandatory` the broker confirms them and drops them.

    To do: mandatory, and an alternate exchange (--remedy alternate-exchange) or dispatch to another worker (--remedy
    redispatch).
    """
    stage.may("returned", "queued")
    stage.fault(f"half of the executions go to worker {NOBODY}")
    load = stage.load(ids=(NOBODY, stage.workers[0].worker_id or 0))
    yield stage.sent(load, stage.parameters.count)
    half = stage.parameters.count // 2
    answer = "returned" if stage.remedy is None else "confirmed"
    yield stage.logged(load, answer, count=half)
