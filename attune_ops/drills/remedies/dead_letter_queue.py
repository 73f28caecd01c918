"""A dead-letter queue that really is bound: a direct exchange takes `#` literally, so the key is said."""

from __future__ import annotations

import msgspec

from attune_ops.drills.remedies import Remedy, policy
from attune_ops.model.topology import Binding, Queue, Topology

EXCHANGE, QUEUE, KEY = "attune.dlx", "attune.dead.queue", "dead"


def with_dead_letter_queue(topology: Topology) -> Topology:
    """Adds a queue that is bound to the dead-letter exchange by a key of its own."""
    return msgspec.structs.replace(
        topology,
        queues=(*topology.queues, Queue(QUEUE)),
        bindings=(*topology.bindings, Binding(EXCHANGE, QUEUE, KEY)),
    )


remedy = Remedy(
    "dead-letter-queue",
    f"what a worker's queue gives up goes to {QUEUE}, bound by a key of its own",
    with_dead_letter_queue,
    (policy("dead-letters", r"^worker\.", "queues",
            {"dead-letter-exchange": EXCHANGE, "dead-letter-routing-key": KEY}),),
)  # fmt: skip
