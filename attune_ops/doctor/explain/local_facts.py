"""The state of this installation that an error is about: objects, registered workers, skipped start-up steps."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta

from attune_ops.doctor.checks.service_permissions import patterns_of_all_services
from attune_ops.doctor.explain.access import UNAVAILABLE
from attune_ops.doctor.explain.occurrence import Occurrence
from attune_ops.doctor.findings import Unknown
from attune_ops.model import command_lines
from attune_ops.model.facts import Facts, Source
from attune_ops.model.snapshot import UserPermissions
from attune_ops.model.startup_progress import Step, progress
from attune_ops.model.topology import Queue
from attune_ops.model.units import counted, listed
from attune_ops.routing.topology_routes import dead_letters


def local_facts(occurrence: Occurrence, facts: Facts | None, skipped: tuple[Step, ...] = ()) -> tuple[str, ...]:
    """Sentences about the object of an error on this installation; empty where nothing is known of it."""
    if facts is None:
        return ()
    vhost = occurrence.groups.get("vhost")
    if vhost is not None and vhost != facts.vhost:
        return (f"The error is about vhost {vhost!r}; this installation uses {facts.vhost!r}: nothing was compared.",)
    key = occurrence.rule.name if occurrence.rule.code is None else f"{occurrence.rule.code} {occurrence.kind}".strip()
    return tuple(_ABOUT.get(key, _nothing)(occurrence, facts, skipped))


def _nothing(occurrence: Occurrence, facts: Facts, skipped: tuple[Step, ...]) -> Iterator[str]:
    yield from ()


def _missing(occurrence: Occurrence, facts: Facts, skipped: tuple[Step, ...]) -> Iterator[str]:
    """The owner of a queue or exchange, the start-up step that declares it, and whether it exists now."""
    name, kind, topology = occurrence.groups["subject"], occurrence.kind, facts.topology
    owner = topology.worker_of(name) if kind == "queue" else None
    known = [d.name for d in (topology.base_queues if kind == "queue" else topology.exchanges)]
    service = next((q.service for q in topology.base_queues if kind == "queue" and q.name == name), "")
    declared = f"The {service} declares {name!r}" if service else f"Set-up declares {name!r}"
    declared = f"It is the queue of worker {owner[0]}" if owner else declared
    step = Step.DECLARE if owner or service else Step.SETUP
    if step in skipped and (owner or name in known):
        yield f"{declared}: the {step} step was skipped."
        return
    yield from _presence(name, kind, facts)
    if owner is not None:
        yield from _worker(owner[0], owner[1].auto_delete and name not in _there(facts, kind), facts)
    elif name in known:
        yield f"{declared}: it has not run here, or the {kind} was deleted afterwards."
    else:
        yield from _foreign(name, kind, known, topology.name)


def _unavailable(occurrence: Occurrence, facts: Facts, skipped: tuple[Step, ...]) -> Iterator[str]:
    """Whether the queue is still unavailable, and its node down."""
    queue = facts.broker.queue_named.get(occurrence.groups["subject"]) if facts.broker else None
    name = occurrence.groups.get("node") or (queue.node if queue else None)
    for node in (facts.broker.nodes if facts.broker else None) or ():
        if node.name == name:
            yield f"Node {name} is running now." if node.running else f"Node {name} is still down or unreachable."
    if queue is not None:
        yield f"The queue is {'still unavailable' if queue.is_unavailable or queue.is_silent else 'available now'}."


def _presence(name: str, kind: str, facts: Facts) -> Iterator[str]:
    """Whether the object exists now; nothing where the broker could not be read."""
    if facts.broker is None or facts.missing_reason((Source.BROKER,)):
        return
    if name in _there(facts, kind):
        yield f"The {kind} exists now: it was declared after this error."
    else:
        yield f"The {kind} is still missing."


def _there(facts: Facts, kind: str) -> Mapping[str, object]:
    """The queues or exchanges on the broker by name."""
    if facts.broker is None:
        return {}
    return facts.broker.queue_named if kind == "queue" else facts.broker.exchange_named


def _worker(worker_id: int, auto_deleted: bool, facts: Facts) -> Iterator[str]:
    """What registry and broker report about the worker of a queue that was missing."""
    if facts.registry is None:
        reason = facts.missing_reason((Source.REGISTRY,))
        yield f"It is the queue of worker {worker_id}; the registry could not be read: {reason}."
        return
    worker = facts.worker_named.get(worker_id)
    if worker is None:
        yield f"No worker {worker_id} is registered: its row is gone, or the service uses another database."
        return
    if not worker.is_registered_live:
        status = f"Worker {worker_id} {worker.name!r} is registered as {worker.status}"
        ended = {True: "crashed: its heartbeat stopped", False: "stopped cleanly", None: "is stopped"}[worker.crashed]
        yield f"{status}: it {ended}" + (", and its queue was deleted with it." if auto_deleted else ".")
        return
    yield from (f"{p.sentence().capitalize()}." for p in progress(facts) if p.worker.id == worker_id)
    if worker.is_stale(facts.taken_at, facts.registry.limit):
        yield f"Its heartbeat is stale ({_age(worker.heartbeat_age(facts.taken_at))}): the process is probably dead."


def _age(age: timedelta | None) -> str:
    return "it never sent one" if age is None else f"{age.total_seconds():.0f} s old"


def _foreign(name: str, kind: str, known: list[str], topology: str) -> Iterator[str]:
    close = difflib.get_close_matches(name, known, n=2)
    hint = f"; it has {' and '.join(map(repr, close))}" if close else ""
    yield f"Topology {topology} has no {kind} {name!r}{hint}."


def _unequal(occurrence: Occurrence, facts: Facts, skipped: tuple[Step, ...]) -> Iterator[str]:
    """The topology's value of the argument, and which side is wrong."""
    name, argument = occurrence.groups["subject"], occurrence.groups.get("argument")
    if argument is None:  # another refusal with this code: a limit, a queue in use
        return
    owner = facts.topology.worker_of(name)
    base = (q for q in facts.topology.base_queues if q.name == name)
    declared = owner[1] if owner else next(base, None) or facts.topology.exchange(name)
    if declared is None:
        yield f"Topology {facts.topology.name} has no {name!r}: another application declares it."
        return
    value = getattr(declared, argument) if argument in declared.__struct_fields__ else declared.arguments.get(argument)
    text = "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    there = occurrence.groups.get("found", "").strip("\\'")
    asked = occurrence.groups.get("wanted", "").strip("\\'")
    yield f"Topology {facts.topology.name} declares {name!r} with {argument} = {text}."
    if text == asked != there:
        yield "The redeclare is right. The object on the broker is of another release or was made by hand."
    elif text == there != asked:
        yield "The object on the broker is right. The client that redeclared it is of another release."


