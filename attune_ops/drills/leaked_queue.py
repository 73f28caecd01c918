"""A worker crashes between declare and consume."""

from __future__ import annotations

from collections.abc import Iterator

from attune_ops.drills import drill
from attune_ops.drills._expecting import Expect
from attune_ops.drills._stage import Stage


@drill(
    "leaked-queue",
    hypothesis="An auto-delete queue that never had a consumer stays for ever, and keeps collecting messages.",
    promise="An auto-delete queue is deleted when its last consumer unsubscribes; one that never had a consumer is "
    "not.",
    source="https://www.rabbitmq.com/docs/queues#properties",
)
def leaked_queue(stage: Stage) -> Iterator[Expect]:
    """Kill -9 between declare and consume: "auto-delete prevents orphaned queues" is refuted here.

    The queue is bound and nobody reads it: the publisher gets a confirm for each message in it.

    To do: an `expires` policy on worker queues (--remedy expires-policy), and the check AT403 of the doctor.
    """
    crashed = stage.start("worker", "crashed", wait=False, crash_after="bind")
    stage.fault("it kills itself after bind, before consume")
    yield stage.ended(crashed)
    worker_id = 1 + max(w.worker_id or 0 for w in stage.workers)
    queue = stage.topology.worker_queues(worker_id)[0].name
    load = stage.load(ids=(worker_id,))
    yield stage.sent(load, stage.parameters.count)
    yield stage.ready(queue, stage.parameters.count)
    if stage.cured("expires-policy"):
        stage.may("lost")
        yield stage.expired(queue, within=20)
        stage.lost(queue)
        return
    stage.eye.watch(queue)
    stage.may("queued")
    yield stage.queue_stays(queue, 3)
    yield stage.doctor_names("AT403", queue)
