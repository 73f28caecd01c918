"""Whether the exchanges, queues and bindings of the topology exist on the broker, with the same properties."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from attune_ops.doctor.checks import check
from attune_ops.doctor.checks._common import counted, foreign_objects, listed, merged
from attune_ops.doctor.checks.orphaned_queues import removable_queues
from attune_ops.doctor.checks.unexpected_bindings import LISTED
from attune_ops.doctor.findings import Problem, Severity, Subject
from attune_ops.model import command_lines
from attune_ops.model.command_lines import DECLARE, DIFF, CommandLine
from attune_ops.model.facts import Facts, Source
from attune_ops.model.topology import Binding, Per, Topology, binding_name
from attune_ops.topology.diff import diff
from attune_ops.topology.drift import Attribute, Difference, DiffKind, Fix, ObjectKind

THEN_UNBIND = " Then remove what is bound by another key, unless it is intended."


def _missing(facts: Facts, subject: ObjectKind) -> Iterator[Difference]:
    """The missing objects that set-up declares once; AT401 and AT402 check those of the workers."""
    return (d for d in facts.memo(diff).of(DiffKind.MISSING) if d.subject == subject and d.worker_id is None)


def declare(facts: Facts, difference: Difference) -> tuple[str, tuple[CommandLine, ...]]:
    """Remedy and commands for a missing object: declare it, or first remove what refuses the declaration.

    By a topology that is only the default nothing is declared: with it the services of another release cannot start.
    """
    if difference.fix is Fix.DECLARE and facts.assumed:
        return "Restart a service, which declares it at set-up; or name the topology of its release (--topology).", ()
    if difference.fix is Fix.DECLARE:
        return "Declare it, or restart a service, which declares it at set-up.", (DECLARE,)
    return refused(difference), ()


def refused(difference: Difference) -> str:
    """The remedy for a missing object that the broker refuses to declare."""
    reason = f" ({difference.declaring.text})" if difference.declaring else ""
    return f"The broker refuses its declaration{reason}: fix that first."


@check(
    "AT201",
    "exchanges-exist",
    "all exchanges of the topology exist",
    Severity.ERROR,
    needs=(Source.BROKER,),
    passive=True,
    any_broker=True,
)
def exchanges_exist(facts: Facts) -> Iterator[Problem]:
    """Publishing to a missing exchange closes the publisher's channel with 404, some time later.

    Deleting an exchange deletes all its bindings, including those of every worker, which are only restored when the
    worker restarts. A missing dead-letter exchange causes no error: dead letters are dropped silently.
    """
    missing = list(_missing(facts, "exchange"))
    topology = facts.topology
    if missing and len(missing) == len(topology.exchanges) and _no_queue(facts):
        yield _nothing_there(facts, missing)
        return
    for d in missing:
        remedy, commands = declare(facts, d)
        users = sorted({s for p in topology.publishes if p.exchange == d.name for s in p.by})
        if commands and (services := _with_own_queues_at(topology, d.name)):
            remedy += f" Then restart each replica of the {listed(services)}: only its start binds its own queue again."
        yield Problem(
            Subject("exchange", d.name),
            f"exchange {d.name} is missing" + (f": publishing to it fails with 404 ({listed(users)})" if users else ""),
            evidence={"publishers": users, "answer": d.using.text if d.using else None},
            remedy=remedy,
            commands=commands,
        )


def _with_own_queues_at(topology: Topology, exchange: str) -> list[str]:
    """The services of which each replica binds a server-named queue to this exchange."""
    service_of = {q.name: q.service for q in topology.queues if q.per is Per.REPLICA}
    bound = (b.destination for b in topology.bindings if b.source == exchange)
    return sorted({service_of[label] for label in bound if label in service_of})


def _nothing_there(facts: Facts, missing: list[Difference]) -> Problem:
    """One problem for a virtual host without any object of the topology.

    Nothing is declared beside others' objects, and nothing by a guess.
    """
    topology, others = facts.topology, foreign_objects(facts)
    said = f"no Attune topology here: virtual host {facts.vhost} has no exchange and no queue of {topology.name}"
    remedy, commands = declare(facts, missing[0])
    if facts.elsewhere:
        said += f"; virtual host {listed(facts.elsewhere)} has exchanges of Attune"
        remedy, commands = "Enter that virtual host at the end of the AMQP URL (amqp://…/VHOST).", ()
    elif others or facts.assumed:
        said += f", but {counted(others, 'object')} of other applications" if others else ""
        remedy, commands = (
            "Check the virtual host at the end of the AMQP URL, or --topology. If Attune is to use this virtual host, "
            "start one of its services.",
            (),
        )
    return Problem(
        Subject("broker", facts.vhost, facts.vhost),
        said,
        evidence={
            "exchanges": [d.name for d in missing],
            "queues": [q.name for q in topology.base_queues],
            "foreign_objects": others,
            "elsewhere": list(facts.elsewhere),
        },
        remedy=remedy,
        commands=commands,
    )


def _no_queue(facts: Facts) -> bool:
    return not any(q.name in facts.actual.queue_named for q in facts.topology.base_queues)


@check(
    "AT202", "queues-exist", "all queues of the topology exist", Severity.ERROR, needs=(Source.BROKER,), passive=True
)
def queues_exist(facts: Facts) -> Iterator[Problem]:
    """A service that consumes from a missing queue fails with 404 NOT_FOUND. Messages for the queue are dropped.

    These are the queues that the services declare once, at set-up. AT401 checks the queues of workers.
    """
    for d in _missing(facts, "queue"):
        remedy, commands = declare(facts, d)
        services = sorted({c.service for c in facts.topology.consumers if c.queue == d.name})
        if commands and services:
            remedy += f" Then restart the {listed(services)}: a consumer is cancelled with its queue."
        yield Problem(
            Subject("queue", d.name),
            f"queue {d.name} is missing: consuming from it fails with 404, and messages for it are dropped",
            evidence={"answer": d.using.text if d.using else None},
            remedy=remedy,
            commands=commands,
            related={"vhost": (facts.vhost,)},
        )


@check("AT204", "bindings-exist", "all bindings of the topology exist", Severity.ERROR, needs=(Source.BROKER,))
def bindings_exist(facts: Facts) -> Iterator[Problem]:
    """A queue without its binding receives nothing, and nobody gets an error: the broker drops unroutable messages.

    If the queue is bound to the same exchange by another key, the finding says so. That is the most common mistake.
    An exchange without any binding left is one finding about all its queues: it was deleted and redeclared. The own
    queue of a replica has a name from the broker; it is known by the tag of its consumer.
    """
    yield from merged(
        _missing_bindings(facts),
        _unbound_queues,
        lambda problems: problems[0].commands,
    )
    yield from _unbound_replicas(facts)


def _unbound_replicas(facts: Facts) -> Iterator[Problem]:
    exclusive = {q.name for q in facts.actual.queues or () if q.exclusive}
    for c in facts.actual.consumers or () if exclusive else ():
        known = facts.topology.replica_consumer(c.tag) if c.queue in exclusive else None
        if known is None:
            continue
        there = {(b.source, b.routing_key) for b in facts.actual.bindings_to_queue.get(c.queue, ())}
        lacking = [b for b in facts.topology.bindings_to(known.queue) if (b.source, b.routing_key) not in there]
        if lacking:
            sources, keys = sorted({b.source for b in lacking}), [b.routing_key for b in lacking]
            yield Problem(
                Subject("queue", c.queue),
                f"{c.queue}, the own queue of a replica of the {known.service}, is not bound to {listed(sources)} with "
                f"key {listed(map(repr, keys))}",
                evidence={"service": known.service, "consumer": c.tag, "sources": sources, "routing_keys": keys},
                remedy="Restart that replica: only its start binds its own queue.",
                related={"vhost": (facts.vhost,), "source": tuple(sources), "destination": (c.queue,)},
                alike=(known.service, tuple(keys)),
            )


def _unbound_queues(problems: Sequence[Problem]) -> str:
    queues = dict.fromkeys(str(p.evidence["destination"]) for p in problems)  # one may lack several bindings
    are = counted(len(queues), "queue is", "queues are")
    return f"{are} not bound to {problems[0].evidence['source']}: {listed(queues, 3)}{problems[0].evidence['unbound']}"


def _missing_bindings(facts: Facts) -> Iterator[tuple[object, Problem]]:
    for d in _missing(facts, "binding"):
        remedy, commands = declare(facts, d)
        b = d.item
        assert isinstance(b, Binding)
        message, instead, unbind = not_bound(facts, b)
        if commands and instead:  # the declaration of all reports what is not desired as a failure
            commands = (command_lines.bind(b), *unbind)  # until this one is there, the other may be used
        unbound = ""
        if _has_none_left(facts, b.source):
            unbound = f"; {b.source} has no bindings left: it was deleted and redeclared, or they were removed"
        yield unbound or d.name, Problem(
            Subject("binding", d.name),
            f"{message}{unbound}",
            evidence={"source": b.source, "destination": b.destination, "routing_key": b.routing_key,
                      "instead": instead, "unbound": unbound},
            remedy=remedy + (THEN_UNBIND if commands and unbind else ""),
            commands=commands,
            # The broker removes the bindings of a queue when its node is down.
            related={"vhost": (facts.vhost,), "source": (b.source,), "destination": (b.destination,)},
        )  # fmt: skip


def _has_none_left(facts: Facts, exchange: str) -> bool:
    """Whether an exchange is there without any binding, though the topology binds several queues to it."""
    topology = facts.topology
    queues = sum(b.source == exchange for b in topology.base_bindings)
    queues += sum(b.source == exchange for b in topology.worker_bindings(0)) * len(facts.live_workers)
    return queues > 1 and exchange in facts.actual.exchange_named and not facts.actual.bindings_from.get(exchange)


def lost_with(facts: Facts, exchange: str) -> tuple[str, ...]:
    """For `Problem.related`: the base bindings of an exchange that has none left, subjects of AT204."""
    if not _has_none_left(facts, exchange):
        return ()
    return tuple(
        binding_name(b.source, b.destination, b.routing_key)
        for b in facts.topology.base_bindings
        if b.source == exchange
    )


def not_bound(facts: Facts, b: Binding) -> tuple[str, list[str], tuple[CommandLine, ...]]:
    """The message about a missing binding, the keys of bindings in its place, and the commands that remove these.

    Where several bindings between the two are missing, the commands are those of the last one. Too many have none.
    """
    ends = b.source, b.destination
    others = facts.memo(_unexpected).get(ends, [])
    keys = [other.routing_key for other in others]
    found = f" (found: {listed(map(repr, keys))})" if keys else ""
    message = f"{b.destination} is not bound to {b.source} with key {b.routing_key!r}{found}"
    removed = others if len(others) <= LISTED and facts.memo(_last_missing)[ends] == b else []
    return message, keys, tuple(command_lines.binding("unbind", other) for other in removed)


def _last_missing(facts: Facts) -> dict[tuple[str, str], Binding]:
    """For `facts.memo`: the last of the missing bindings, by source and destination."""
    missing = (d.item for d in facts.memo(diff).of(DiffKind.MISSING))
    return {(b.source, b.destination): b for b in missing if isinstance(b, Binding)}


def _unexpected(facts: Facts) -> dict[tuple[str, str], list[Binding]]:
    """For `facts.memo`: the unexpected bindings that can be removed, by source and destination."""
    found: dict[tuple[str, str], list[Binding]] = {}
    for d in facts.memo(diff).of(DiffKind.UNEXPECTED):
        if isinstance(d.item, Binding) and d.fix is Fix.UNBIND:
            found.setdefault((d.item.source, d.item.destination), []).append(d.item)
    return found


@check(
    "AT205",
    "exchanges-equal",
    "exchange properties match the topology",
    Severity.ERROR,
    needs=(Source.BROKER,),
    may_recover=False,
)
def exchanges_equal(facts: Facts) -> Iterator[Problem]:
    """An exchange of the wrong type routes differently, and every service that declares it fails with 406.

    A broker never changes an existing exchange: it must be deleted (with all its bindings) and redeclared. An exchange
    that older RabbitMQ imported from definitions without `auto_delete` has no value there: the broker refuses every
    redeclaration ("received 'false' but current is none").
    """
    yield from _different(facts, "exchange")


@check(
    "AT206",
    "queues-equal",
    "queue properties match the topology",
    Severity.ERROR,
    needs=(Source.BROKER,),
    may_recover=False,
)
def queues_equal(facts: Facts) -> Iterator[Problem]:
    """A queue with different properties stops every service that declares it: 406 PRECONDITION_FAILED.

    The broker reports only the first difference (durable before auto-delete before arguments). Some arguments are
    not compared: the service then starts without the argument it asked for, which is a warning. An existing queue
    cannot be changed. Move its messages, then delete and redeclare it. Until then a policy can set some of the
    arguments.
    """
    yield from _different(facts, "queue")


def _different(facts: Facts, subject: ObjectKind) -> Iterator[Problem]:
    alike: dict[tuple[str, str, bool], list[Difference]] = {}
    orphans = {}  # their queues are to be deleted, not redeclared
    for d in facts.memo(diff).of(DiffKind.DIFFERENT):
        if d.subject == subject:
            owner = facts.topology.worker_of(d.name) if subject == "queue" else None
            orphan = facts.memo(removable_queues).get(owner[0]) if owner else None
            orphans[d.name] = orphan
            template = owner[1].name if owner else d.name
            alike.setdefault((template, repr(d.attributes), orphan is not None), []).append(d)
    for differences in alike.values():
        first, names = differences[0], [d.name for d in differences]
        answer = (
            f"; declaring it fails with {first.declaring.code}" if first.declaring else "; declaring it gives no error"
        )
        keys = [a.policy_key for a in first.attributes if a.policy_key]
        hint = f" Until then a policy can set {listed(keys)}." if keys else ""
        yield Problem(
            Subject(subject, first.name),
            f"{listed(names, 3)}: {listed(map(_attribute, first.attributes))}{answer}",
            evidence={
                "names": names,
                "attributes": {a.name: {"wanted": a.desired, "found": a.actual} for a in first.attributes},
                "answer": first.declaring.text if first.declaring else None,
            },
            remedy=_remedy(facts, first) + hint,
            inspect_commands=(DIFF,),
            severity=None if first.declaring else Severity.WARNING,
            others=tuple(Subject(subject, name) for name in names[1:]),
            related={"orphan": (orphan,)} if (orphan := orphans[first.name]) else {},
        )


def _remedy(facts: Facts, different: Difference) -> str:
    if different.subject == "exchange":
        return (
            "Delete and redeclare the exchange. All its bindings are deleted with it: then run the services' set-up, "
            "and restart each worker, which ends the actions that it runs."
        )
    found = facts.actual.queue_named.get(different.name)
    if found is not None and found.exclusive:
        return "Stop the client that declared it: an exclusive queue is deleted with its connection."
    if facts.topology.worker_of(different.name):
        return "Move its messages, delete the queue, then restart its worker, which declares it."
    return "Move its messages, then delete and redeclare the queue."


def _attribute(a: Attribute) -> str:
    return f"{a.name} is {_value(a.actual)} (desired: {_value(a.desired)})"


def _value(value: object) -> str:
    return "not set" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
