"""Durable worker queues without auto-delete."""

from __future__ import annotations

import msgspec

from attune_ops.drills.remedies import Remedy, with_worker_queues
from attune_ops.model.topology import Topology


def durable(topology: Topology) -> Topology:
    """Makes worker queues durable, without auto-delete."""
    return with_worker_queues(topology, lambda q: msgspec.structs.replace(q, durable=True, auto_delete=False))


remedy = Remedy("durable", "worker queues are durable and not auto-delete", durable)
