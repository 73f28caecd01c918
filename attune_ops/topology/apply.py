"""Declaring the objects of a topology that a broker lacks."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import TYPE_CHECKING

import msgspec

from attune_ops.installation import audit
from attune_ops.installation.amqp import close, losable, open_connection
from attune_ops.installation.amqp_write import BrokerRefused, bind, declare_exchange, declare_queue
from attune_ops.installation.broker_release import unknown_release
from attune_ops.installation.collect import check_release, collect
from attune_ops.installation.config.settings import Settings
from attune_ops.model import command_lines
from attune_ops.model.errors import SourceError, reports_done
from attune_ops.model.facts import Facts, Source
from attune_ops.model.ownership import WRONG_REGISTRY, require
from attune_ops.model.topology import Binding, Exchange, Queue, Topology
from attune_ops.model.units import listed
from attune_ops.model.waiting import wait_until
from attune_ops.topology.diff import diff
from attune_ops.topology.drift import ApplyResult, BrokerError, Declaration, Difference, DiffKind, Fix, TopologyDiff

if TYPE_CHECKING:
    from pika import BlockingConnection
    from pika.adapters.blocking_connection import BlockingChannel

# What a diff is made of.
SOURCES = (Source.BROKER, Source.DEPRECATED, Source.REGISTRY, Source.PERMISSIONS)
LISTINGS = ("exchanges", "queues", "bindings", "policies", "default_queue_type")

SETTLING_S = 5.0  # how long until what was declared is listed


def compare(settings: Settings) -> TopologyDiff:
    """Reads broker and registry and compares them with the topology; needs tag management, changes nothing.

    Raises `SourceError` where the broker cannot be read.
    """
    facts = collect(settings, SOURCES, listings=LISTINGS)
    require(facts, Source.BROKER)
    if settings.amqp.user != settings.management.user:  # the permissions read are not those of who declares
        facts = msgspec.structs.replace(facts, reach=tuple(r for r in facts.reach if r.permissions is None))
    found = diff(facts)
    if any(d.worker_id is not None for d in found.of(DiffKind.MISSING)):
        reason = _other_registry(facts, _consumed(settings, facts.topology))
        if reason is not None:
            missing = {**facts.missing, Source.REGISTRY: reason}
            found = diff(msgspec.structs.replace(facts, registry=None, missing=missing))
    unknown = _unknown_permissions(facts, settings) if found.steps else None
    if unknown is not None:
        note = f"whether user {settings.amqp.user!r} may declare it: {unknown}"
        found = msgspec.structs.replace(found, not_compared=(*found.not_compared, note))
    return found


def _unknown_permissions(facts: Facts, settings: Settings) -> str | None:
    if settings.amqp.user != settings.management.user:
        return f"the permissions of user {settings.management.user!r}, of the management API, are not its own"
    return facts.missing_reason((Source.PERMISSIONS,))


def _consumed(settings: Settings, topology: Topology) -> frozenset[str]:
    """The queues that have a consumer, as far as the user may see."""
    known = msgspec.structs.replace(settings, topology=topology, recognise=False)
    broker = collect(known, (Source.CONSUMERS,), listings=()).broker
    return frozenset() if broker is None else frozenset(broker.consumers_of)


def _other_registry(facts: Facts, consumed: Collection[str]) -> str | None:
    """Why the registry seems to be that of another broker: the workers that consume here are unknown to it.

    Queues of its workers would be declared here, bound, and never consumed.
    """
    ids = sorted({i for queue, i in facts.owner_of.items() if queue in consumed})
    if not ids or facts.registry is None or any(i in facts.worker_named for i in ids):
        return None
    return (
        f"the {facts.registry.kind} registry has none of the workers that consume here (ids {listed(map(str, ids))}); "
        f"{WRONG_REGISTRY}"
    )


def apply_topology(
    settings: Settings, *, write: bool, worker_queues: bool = True, confirm: str | None = None, force: bool = False
) -> ApplyResult:
    """Declares the objects of the topology that the broker lacks, and reads them back; a dry run without `write`.

    Changes and deletes nothing that exists. Undo: delete the queues and exchanges that were declared; the broker
    removes their bindings. With `worker_queues=False` no missing queue of a worker is declared: only the worker's
    start-up consumes from it. `confirm` is the environment's name where it is protected. Raises `SourceError` where the
    broker cannot be read or reached, and `ConfigError` where a protected environment is not confirmed, or `force` is
    not set and the broker runs another release, or none that is recognised and no topology was given.
    """
    if write:
        audit.check_confirmation(settings, confirm)
        check_release(settings, force)

    def read() -> TopologyDiff:
        return compare(settings) if worker_queues else _without_worker_queues(compare(settings))

    before = read()
    if not write:
        steps = (d for d in before.differences if d.fix is Fix.DECLARE)
        return ApplyResult(
            before, tuple(Declaration(d.subject, d.name, "to declare", None, d.worker_id) for d in steps)
        )
    if before.assumed and before.steps and not force:
        raise unknown_release(before.topology, before.vhost)
    outcomes: list[Declaration] = []
    with reports_done(lambda: _so_far(outcomes)):
        _declare(settings, before, confirm, outcomes)
        after = wait_until(read, lambda found: not _lost(outcomes, found), timeout=SETTLING_S, interval=0.2)
    lost = _lost(outcomes, after)
    return ApplyResult(
        before,
        tuple(msgspec.structs.replace(o, status="lost") if o in lost else o for o in outcomes),
        _with_refusals(outcomes, after),
    )


def _with_refusals(outcomes: Iterable[Declaration], after: TopologyDiff) -> TopologyDiff:
    """The diff as read back, with what the broker refused: that cannot be declared."""
    answers = {(o.subject, o.name): o.answer for o in outcomes if o.answer is not None}

    def refused(d: Difference) -> Difference:
        answer = answers.get((d.subject, d.name)) if d.fix is Fix.DECLARE else None
        return d if answer is None else msgspec.structs.replace(d, fix=Fix.REFUSED, declaring=answer)

    return msgspec.structs.replace(after, differences=tuple(map(refused, after.differences)))


def _so_far(outcomes: list[Declaration]) -> str:
    """What a run that ends early has done."""
    parts = ((s, listed(f"{o.subject} {o.name}" for o in outcomes if o.status == s)) for s in ("declared", "refused"))
    done = "; ".join(f"{status} before: {names}" for status, names in parts if names)
    return f"{done}; it is safe to run it again" if done else ""


def _declare(settings: Settings, before: TopologyDiff, confirm: str | None, outcomes: list[Declaration]) -> None:
    """Declares the steps as one change in the audit log; `outcomes` is filled as it goes."""
    if not before.steps:
        return
    names = [d.name for d in before.differences if d.fix is Fix.DECLARE]
    subject = f"{before.topology} in virtual host {before.vhost}"
    with audit.change(settings, "topology apply", subject, confirm=confirm, declares=names) as entry:
        # Filled as it goes, so that the entry of an interrupted run names what was declared.
        declared, refused = entry.setdefault("declared", []), entry.setdefault("refused", {})
        for outcome in declare_steps(settings, before):
            outcomes.append(outcome)
            if outcome.answer is None:
                declared.append(outcome.name)
            else:
                refused[outcome.name] = outcome.answer.text


def undo(result: ApplyResult) -> tuple[str, ...]:
    """How to remove what was declared, a sentence or command each."""
    steps = [d.item for d in result.before.differences if d.fix is Fix.DECLARE]
    made = [item for item, o in zip(steps, result.outcomes, strict=False) if o.status == "declared"]
    new: set[tuple[str, str]] = {("queue", item.name) for item in made if isinstance(item, Queue)}
    new |= {("exchange", item.name) for item in made if isinstance(item, Exchange)}
    notes = []
    if new:
        notes.append(
            "to undo, delete the queues and exchanges declared above while they are unused and empty; the broker "
            "removes their bindings"
        )
    for item in made:
        if isinstance(item, Binding) and new.isdisjoint(
            (("exchange", item.source), (item.destination_kind, item.destination))
        ):
            notes.append(f"undo: {command_lines.binding('unbind', item)}")
    return tuple(notes)


def _without_worker_queues(found: TopologyDiff) -> TopologyDiff:
    """The comparison without the missing queues of workers and the bindings of these."""
    missing = {d.name for d in found.of(DiffKind.MISSING) if d.subject == "queue" and d.worker_id is not None}

    def to_declare(d: Difference) -> bool:
        return d.name not in missing and not (isinstance(d.item, Binding) and d.item.destination in missing)

    note = f"left to the start-up of their workers: {listed(sorted(missing), 3)}"
    return msgspec.structs.replace(
        found,
        differences=tuple(filter(to_declare, found.differences)),
        not_compared=(*found.not_compared, note) if missing else found.not_compared,
    )


def _lost(outcomes: Iterable[Declaration], after: TopologyDiff) -> list[Declaration]:
    """What was declared without an error and is not there so: refused silently, or deleted since.

    What a policy overrides was declared all the same, and a binding may have the name of an unexpected one.
    """
    kinds = (DiffKind.MISSING, DiffKind.DIFFERENT)
    return [
        o for o in outcomes if o.status == "declared" and any(d.kind in kinds for d in after.about(o.subject, o.name))
    ]


def declare_steps(settings: Settings, diff: TopologyDiff) -> Iterator[Declaration]:
    """Declares what can be declared, in the order of the diff; changes and deletes nothing that exists.

    A refusal is in its result, and the rest is declared: the channel or connection that the refusal closed is opened
    again. Undo: delete the queues and exchanges that were declared; the broker removes their bindings. Raises
    `SourceError` where the broker cannot be reached.
    """
    declarer = _Declarer(settings)
    try:
        for d in diff.differences:
            if d.fix is Fix.DECLARE and d.item is not None:
                refused = declarer.declare(d.item)
                yield Declaration(d.subject, d.name, "refused" if refused else "declared", refused, d.worker_id)
    finally:
        declarer.close()


class _Declarer:
    """A channel that is reopened after the broker closed it, with its connection if needed."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._connection: BlockingConnection | None = None
        self._channel: BlockingChannel | None = None

    def declare(self, desired: Exchange | Queue | Binding) -> BrokerError | None:
        """Declares or binds one object; returns the broker's error where it refused."""
        channel = self._open()
        try:
            if isinstance(desired, Exchange):
                declare_exchange(channel, desired)
            elif isinstance(desired, Queue):
                declare_queue(channel, desired)
            else:
                bind(channel, desired)
        except BrokerRefused as e:
            if e.code is None:  # no answer of the broker: whether it was declared is unknown
                raise SourceError(str(e)) from e
            return BrokerError(e.code, e.reason, "connection" if channel.connection.is_closed else "channel")
        return None

    def _open(self) -> BlockingChannel:
        if self._connection is None or not self._connection.is_open:
            self.close()
            s = self._settings
            self._connection = open_connection(s.amqp, name="attune-ops topology apply", timeout=s.timeout, tls=s.tls)
            self._channel = None
        if self._channel is None or self._channel.is_closed:
            with losable(self._settings.amqp):
                self._channel = self._connection.channel()
        return self._channel

    def close(self) -> None:
        """Closes the connection."""
        if self._connection is not None:
            close(self._connection)
