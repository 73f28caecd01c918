"""An alternate exchange that keeps unroutable executions."""

from __future__ import annotations

import msgspec

from attune_ops.drills.remedies import Remedy, policy
from attune_ops.model.topology import Binding, Exchange, Queue, Topology

EXCHANGE, QUEUE = "attune.unroutable", "attune.unroutable.queue"


def with_alternate(topology: Topology) -> Topology:
    """Adds the alternate exchange and its queue."""
    return msgspec.structs.replace(
        topology,
        exchanges=(*topology.exchanges, Exchange(EXCHANGE, "fanout")),
        queues=(*topology.queues, Queue(QUEUE)),
        bindings=(*topology.bindings, Binding(EXCHANGE, QUEUE)),
    )


remedy = Remedy(
    "alternate-exchange",
    f"unroutable messages of attune.executions are routed to {QUEUE}",
    with_alternate,
    (policy("unroutable", r"^attune\.executions$", "exchanges", {"alternate-exchange": EXCHANGE}),),
)
