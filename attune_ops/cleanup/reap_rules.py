"""Which orphaned queues may be deleted: those that broker and registry call orphaned, twice, a grace period apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from attune_ops.cleanup.reaped import Candidate, Verdict
from attune_ops.model import units
from attune_ops.model.facts import Facts, Source
from attune_ops.model.ownership import Orphan, orphaned_queues, require
from attune_ops.model.snapshot import QueueState

# Without consumers the broker must say so, without workers the registry.
SOURCES = (Source.BROKER, Source.DEPTHS, Source.CONSUMERS, Source.REGISTRY)

Sightings = Mapping[str, datetime]  # queue → since when it is seen orphaned, look after look


def sighted(facts: Facts, before: Sightings) -> dict[str, datetime]:
    """Since when each queue is seen orphaned, this look included; one that has a consumer or a worker is forgotten.

    A worker that sent a heartbeat meanwhile was there: its queues count anew. Raises `SourceError` where broker or
    registry was not read.
    """
    require(facts, *SOURCES)
    orphans = (o for o in orphaned_queues(facts) if not consumers(facts, o.queue))
    return {o.queue: _since(o, before, facts.taken_at) for o in orphans}


def candidates(
    facts: Facts, since: Sightings, grace: timedelta, matches: Callable[[str], bool]
) -> tuple[Candidate, ...]:
    """Every orphaned queue that matches, with what is to become of it, by name."""
    found = (o for o in orphaned_queues(facts) if matches(o.queue) and o.state is not None)
    return tuple(_candidate(o, facts, since, grace) for o in sorted(found, key=lambda o: o.queue))


def consumers(facts: Facts, queue: str) -> int:
    """How many consumers the broker tells of: the statistics of the queue and the list of consumers, whichever more."""
    state = facts.actual.queue_named.get(queue)
    told = 0 if state is None or state.consumers is None else state.consumers
    return max(told, len(facts.actual.consumers_of.get(queue, ())))


def _since(orphan: Orphan, before: Sightings, now: datetime) -> datetime:
    first = before.get(orphan.queue, now)
    heartbeat = orphan.worker.last_heartbeat if orphan.worker else None
    return now if heartbeat is not None and heartbeat > first else first


def _candidate(orphan: Orphan, facts: Facts, since: Sightings, grace: timedelta) -> Candidate:
    assert orphan.state is not None
    first = since.get(orphan.queue, facts.taken_at)
    age = facts.taken_at - first
    verdict, reason = _verdict(orphan.state, consumers(facts, orphan.queue), age, grace)
    return Candidate(
        queue=orphan.queue,
        worker_id=orphan.worker_id,
        why=orphan.why,
        verdict=verdict,
        reason=reason,
        messages=orphan.state.messages,
        seen_since=first,
        orphaned_for=age,
    )


def _verdict(queue: QueueState, consumers: int, age: timedelta, grace: timedelta) -> tuple[Verdict, str]:
    if consumers:
        return "kept", f"the broker says that it has {consumers} consumers"
    if queue.exclusive:
        return "kept", "it is exclusive: it goes with the connection that holds it"
    if queue.type != "classic":
        return "kept", f"it is a {queue.type} queue, which cannot be deleted on the condition that it is unused"
    if queue.messages_unacknowledged:
        return "kept", f"a client has {queue.messages_unacknowledged} of its messages and has not acknowledged them"
    if age < grace:
        return "waits", f"seen orphaned for {units.age(age)} of the {units.age(grace)} that it must be"
    return "deletes", "broker and registry call it orphaned"
