"""The broker is restarted cleanly."""

from __future__ import annotations

from collections.abc import Iterator

from attune_ops.drills import drill
from attune_ops.drills._expecting import Expect
from attune_ops.drills._restarting import restart
from attune_ops.drills._stage import Stage


@drill(
    "broker-restart",
    hypothesis="A clean restart of the broker loses every transient queue with what is in it, and keeps durable ones.",
    promise="Durable queues and persistent messages survive a restart; transient queues are deleted when a node "
    "starts.",
    source="https://www.rabbitmq.com/docs/queues#durability",
    needs="node",
    worker={"handler_s": 0.2, "concurrency": 1, "reconnect": True},
)
def broker_restart(stage: Stage) -> Iterator[Expect]:
    """Stop and start of a broker with a backlog in a worker's queue, as an upgrade does.

    To do: drain the workers before, or keep their queues (--remedy durable); clients that connect again.
    """
    yield from restart(stage, stage.broker.stop_node, "is stopped cleanly")
