"""The broker is killed, as by a power cut."""

from __future__ import annotations

from collections.abc import Iterator

from attune_ops.drills import drill
from attune_ops.drills._expecting import Expect
from attune_ops.drills._restarting import restart
from attune_ops.drills._stage import Stage


@drill(
    "broker-kill",
    hypothesis="A broker that is killed keeps what it confirmed in durable queues, and loses every transient queue.",
    promise="A confirm for a persistent message in a durable queue means that it is on disk.",
    source="https://www.rabbitmq.com/docs/confirms#when-publishes-are-confirmed",
    needs="node",
    worker={"handler_s": 0.2, "concurrency": 1, "reconnect": True},
)
def broker_kill(stage: Stage) -> Iterator[Expect]:
    """Kill -9 of a broker with a backlog in a worker's queue.

    To do: as for a clean restart (--remedy durable); acknowledgements under way are lost with it, so handlers must
    stand a second delivery.
    """
    yield from restart(stage, stage.broker.kill_node, "is killed (SIGKILL)")
