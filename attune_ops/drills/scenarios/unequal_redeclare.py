"""A worker's queue exists with other properties."""

from __future__ import annotations

import msgspec

from attune_ops.drills.catalog import drill
from attune_ops.drills.context import Context, Steps
from attune_ops.drills.remedies import with_worker_queues


@drill(
    hypothesis="A worker does not start where its queue exists with other properties, and the queue stays unchanged.",
    promise="Redeclaring a queue with other properties closes the channel with 406 PRECONDITION_FAILED.",
    source="https://www.rabbitmq.com/docs/queues#property-equivalence",
)
def unequal_redeclare(context: Context) -> Steps:
    """A worker leaves behind a queue of another release; the worker of this release cannot declare it.

    To do: let the worker drain its queue, delete the queue, start the new release. `topology diff` shows the difference
    in advance.
    """
    other = with_worker_queues(
        context.topology, lambda q: msgspec.structs.replace(q, durable=not q.durable, auto_delete=False)
    )
    before = context.services.worker("moving", settings=msgspec.structs.replace(context.settings, topology=other))
    queue = context.services.queue_of(before).name
    context.services.stop(before)
    yield context.expect.queue_stays(queue)
    after = context.services.start("worker", "moving", wait=False)
    context.log.add("it starts again with the topology of another release", "fault")
    yield context.expect.failed(after, 406, "declare")
    yield context.send(*context.services.workers[:-1])
