"""A worker crashes between register and declare."""

from __future__ import annotations

from collections.abc import Iterator

from attune_ops.drills import drill
from attune_ops.drills._expecting import Expect
from attune_ops.drills._stage import Stage


@drill(
    "crash-before-declare",
    hypothesis="A worker that registered and then crashed counts as active, and what is dispatched to it comes back.",
    promise="A mandatory message that no queue takes is returned; without mandatory it is dropped and confirmed.",
    source="https://www.rabbitmq.com/docs/publishers#unroutable",
)
def crash_before_declare(stage: Stage) -> Iterator[Expect]:
    """Kill -9 between register and declare. For three heartbeat intervals the registry calls the worker active.

    To do: publish as mandatory; register a worker as active only once it consumes.
    """
    crashed = stage.start("worker", "crashed", wait=False, crash_after="register")
    stage.fault("it kills itself after register, before declare")
    yield stage.ended(crashed)
    worker_id = 1 + max(w.worker_id or 0 for w in stage.workers)
    yield stage.doctor_names("AT401", stage.topology.worker_queues(worker_id)[0].name)
    stage.may("returned", "queued")
    load = stage.load(ids=(worker_id, stage.workers[0].worker_id or 0))
    yield stage.sent(load, stage.parameters.count)