def _deprecated(occurrence: Occurrence, facts: Facts, skipped: tuple[Step, ...]) -> Iterator[str]:
    name = occurrence.groups.get("subject")
    features = () if facts.broker is None else facts.broker.deprecated or ()
    state = next((f.state for f in features if f.name == name), None)
    if state is not None:
        yield f"State of {name} on this broker: {state}."
    hit = [q.name for q in facts.topology.queues if _is_transient(q)]
    if name == "transient_nonexcl_queues":
        wants = (
            f"declares {', '.join(hit)} neither durable nor exclusive"
            if hit
            else "declares no such queue: its start-up works on this broker"
        )
        yield f"Topology {facts.topology.name} {wants}."


def _is_transient(queue: Queue) -> bool:
    return not queue.durable and not queue.exclusive


def _permissions(occurrence: Occurrence, facts: Facts, skipped: tuple[Step, ...]) -> Iterator[str]:
    has = _permissions_of(occurrence.groups.get("user", ""), facts)
    if has is not None:
        rights = f"configure {has.configure!r}, write {has.write!r}, read {has.read!r}"
        yield f"User {has.user!r} has {rights} in {facts.vhost!r}."


def _permissions_of(user: str, facts: Facts) -> UserPermissions | None:
    """What a user may do in the virtual host of the installation, None where it was not read."""
    found = [UserPermissions(r.user, *r.permissions) for r in facts.reach if r.user and r.permissions is not None]
    found += (facts.broker.user_permissions if facts.broker else None) or ()
    return next((p for p in found if p.user == user), None)


