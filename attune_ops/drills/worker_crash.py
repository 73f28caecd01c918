"""A worker is killed with a backlog in its queue."""

from __future__ import annotations

from collections.abc import Iterator

from attune_ops.drills import drill
from attune_ops.drills._expecting import Expect
from attune_ops.drills._stage import Stage


@drill(
    "worker-crash",
    hypothesis="A worker that crashes takes the backlog of an auto-delete queue with it; a queue that stays keeps it.",
    promise="An auto-delete queue is deleted when its last consumer is gone, with the messages in it; none is "
    "dead-lettered.",
    source="https://www.rabbitmq.com/docs/queues#properties",
    worker={"handler_s": 0.2, "concurrency": 1},
)
def worker_crash(stage: Stage) -> Iterator[Expect]:
    """Kill -9 of a worker while its queue holds a backlog. What was confirmed to the publisher is not thereby safe.

    To do: durable worker queues without auto-delete (--remedy durable), so that the worker finds its backlog when it is
    back; or have the scheduler request again what has not started in time.
    """
    victim = stage.workers[0]
    queue = stage.queue_of(victim)
    load = stage.load(victim)
    yield stage.sent(load, stage.parameters.count)
    yield stage.ready(queue.name, stage.parameters.count // 2)
    stage.kill(victim)
    if queue.auto_delete:
        stage.may("lost")
        yield stage.queue_gone(queue.name)
        yield stage.doctor_names("AT401", queue.name)
    else:
        yield stage.consumed(queue.name, 0)
        yield stage.queue_stays(queue.name)
    back = stage.worker(victim.name, concurrency=50)
    yield stage.consumed(queue.name)
    yield stage.empty(queue.name)
    stage.say(f"{victim.name} is back as worker {back.worker_id}")
