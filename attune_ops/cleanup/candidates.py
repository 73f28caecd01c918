"""Which orphaned queues `reap` may delete: orphaned for the whole grace period, by broker and registry."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Literal

import msgspec

from attune_ops.installation.config import Settings
from attune_ops.model.display import Shown
from attune_ops.model.errors import ActionError
from attune_ops.model.facts import Facts, Source
from attune_ops.model.files import PRIVATE, lock, make_folder, make_private, state_folder
from attune_ops.model.orphans import Orphan, leftover_queues, orphaned_queues
from attune_ops.model.ownership import most_consumers, require
from attune_ops.model.snapshot import QueueState
from attune_ops.model.units import age, counted

# Without consumers the broker must say so, without workers the registry.
SOURCES = (Source.BROKER, Source.DEPTHS, Source.CONSUMERS, Source.REGISTRY)

# deletes: --apply would delete it · waits: the grace period is not over · kept: it must not be deleted
# deleted: it is deleted · given back: deleted, but its worker registered meanwhile, so it was redeclared
Verdict = Literal["deletes", "waits", "kept", "deleted", "given back"]

_decoder = msgspec.json.Decoder(dict[str, datetime])


class Candidate(msgspec.Struct, frozen=True):
    """One orphaned queue. `why` it is orphaned, and `reason` for the verdict; `worker_id` is None for a leftover.

    `seen_since` is the first run of those in a row that found it orphaned; `saved` the file with its messages.
    """

    queue: str
    worker_id: int | None
    why: str
    verdict: Verdict
    reason: str
    messages: int | None
    seen_since: datetime
    orphaned_for: timedelta
    saved: str | None = None
    saved_messages: int = 0

    def judged(self, verdict: Verdict, reason: str) -> Candidate:
        """The same queue with another verdict."""
        return msgspec.structs.replace(self, verdict=verdict, reason=reason)


class ReapResult(Shown, msgspec.Struct, frozen=True):
    """The orphaned queues and their verdicts; `applied` is False for a dry run."""

    applied: bool
    candidates: tuple[Candidate, ...]
    grace: timedelta
    taken_at: datetime
    notes: tuple[str, ...] = ()

    def count(self, verdict: Verdict) -> int:
        """The number of queues with that verdict."""
        return sum(c.verdict == verdict for c in self.candidates)


def orphaned_since(facts: Facts, earlier: Mapping[str, datetime]) -> dict[str, datetime]:
    """Since when each queue is orphaned, run after run; one that has a consumer or a live worker is dropped.

    The time starts again where its worker sent a heartbeat meanwhile. Raises `SourceError` where broker or registry
    was not read.
    """
    require(facts, *SOURCES)
    orphans = (o for o in _unused(facts) if not most_consumers(facts, o.queue))
    return {o.queue: _since(o, earlier, facts.taken_at) for o in orphans}


def candidates(
    facts: Facts, since: Mapping[str, datetime], grace: timedelta, matches: Callable[[str], bool]
) -> tuple[Candidate, ...]:
    """Every orphaned queue that matches, with its verdict, by name."""
    found = ((o, o.state) for o in _unused(facts) if matches(o.queue))
    return tuple(sorted((_candidate(o, q, facts, since, grace) for o, q in found if q), key=lambda c: c.queue))


def _unused(facts: Facts) -> Iterator[Orphan]:
    """The queues of workers that are not live, and those that an earlier release left behind."""
    yield from orphaned_queues(facts)
    yield from leftover_queues(facts)


@contextlib.contextmanager
def history(settings: Settings) -> Iterator[dict[str, datetime]]:
    """Since when queues are orphaned, by earlier runs; saves what the block leaves in it, one process at a time.

    A file that cannot be decoded counts as empty: the grace period starts again. Raises `ActionError` where it cannot
    be written.
    """
    file = state_folder("reap", f"{settings.amqp.file_name}.json")
    try:
        make_folder(file.parent)
        make_private(file)
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT, PRIVATE)
    except OSError as e:
        raise ActionError(f"cannot write {str(file)!r}, the record of queues orphaned in earlier runs: {e}") from e
    with os.fdopen(descriptor, "r+b") as stream:
        lock(stream)
        try:
            record = _decoder.decode(stream.read())
        except (msgspec.DecodeError, UnicodeDecodeError):
            record = {}
        yield record
        stream.seek(0)
        stream.truncate()
        stream.write(msgspec.json.encode(record))


def _since(orphan: Orphan, earlier: Mapping[str, datetime], now: datetime) -> datetime:
    first = earlier.get(orphan.queue, now)
    heartbeat = orphan.worker.last_heartbeat if orphan.worker else None
    return now if heartbeat is not None and heartbeat > first else first


def _candidate(
    orphan: Orphan, queue: QueueState, facts: Facts, since: Mapping[str, datetime], grace: timedelta
) -> Candidate:
    first = since.get(orphan.queue, facts.taken_at)
    orphaned_for = facts.taken_at - first
    verdict, reason = _verdict(queue, most_consumers(facts, orphan.queue), orphaned_for, grace)
    if (worker := orphan.worker) and facts.registry and worker.is_beating(facts.taken_at, facts.registry.limit):
        verdict, reason = "kept", f"its worker sends heartbeats, although its status is {worker.status}"
    return Candidate(orphan.queue, orphan.worker_id, orphan.why, verdict, reason, queue.messages, first, orphaned_for)


def _verdict(queue: QueueState, consumers: int, orphaned_for: timedelta, grace: timedelta) -> tuple[Verdict, str]:
    if consumers:
        return "kept", f"it has {counted(consumers, 'consumer')}"
    if queue.is_unavailable:
        return "kept", f"it is unavailable (state {queue.state}): its messages and consumers are unknown"
    if queue.type != "classic":
        return "kept", f"it is a {queue.type} queue, which the broker cannot delete with if-unused and if-empty"
    if queue.messages_unacknowledged:
        return "kept", unacknowledged(queue.messages_unacknowledged)
    if orphaned_for < grace:
        return "waits", f"orphaned for {age(orphaned_for)}, less than the grace period of {age(grace)}"
    return "deletes", f"orphaned for the whole grace period of {age(grace)}" if grace else "orphaned, no grace period"


def unacknowledged(count: int) -> str:
    """Why a queue is kept of which a client has messages."""
    return f"a client has {counted(count, 'unacknowledged message')} of it"
