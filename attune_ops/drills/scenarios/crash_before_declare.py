"""A worker crashes between register and declare."""

from __future__ import annotations

from attune_ops.drills.catalog import drill
from attune_ops.drills.context import Context, Steps
from attune_ops.drills.scenarios._shared import send_to_absent


@drill(
    hypothesis="A worker that crashes after register counts as active, and messages to it are returned.",
    promise="An unroutable mandatory message is returned; without the mandatory flag it is dropped and confirmed.",
    source="https://www.rabbitmq.com/docs/publishers#unroutable",
)
def crash_before_declare(context: Context) -> Steps:
    """Kills a worker (kill -9) between register and declare; the registry lists it as active for three heartbeats.

    To do: publish with the mandatory flag. Register a worker as active only when it consumes.
    """
    crashed = context.services.start("worker", "crashed", wait=False, crash_after="register")
    context.faults.announce("it kills itself after register, before declare")
    yield context.expect.ended(crashed)
    worker_id = context.services.unused_worker_id
    yield context.expect.doctor_reports("AT401", context.topology.worker_queues(worker_id)[0].name)
    yield from send_to_absent(context, worker_id, context.services.workers[0])
