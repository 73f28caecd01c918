"""What follows when a worker falls silent, whatever the reason: the broker waits for its heartbeat."""

from __future__ import annotations

from collections.abc import Iterator

from attune_ops.drills._expecting import Expect
from attune_ops.drills._stage import Stage
from attune_ops.startup.processes import RunningService


def silence(stage: Stage, victim: RunningService) -> Iterator[Expect]:
    """Expects the broker to wait for the heartbeat and no longer; then undoes the fault and expects the worker back."""
    queue = stage.queue_of(victim)
    # What the worker does after the broker gave it up is done twice, if the queue stayed and gave it to another.
    stage.may("duplicated")
    heartbeat = stage.parameters.heartbeat
    yield stage.queue_stays(queue.name, heartbeat * 0.8)
    if queue.auto_delete:
        stage.may("lost")
        yield stage.queue_gone(queue.name, within=heartbeat * 4 + 10)
    else:
        yield stage.consumed(queue.name, 0, within=heartbeat * 4 + 10)
    stage.mend()
    yield stage.logged(victim, "ready", count=2, within=40)
    yield stage.consumed(queue.name, within=15)
    yield stage.empty(queue.name, within=60)
