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


def unread(facts: Facts, queue: str) -> tuple[tuple[str, str], ...]:
    """The findings that explain that nobody empties a queue: no consumer was meant, it is gone, or it is stuck."""
    found = [(code, queue) for code in ("AT403", "AT405", "AT408", "AT407", "AT606", "AT502", "AT505")]
    owner = facts.topology.worker_of(queue)
    if owner is None:
        meant = [c for c in facts.topology.consumers if c.queue == queue]
        found += [("AT405", c.service) for c in meant]
    else:
        meant = [c for c in facts.topology.worker_consumers(owner[0]) if c.queue == queue]
        # What concerns all queues of a worker is found under the first of them, or under the worker's name.
        found += [(code, q.name) for q in facts.worker_queues.get(owner[0], ()) for code in ("AT403", "AT407")]
        worker = facts.worker_named.get(owner[0])
        found += [(code, worker.name) for code in ("AT409", "AT410")] if worker else []
    return (*found, *(("AT503", c.tag) for c in meant))
