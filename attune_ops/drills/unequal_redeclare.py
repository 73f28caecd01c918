"""A worker's queue is there with other properties."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from attune_ops.drills import drill
from attune_ops.drills._expecting import Expect
from attune_ops.drills._stage import Stage
from attune_ops.drills.remedies import with_worker_queues


@drill(
    "unequal-redeclare",
    hypothesis="A worker whose queue exists with other properties does not start, and the queue stays as it is.",
    promise="Declaring a queue again with other properties closes the channel with 406 PRECONDITION_FAILED.",
    source="https://www.rabbitmq.com/docs/queues#property-equivalence",
)
def unequal_redeclare(stage: Stage) -> Iterator[Expect]:
    """A worker leaves a queue of another release behind; the worker of this release cannot declare it.

    To do: let the worker drain, delete the queue, start the new release (`topology diff` says it before).
    """
    other = with_worker_queues(
        stage.topology, lambda q: msgspec.structs.replace(q, durable=not q.durable, auto_delete=False)
    )
    before = stage.worker("moving", settings=msgspec.structs.replace(stage.settings, topology=other))
    queue = stage.queue_of(before).name
    stage.stop(before)
    yield stage.queue_stays(queue)
    after = stage.start("worker", "moving", wait=False)
    stage.say("it starts again with the topology of another release", "fault")
    yield stage.failed(after, 406, "declare")
    load = stage.load(*stage.workers[:-1])
    yield stage.sent(load, stage.parameters.count)
