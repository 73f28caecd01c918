"""Which queues on the broker are Attune's, looked up once for all checks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from attune_ops.facts import Facts
from attune_ops.ownership import queue_kind
from attune_ops.snapshot import QueueState
from attune_ops.topology import ID, Consumer


def own_queues(facts: Facts) -> Mapping[str, str]:
    """For `facts.once`: the names of the topology's queues that are there, each with its name in the topology file."""
    found = {q.name: q.name for q in facts.topology.base_queues if q.name in facts.seen.queue_named}
    templates = [q.name for q in facts.topology.queues if ID in q.name]
    for worker_id, queues in facts.worker_queues.items():
        own_id = str(worker_id)
        for q in queues:
            found[q.name] = next(t for t in templates if t.replace(ID, own_id) == q.name)
    for q in facts.seen.queues or ():
        if q.exclusive and q.name not in found and queue_kind(facts, q) == "replica":
            found[q.name] = q.name
    return found


def own(facts: Facts) -> Iterator[QueueState]:
    """The topology's queues that are there; those of others are theirs to look after."""
    named = facts.seen.queue_named
    return (named[name] for name in facts.once(own_queues))


def consumers_wanted(facts: Facts) -> Mapping[int, tuple[Consumer, ...]]:
    """For `facts.once`: the consumers that each live worker should have."""
    return {w.id: facts.topology.worker_consumers(w.id) for w in facts.live_workers}
