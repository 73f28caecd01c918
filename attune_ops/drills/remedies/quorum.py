"""Quorum queues for workers: replicated over the nodes, and always durable."""

from __future__ import annotations

import msgspec

from attune_ops.drills.remedies import Remedy, with_worker_queues
from attune_ops.model.topology import Queue, Topology


def _quorum(queue: Queue) -> Queue:
    arguments = {**queue.arguments, "x-queue-type": "quorum"}
    return msgspec.structs.replace(queue, durable=True, auto_delete=False, arguments=arguments)


def quorum(topology: Topology) -> Topology:
    """Makes worker queues quorum queues."""
    return with_worker_queues(topology, _quorum)


remedy = Remedy("quorum", "worker queues are quorum queues", quorum)
