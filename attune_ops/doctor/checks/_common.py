"""What several checks need: Attune's queues, who should consume from them, which are missing, and their names."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import timedelta

from attune_ops.doctor.alike import SEVERAL
from attune_ops.doctor.alike import merged as merged
from attune_ops.doctor.alike import names_of as names_of
from attune_ops.doctor.findings import NotRead, Unknown
from attune_ops.model.facts import Facts, Source
from attune_ops.model.ownership import (
    exchange_kind,
    own_queues,
    owner_and_template,
    queue_kind,
    starting_workers,
    tags_by_queue,
)
from attune_ops.model.passive import MOST_WORKERS, PASSIVE_DECLARE
from attune_ops.model.registry import Worker
from attune_ops.model.snapshot import QueueState
from attune_ops.model.topology import ID, binding_name
from attune_ops.model.units import counted as counted
from attune_ops.model.units import listed as listed
from attune_ops.model.units import spanned as spanned
from attune_ops.model.worker_process import State
from attune_ops.routing.route import RouteStep
from attune_ops.topology.diff import diff
from attune_ops.topology.drift import Difference, DiffKind

RESTART = "Restart the worker: its start-up declares and binds its queues and consumes from them."
START = (
    "Start the worker's process again: only its start-up consumes. If it is not needed, wait until its heartbeat is "
    "old; then AT409 prints how to retire it."
)
AGAIN = (
    "Run the doctor again after 45 s: the worker crashed just now, or connects and is not listed yet. If this is "
    "reported again, restart the worker."
)
UNREAD_BY_DESIGN = "No service consumes from it, by design. A policy limits it (max-length or message-ttl): see AT606."
WAIT = "Wait until the worker consumes, then run the doctor again; its log shows which environment it builds."
_REMEDIES: dict[State, str] = {"gone": START, "unlisted": AGAIN, "starting": WAIT}
_PCRE_ONLY = re.compile(r"\[\[:|\\[QEKhHRX]|\(\?[|R&0-9]")


def without_statistics(facts: Facts) -> str | None:
    """For `check(unknown=…)`: the reason where the broker does not collect statistics, or None."""
    return "the broker does not collect statistics" if facts.actual.statistics_disabled else None


def without_policies(facts: Facts) -> str | None:
    """For `check(unknown=…)`: the reason where no list of policies was read, or None."""
    return "the policies are unknown: the file has none listed" if facts.actual.policies is None else None


def running_node(facts: Facts) -> str | None:
    """A node for a printed `rabbitmqctl`: without one it changes the broker of the host where it is run."""
    return next((n.name for n in facts.actual.nodes or () if n.running), None)


def route_name(exchange: str, key: str) -> str:
    """The subject of findings about a publish."""
    return f"{exchange} {key}".strip()


def step_name(step: RouteStep) -> str:
    """The subject of findings about the binding of a route's step."""
    return binding_name(step.exchange, step.destination, step.binding_key or "")


def worker_remedy(state: State) -> str:
    """What a person does about a worker that does not consume, by the state of its process."""
    return _REMEDIES.get(state, RESTART)


def listed_counts(counts: Mapping[str, int]) -> str:
    """How many of which, in messages: `2 connected, 1 starting`."""
    return ", ".join(f"{count:,} {words}" for words, count in counts.items())


def worker_name(worker: Worker) -> str:
    """A worker in messages."""
    return f"worker {worker.id} ({worker.name})"


def own(facts: Facts) -> tuple[QueueState, ...]:
    """For `facts.memo`: the topology's queues on the broker, without foreign ones."""
    named = facts.actual.queue_named
    return tuple([named[name] for name in facts.memo(own_queues)])


def foreign_objects(facts: Facts) -> int:
    """How many queues and exchanges of the virtual host are neither the broker's own nor the topology's."""
    queues = sum(queue_kind(facts, q) == "foreign" for q in facts.actual.queues or ())
    exchanges = facts.actual.exchanges or ()
    return queues + sum(exchange_kind(facts.topology, e.name) == "foreign" for e in exchanges)


def permits(pattern: str, name: str) -> bool:
    """As rabbit_auth_backend_internal does: an unanchored match, and the empty pattern permits nothing.

    Raises `Unknown` for a pattern that PCRE takes and Python does not, or reads otherwise.
    """
    return permission(pattern)(name)


