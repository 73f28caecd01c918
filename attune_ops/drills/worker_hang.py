"""A worker hangs: its connection stays open and it answers nothing."""

from __future__ import annotations

from collections.abc import Iterator

from attune_ops.drills import drill
from attune_ops.drills._expecting import Expect
from attune_ops.drills._silence import silence
from attune_ops.drills._stage import Stage


@drill(
    "worker-hang",
    hypothesis="A worker that hangs keeps its messages until the AMQP heartbeat ends its connection, not longer.",
    promise="The broker closes a connection from which nothing came for two heartbeat intervals; what was not "
    "acknowledged goes back to its queue, if that stays.",
    source="https://www.rabbitmq.com/docs/heartbeats",
    worker={"handler_s": 0.2, "concurrency": 1, "short_heartbeat": True, "reconnect": True},
)
def worker_hang(stage: Stage) -> Iterator[Expect]:
    """SIGSTOP of a worker with a backlog, until the heartbeat ends; then it goes on.

    Until then the publisher gets confirms and nobody works.

    To do: a heartbeat of some seconds where that matters (RabbitMQ's default is 60 s), a time limit on executions, a
    queue that keeps the backlog (--remedy durable), and handlers that can be run twice: what the worker was at when it
    hung is done again by whoever gets it next.
    """
    victim = stage.workers[0]
    load = stage.load(victim)
    yield stage.sent(load, stage.parameters.count)
    stage.suspend(victim)
    yield from silence(stage, victim)
