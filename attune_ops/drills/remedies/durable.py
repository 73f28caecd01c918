"""Worker queues that are durable and are not deleted with their consumer."""

from __future__ import annotations

import msgspec

from attune_ops.drills.remedies import Remedy, with_worker_queues
from attune_ops.model.topology import Topology


def durable(topology: Topology) -> Topology:
    """Each worker's queues durable, and kept without a consumer."""
    return with_worker_queues(topology, lambda q: msgspec.structs.replace(q, durable=True, auto_delete=False))


remedy = Remedy("durable", "worker queues are durable and stay without a consumer", durable)