def permission(pattern: str) -> Callable[[str], bool]:
    """`permits` for many names."""
    try:
        found = None if _PCRE_ONLY.search(pattern) else re.compile(pattern)
    except re.error:
        found = None
    if found is None:
        raise Unknown(f"permission {pattern!r} is a pattern that only the broker can match")
    search = found.search
    return (lambda name: search(name) is not None) if pattern else (lambda _: False)


def clocks_behind(facts: Facts, by: timedelta) -> tuple[str, ...]:
    """For `Problem.related`: the registry, if its clock is behind by as much, so that what it wrote appears older."""
    of = (r for r in facts.reach if r.source is Source.REGISTRY)
    return tuple(r.target for r in of if -(r.clock_offset_s or 0) >= by.total_seconds())


def nobody_takes_work(facts: Facts) -> str | None:
    """For `facts.memo`: the subject of AT416 where the executor has no worker for an execution; else None."""
    live, starting = facts.live_workers, facts.memo(starting_workers)
    if facts.registry is None or any(not w.cordoned and w.id not in starting for w in live):
        return None
    return live[0].name if live else "workers"


def expected_consumers_of(facts: Facts, *queues: str) -> dict[str, tuple[str, ...]]:
    """For `Problem.related`: the queues, and the services, workers and consumers that should consume from them."""
    if len(queues) == 1:
        return {"queue": queues, **_should_consume(facts, queues[0])}
    related: dict[str, tuple[str, ...]] = {"queue": queues}
    for queue in queues:
        for role, names in _should_consume(facts, queue).items():
            related[role] = (*related.get(role, ()), *names)
    return related


def _should_consume(facts: Facts, queue: str) -> dict[str, tuple[str, ...]]:
    tags, owner = facts.memo(tags_by_queue), owner_and_template(facts, queue)
    if owner is None:
        known = tags.get(queue, ())
        return {"service": tuple([service for service, _ in known]), "consumer": tuple([tag for _, tag in known])}
    worker_id, template = owner
    worker, text = facts.worker_named.get(worker_id), str(worker_id)
    return {
        "worker queue": tuple([q.name for q in facts.worker_queues.get(worker_id, ())]),
        "worker": (worker.name,) if worker else (),
        "consumer": tuple([tag.replace(ID, text) for _, tag in tags.get(template, ())]),
    }


def missing_worker_queues(facts: Facts) -> Mapping[int, tuple[Difference, ...]]:
    """For `facts.memo`: the missing queues of live workers, by the worker's id."""
    found: dict[int, list[Difference]] = {}
    for d in facts.memo(diff).of(DiffKind.MISSING):
        if d.subject == "queue" and d.worker_id is not None:
            found.setdefault(d.worker_id, []).append(d)
    return {worker_id: tuple(differences) for worker_id, differences in found.items()}


def all_missing(facts: Facts) -> bool:
    """Whether no live worker of several has its queues: that has one cause and gives one finding."""
    return len(facts.memo(missing_worker_queues)) == len(facts.live_workers) >= SEVERAL


def require_all_asked(facts: Facts) -> None:
    """Raises `NotRead` where passive declares asked for the queues of some live workers only.

    A check does this when it has said what it found of the others.
    """
    if facts.passive is None or facts.origin != PASSIVE_DECLARE:
        return
    names = ([q.name for q in facts.topology.worker_queues(w.id)] for w in facts.live_workers)
    unasked = sum(not facts.asked.issuperset(several) for several in names)
    if unasked:
        live = counted(unasked, "live worker")
        raise NotRead(f"the queues of {live} are unknown: passive declares ask for {MOST_WORKERS} workers at most")


def missing_queue_of(facts: Facts, worker_id: int | None) -> tuple[str, ...]:
    """For `Problem.related`: the subject of the finding about this worker's missing queues, if any are missing."""
    missing = facts.memo(missing_worker_queues)
    if worker_id is None or worker_id not in missing:
        return ()
    first = next(iter(missing.values())) if facts.memo(all_missing) else missing[worker_id]
    return (first[0].name,)
