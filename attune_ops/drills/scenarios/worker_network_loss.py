"""The network between a worker and the broker drops every packet; no connection is closed."""

from __future__ import annotations

from attune_ops.drills.catalog import drill
from attune_ops.drills.context import Context, Steps
from attune_ops.drills.scenarios._shared import silence


@drill(
    hypothesis="Without a FIN only the heartbeat detects a lost worker; until then its queue has a consumer.",
    promise="Heartbeats detect a peer that disappeared without closing; without them TCP takes minutes.",
    source="https://www.rabbitmq.com/docs/heartbeats",
    workers=1,
)
def worker_network_loss(context: Context) -> Steps:
    """A worker connects through a relay that then drops all packets in both directions and closes no connection.

    To do: the same as for a hang (--remedy durable). Also set a heartbeat in the worker's client, so that the
    worker notices the loss and reconnects.
    """
    relayed, relay = context.faults.relay(context.settings)
    far = context.services.worker(
        "far",
        settings=relayed,
        handler_s=0.2,
        concurrency=1,
        amqp_heartbeat=context.parameters.heartbeat,
        reconnect=True,
    )
    yield context.send(far)
    context.faults.cut(relay, far.name)
    yield from silence(context, far)
