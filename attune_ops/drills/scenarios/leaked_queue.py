"""A worker crashes between declare and consume."""

from __future__ import annotations

from attune_ops.drills.catalog import drill
from attune_ops.drills.context import Context, Steps


@drill(
    hypothesis="An auto-delete queue that never had a consumer is never deleted, and collects messages.",
    promise="An auto-delete queue is deleted when its last consumer unsubscribes; one that never had a consumer is "
    "not.",
    source="https://www.rabbitmq.com/docs/queues#properties",
)
def leaked_queue(context: Context) -> Steps:
    """Kills a worker (kill -9) between declare and consume: auto-delete does not prevent this orphaned queue.

    The queue is bound and has no consumer. The publisher gets a confirm for each message in it.

    To do: watch check AT415 of the doctor. It reports the worker as starting for 10 minutes; then AT403 reports the
    queue. An `expires` policy on worker queues (--remedy expires-policy) deletes the queue with its messages, which are
    not dead-lettered: set it to longer than any worker may be away.
    """
    crashed = context.services.start("worker", "crashed", wait=False, crash_after="bind")
    context.faults.announce("it kills itself after bind, before consume")
    yield context.expect.ended(crashed)
    worker_id = context.services.unused_worker_id
    queue = context.topology.worker_queues(worker_id)[0].name
    yield context.send(ids=(worker_id,))
    yield context.expect.ready(queue, context.count)
    if context.has_remedy("expires-policy"):
        context.predict("lost")
        yield context.expect.expired(queue, within=20)
        context.allow_loss(queue)
        return
    context.sampler.watch(queue)
    context.predict("queued")
    yield context.expect.queue_stays(queue, 3)
    yield context.expect.doctor_reports("AT415", crashed.name)
