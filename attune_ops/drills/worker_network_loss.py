"""The network between a worker and the broker drops every packet; neither side is told."""

from __future__ import annotations

from collections.abc import Iterator

from attune_ops.drills import drill
from attune_ops.drills._expecting import Expect
from attune_ops.drills._silence import silence
from attune_ops.drills._stage import Stage


@drill(
    "worker-network-loss",
    hypothesis="Without a FIN only the heartbeat tells that a worker is gone; until then its queue looks alive.",
    promise="Heartbeats detect a peer that is gone without closing; without them TCP takes minutes.",
    source="https://www.rabbitmq.com/docs/heartbeats",
    workers=1,
)
def worker_network_loss(stage: Stage) -> Iterator[Expect]:
    """A worker connects through a relay that then forwards nothing, both ways, and closes nothing.

    To do: the same as for a hang (--remedy durable); and see to it that a worker's own client notices too and connects
    again.
    """
    way, relay = stage.relay()
    far = stage.worker(
        "far", settings=way, handler_s=0.2, concurrency=1, amqp_heartbeat=stage.parameters.heartbeat, reconnect=True
    )
    load = stage.load(far)
    yield stage.sent(load, stage.parameters.count)
    stage.cut(relay, far.name)
    yield from silence(stage, far)
