"""A dead-letter queue with an explicit routing key, since a direct exchange matches `#` literally."""

from __future__ import annotations

import msgspec

from attune_ops.drills.remedies import Remedy, policy
from attune_ops.model.topology import Binding, Queue, Topology

EXCHANGE, QUEUE, KEY = "attune.dlx", "attune.dead.queue", "dead"


def with_dead_letter_queue(topology: Topology) -> Topology:
    """Adds a queue that is bound to the dead-letter exchange with its own key."""
    return msgspec.structs.replace(
        topology,
        queues=(*topology.queues, Queue(QUEUE)),
        bindings=(*topology.bindings, Binding(EXCHANGE, QUEUE, KEY)),
    )


remedy = Remedy(
    "dead-letter-queue",
    f"messages that a worker's queue dead-letters are routed to {QUEUE}, bound with its own key",
    with_dead_letter_queue,
    (policy("dead-letters", r"^worker\.", "queues",
            {"dead-letter-exchange": EXCHANGE, "dead-letter-routing-key": KEY}),),
)  # fmt: skip
