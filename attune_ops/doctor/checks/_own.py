"""Which queues on the broker are Attune's, looked up once for all checks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from attune_ops.model.facts import Facts
from attune_ops.model.ownership import own_queues
from attune_ops.model.snapshot import QueueState
from attune_ops.model.topology import Consumer
from attune_ops.topology.diff import diff
from attune_ops.topology.drift import Difference, DiffKind

SEVERAL = 3  # workers without their queues that are no coincidence any more, if they are all there are


def own(facts: Facts) -> Iterator[QueueState]:
    """The topology's queues that are there; those of others are theirs to look after."""
    named = facts.actual.queue_named
    return (named[name] for name in facts.memo(own_queues))


def consumers_wanted(facts: Facts) -> Mapping[int, tuple[Consumer, ...]]:
    """For `facts.memo`: the consumers that each live worker should have."""
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


def lost_queues(facts: Facts) -> Mapping[int, tuple[Difference, ...]]:
    """For `facts.memo`: the queues that live workers lack, by the worker's id."""
    found: dict[int, list[Difference]] = {}
    for d in facts.memo(diff).of(DiffKind.MISSING):
        if d.subject == "queue" and d.worker_id is not None:
            found.setdefault(d.worker_id, []).append(d)
    return {worker_id: tuple(differences) for worker_id, differences in found.items()}


def all_lost(facts: Facts) -> bool:
    """Whether no live worker of several has its queues: that has one cause, and AT401 makes one finding of it."""
    return len(facts.memo(lost_queues)) == len(facts.live_workers) >= SEVERAL


def lost_cause(facts: Facts, worker_id: int | None) -> tuple[tuple[str, str], ...]:
    """The finding of AT401 that explains what is missing of a worker, where its queue is."""
    lost = facts.memo(lost_queues)
    if worker_id is None or worker_id not in lost:
        return ()
    first = next(iter(lost.values())) if facts.memo(all_lost) else lost[worker_id]
    return (("AT401", first[0].name),)
