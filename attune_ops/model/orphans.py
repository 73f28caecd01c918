"""What an upgrade and dead workers leave on the broker, and which queues a live worker lacks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import msgspec

from attune_ops.model.facts import Facts
from attune_ops.model.ownership import missing_queues, why_not_live, worker_id
from attune_ops.model.recognition import NEAR
from attune_ops.model.registry import Worker
from attune_ops.model.snapshot import QueueState
from attune_ops.model.topology import Leftover


class Orphan(msgspec.Struct, frozen=True):
    """A queue that no registered live worker owns, or a registered live worker's queue that is missing."""

    kind: Literal["queue", "worker"]
    queue: str
    worker_id: int | None  # None for a leftover that is not a worker's
    why: str
    worker: Worker | None = None
    state: QueueState | None = None  # None where the queue is missing


def orphaned_queues(facts: Facts) -> Iterator[Orphan]:
    """The worker queues on the broker that no registered live worker owns.

    An exclusive queue is not orphaned, whatever its name: its connection is open, and the broker deletes it with it.
    """
    for owner, queues in facts.worker_queues.items():
        why = why_not_live(facts, owner)
        if why is not None:
            worker = facts.worker_named.get(owner)
            left = (q for q in queues if not q.exclusive)
            yield from (Orphan("queue", queue.name, owner, why, worker, queue) for queue in left)


def known_leftovers(facts: Facts) -> list[tuple[QueueState, Leftover]]:
    """The queues that an earlier release is known to have left behind, each with what is known of it."""
    is_named_so = facts.topology.leftover_pattern.fullmatch
    named = [q for q in facts.actual.queues or () if is_named_so(q.name)]
    return [(q, known) for q in named if (known := _leftover_of(facts, q)) is not None]


def _leftover_of(facts: Facts, queue: QueueState) -> Leftover | None:
    for known in facts.topology.leftovers:
        if known.matches(queue.name, queue.durable) and not queue.exclusive and _is_as_declared(facts, queue, known):
            return known
    return None


def _is_as_declared(facts: Facts, queue: QueueState, known: Leftover) -> bool:
    """Whether the queue is bound as that leftover is, and has no arguments, where this tells it from other queues."""
    if not known.bound_to:
        return True
    bound = [b for b in facts.actual.bindings_to_queue.get(queue.name, ()) if b.source]
    keys = known.routing_keys  # without them any key
    left = all(b.source == known.bound_to and (not keys or b.routing_key in keys) for b in bound)
    declared = queue.arguments.keys() - {"x-queue-type"}  # which the broker may add
    return bool(bound) and left and not declared


def may_be_in_use(facts: Facts, leftover: Leftover) -> bool:
    """Whether the release that uses such a queue fits this broker about as well as the topology in use.

    Then it may be that release that runs, without the service that consumes from the queue. A damaged object of it
    makes the other one fit better; only what is in use tells them apart.
    """
    fits = {f.name: f for f in facts.recognition.fits} if facts.recognition else {}
    used, other = fits.get(facts.topology.name), fits.get(leftover.topology)
    if not leftover.topology or used is None or other is None:
        return bool(leftover.topology)
    if used.fraction - other.fraction < NEAR:
        return other.live >= used.live
    return other.rank >= used.rank


def leftover_queues(facts: Facts) -> Iterator[Orphan]:
    """The known leftovers that are not a worker's and that the release on this broker does not use, for deletion."""
    for queue, known in known_leftovers(facts):
        if worker_id(facts.topology, queue.name) is None and not may_be_in_use(facts, known):
            yield Orphan("queue", queue.name, None, f"a leftover of {known.release}", None, queue)


def workers_without_queue(facts: Facts) -> Iterator[Orphan]:
    """The registered live workers' queues that are not on the broker."""
    for worker in facts.live_workers:
        for queue in missing_queues(facts, worker) or ():
            yield Orphan("worker", queue, worker.id, "the worker is live, but its queue is missing", worker)