def permission_patterns(occurrence: Occurrence, facts: Facts | None) -> dict[str, str]:
    """The patterns by right for a user that was refused in a whole virtual host; none where they are unknown.

    They keep what the user may do there now: the error can be an old one.
    """
    user = occurrence.groups.get("user")
    if user is None or occurrence.kind != "vhost":
        return {}
    here = facts if facts and facts.vhost == occurrence.groups["subject"] else None
    has = (_permissions_of(user, here) if here else None) or UserPermissions(user)
    try:
        return patterns_of_all_services(facts.topology if facts else None, has)
    except Unknown:
        return {}


def _alarms(occurrence: Occurrence, facts: Facts, skipped: tuple[Step, ...]) -> Iterator[str]:
    if facts.broker is not None and facts.broker.alarms is not None:
        yield f"Alarms now: {', '.join(facts.broker.alarms) or 'none'}."


def _silent_workers(occurrence: Occurrence, facts: Facts, skipped: tuple[Step, ...]) -> Iterator[str]:
    if facts.registry is None:
        return
    running = [w for w in facts.registry.workers if w.is_registered_live]
    stale = [f"{w.id} {w.name!r}" for w in running if w.is_stale(facts.taken_at, facts.registry.limit)]
    names = f": {', '.join(stale[:10])}" if stale else ""
    yield f"{len(stale)} of {len(running)} workers registered as running have a stale heartbeat{names}."


def _rejected(occurrence: Occurrence, facts: Facts, skipped: tuple[Step, ...]) -> Iterator[str]:
    """Where the dead letter of a rejected message is now."""
    if facts.missing_reason((Source.BROKER,)):
        return
    hops = [d.route.hops[0] for d in facts.memo(dead_letters) if d.own and d.route.reason == "rejected"]
    if any(hop.unroutable for hop in hops):
        lost = dict.fromkeys(hop.queue for hop in hops if hop.unroutable)
        yield f"No queue receives the messages that are rejected in {listed(lost, 3)}: they are lost (AT305)."
    for name in sorted({q for hop in hops for q in hop.queues}):
        depth = facts.actual.queue_named[name].messages
        if depth:
            yield f"{name} holds {counted(depth, 'dead letter')}: {command_lines.peek(name)}."


def _schedulable(occurrence: Occurrence, facts: Facts, skipped: tuple[Step, ...]) -> Iterator[str]:
    if facts.registry is None:
        return
    cordoned = [w for w in facts.live_workers if w.cordoned]
    yield f"Live workers now: {len(facts.live_workers)}; cordoned: {listed([w.name for w in cordoned], 3) or 'none'}."


def _registered(occurrence: Occurrence, facts: Facts, skipped: tuple[Step, ...]) -> Iterator[str]:
    name = occurrence.groups.get("subject")
    for worker in facts.registry.workers if facts.registry else ():
        if worker.name == name:
            age = worker.heartbeat_age(facts.taken_at)
            beat = "never" if age is None else f"{age.total_seconds():.0f} s ago"
            yield f"Worker {worker.id} has this name, on host {worker.host or 'unknown'}; last heartbeat: {beat}."


_ABOUT: dict[str, Callable[[Occurrence, Facts, tuple[Step, ...]], Iterator[str]]] = {
    "404 queue": _missing,
    "404 exchange": _missing,
    f"404 {UNAVAILABLE}": _unavailable,
    "406 queue": _unequal,
    "406 exchange": _unequal,
    "541 deprecated feature": _deprecated,
    "403 queue": _permissions,
    "403 exchange": _permissions,
    "BLOCKED": _alarms,
    "HEARTBEAT_LOST": _silent_workers,
    "HEARTBEAT_STALE": _silent_workers,
    "BODY_NOT_DECODED": _rejected,
    "NO_WORKER": _schedulable,
    "WORKER_NAME_TAKEN": _registered,
    "CLIENT_GONE": _silent_workers,
}
