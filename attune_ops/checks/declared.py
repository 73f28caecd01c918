"""Whether exchanges, queues and bindings are on the broker as the topology wants them."""

from __future__ import annotations

from collections.abc import Iterator

from attune_ops.checks import check
from attune_ops.checks._phrases import APPLY, counted, listed
from attune_ops.checks.design import taken_literally
from attune_ops.differences import Attribute, Difference, Kind, SubjectKind, Way
from attune_ops.facts import Facts, Source
from attune_ops.findings import Problem, Severity, Subject
from attune_ops.ownership import exchange_kind
from attune_ops.plan import plan
from attune_ops.topology import Binding


def _missing(facts: Facts, subject: SubjectKind) -> Iterator[Difference]:
    """What the topology declares once and the broker lacks; of the workers' own objects AT401 and AT402 tell."""
    return (d for d in facts.once(plan).of(Kind.MISSING) if d.subject == subject and d.worker_id is None)


def cure(difference: Difference) -> tuple[str, tuple[str, ...]]:
    """What to do about something missing: declare it, or first do away with what refuses it."""
    if difference.way is Way.DECLARE:
        return "Declare it, or restart a service: its set-up does.", (APPLY,)
    refused = difference.declaring.text if difference.declaring else "it is refused"
    return f"Declaring it is refused ({refused}); see to that first.", ()


@check(
    "AT201",
    "exchanges-exist",
    group="topology",
    title="every exchange of the topology is there",
    severity=Severity.ERROR,
    needs=(Source.BROKER,),
)
def exchanges_exist(facts: Facts) -> Iterator[Problem]:
    """Publishing to an exchange that is missing closes the publisher's channel with 404, some time later.

    Deleting an exchange takes all its bindings along: those of every worker too, which are not made again before
    the worker restarts. A dead-letter exchange that is missing is no error to anybody: dead letters vanish.
    """
    missing = list(_missing(facts, "exchange"))
    topology = facts.topology
    if missing and len(missing) == len(topology.exchanges) and _no_queue(facts):
        remedy, commands = cure(missing[0])
        yield Problem(
            Subject("broker", facts.vhost, facts.vhost),
            f"nothing of {topology.name} is in virtual host {facts.vhost}: no service has set up here, or this is not "
            "the virtual host or topology that they use",
            evidence={"exchanges": [d.name for d in missing], "queues": [q.name for q in topology.base_queues]},
            remedy=remedy,
            commands=commands,
        )
        return
    for d in missing:
        remedy, commands = cure(d)
        users = sorted({s for p in topology.publishes if p.exchange == d.name for s in p.by})
        yield Problem(
            Subject("exchange", d.name),
            f"exchange {d.name} is missing" + (f": publishing there ends in 404 ({listed(users)})" if users else ""),
            evidence={"publishers": users, "answer": d.using.text if d.using else None},
            remedy=remedy,
            commands=commands,
        )


def _no_queue(facts: Facts) -> bool:
    return not any(q.name in facts.seen.queue_named for q in facts.topology.base_queues)


@check(
    "AT202",
    "queues-exist",
    group="topology",
    title="every queue of the topology is there",
    severity=Severity.ERROR,
    needs=(Source.BROKER,),
)
def queues_exist(facts: Facts) -> Iterator[Problem]:
    """A service that consumes from a missing queue gets 404 NOT_FOUND and stops; what is sent to it is dropped.

    These are the queues that set-up declares once. The queues of workers are looked at by AT401.
    """
    for d in _missing(facts, "queue"):
        remedy, commands = cure(d)
        yield Problem(
            Subject("queue", d.name),
            f"queue {d.name} is missing: who consumes from it gets 404, and what is meant for it is dropped",
            evidence={"answer": d.using.text if d.using else None},
            remedy=remedy,
            commands=commands,
            causes=(("AT201", facts.vhost),),
        )


@check(
    "AT204",
    "bindings-exist",
    group="topology",
    title="every binding of the topology is there",
    severity=Severity.ERROR,
    needs=(Source.BROKER,),
)
def bindings_exist(facts: Facts) -> Iterator[Problem]:
    """Without its binding a queue gets nothing, and nobody is told: the broker drops what no binding takes.

    Where the queue is bound to the same exchange by another key instead, that is said: it is the usual slip.
    """
    for d in _missing(facts, "binding"):
        remedy, commands = cure(d)
        wanted = d.wanted
        assert isinstance(wanted, Binding)
        instead = list(facts.once(keys_in_place).get((wanted.source, wanted.destination), ()))
        yield Problem(
            Subject("binding", d.name),
            f"{wanted.destination} is not bound to {wanted.source} by {wanted.routing_key!r}"
            + (f", but by {listed(map(repr, instead))}" if instead else ""),
            evidence={"source": wanted.source, "destination": wanted.destination, "routing_key": wanted.routing_key,
                      "instead": instead},
            remedy=remedy,
            commands=commands,
            causes=(
                *(("AT201", name) for name in (facts.vhost, wanted.source, wanted.destination)),
                ("AT202", wanted.destination),
            ),
        )  # fmt: skip


def keys_in_place(facts: Facts) -> dict[tuple[str, str], list[str]]:
    """For `facts.once`: by source and destination the keys of the bindings there that are not of the topology."""
    found: dict[tuple[str, str], list[str]] = {}
    for d in facts.once(plan).of(Kind.UNEXPECTED):
        if isinstance(d.wanted, Binding):
            found.setdefault((d.wanted.source, d.wanted.destination), []).append(d.wanted.routing_key)
    return found


@check(
    "AT205",
    "exchanges-equal",
    group="topology",
    title="every exchange is declared as the topology wants it",
    severity=Severity.ERROR,
    needs=(Source.BROKER,),
    heals=False,
)
def exchanges_equal(facts: Facts) -> Iterator[Problem]:
    """An exchange of another type routes differently, and every service that declares it gets 406 and stops.

    A broker never changes what exists: it must be deleted (with all its bindings) and declared anew.
    """
    yield from _different(facts, "exchange")


@check(
    "AT206",
    "queues-equal",
    group="topology",
    title="every queue is declared as the topology wants it",
    severity=Severity.ERROR,
    needs=(Source.BROKER,),
    heals=False,
)
def queues_equal(facts: Facts) -> Iterator[Problem]:
    """A queue that exists with other properties stops each service that declares it: 406 PRECONDITION_FAILED.

    The broker names only the first difference (durable before auto-delete before arguments). Arguments that it
    does not compare let the service start, without what it asked for: a warning. Nothing can be changed on a queue
    that exists; it must be deleted, its messages first moved. Some arguments a policy can add until then.
    """
    yield from _different(facts, "queue")


def _different(facts: Facts, subject: SubjectKind) -> Iterator[Problem]:
    alike: dict[tuple[str, str], list[Difference]] = {}
    for d in facts.once(plan).of(Kind.DIFFERENT):
        if d.subject == subject:
            owner = facts.topology.worker_of(d.name) if subject == "queue" else None
            alike.setdefault((owner[1].name if owner else d.name, repr(d.attributes)), []).append(d)
    for differences in alike.values():
        first, names = differences[0], [d.name for d in differences]
        answer = f"; declaring it gets {first.declaring.code}" if first.declaring else "; nobody is told"
        keys = [a.policy_key for a in first.attributes if a.policy_key]
        hint = f" A policy with {listed(keys)} can do for now." if keys else ""
        yield Problem(
            Subject(subject, first.name),
            f"{listed(names, 3)}: {listed(map(_attribute, first.attributes))}{answer}",
            evidence={
                "names": names,
                "attributes": {a.name: {"wanted": a.wanted, "found": a.found} for a in first.attributes},
                "answer": first.declaring.text if first.declaring else None,
            },
            remedy=f"Delete the {subject} and let it be declared anew, its messages first moved away.{hint}",
            severity=None if first.declaring else Severity.WARNING,
        )


def _attribute(a: Attribute) -> str:
    return f"{a.name} is {_value(a.found)}, not {_value(a.wanted)}"


def _value(value: object) -> str:
    return "not set" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


@check(
    "AT207",
    "bindings-expected",
    group="topology",
    title="no queue of the topology has a binding that is not of it",
    severity=Severity.WARNING,
    needs=(Source.BROKER,),
    heals=False,
)
def bindings_expected(facts: Facts) -> Iterator[Problem]:
    """An unexpected binding brings a queue messages that its consumer does not know, and will reject or repeat.

    Only bindings to Attune's own queues and exchanges count; what others bind to theirs is their affair. A
    binding left by an older release, or made by hand with a wrong key, is of this kind.
    """
    for d in facts.once(plan).of(Kind.UNEXPECTED):
        b = d.wanted
        assert isinstance(b, Binding)
        yield Problem(
            Subject("binding", d.name),
            f"{b.destination} is also bound to {b.source or 'the default exchange'} by {b.routing_key!r}, which is not "
            f"of {facts.topology.name}",
            evidence={"source": b.source, "destination": b.destination, "routing_key": b.routing_key,
                      "arguments": b.arguments, "worker": d.worker_id},
            remedy="Remove the binding, or put it into the topology file if it is meant.",
            causes=(("AT208", d.name), *facts.once(_missed).get((b.source, b.destination), ())),
        )  # fmt: skip


def _missed(facts: Facts) -> dict[tuple[str, str], list[tuple[str, str]]]:
    """For `facts.once`: by source and destination the findings of a missing binding that another one stands in for."""
    found: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for d in facts.once(plan).of(Kind.MISSING):
        if isinstance(d.wanted, Binding):
            code = "AT204" if d.worker_id is None else "AT402"
            found.setdefault((d.wanted.source, d.wanted.destination), []).append((code, d.name))
    return found


@check(
    "AT208",
    "bindings-can-match",
    group="topology",
    title="no binding takes a wildcard literally",
    severity=Severity.WARNING,
    needs=(Source.BROKER,),
    heals=False,
)
def bindings_can_match(facts: Facts) -> Iterator[Problem]:
    """On a direct exchange `#` and `*` are plain characters: such a binding matches no key that anybody publishes.

    Bindings on Attune's exchanges that are not of the topology file (those of the file are looked at by AT603). Where
    the exchange has another type than it should, that is the finding.
    """
    found = facts.seen.exchange_named
    for d in (*facts.once(plan).of(Kind.UNEXPECTED), *facts.once(plan).of(Kind.FOREIGN)):
        b = d.wanted
        if not isinstance(b, Binding) or facts.topology.exchange(b.source) is None:
            continue
        kind = found[b.source].type if b.source in found else ""
        if taken_literally(kind, b.routing_key):
            yield Problem(
                Subject("binding", d.name),
                f"{b.destination} is bound to {b.source} by {b.routing_key!r}, which a {kind} exchange takes literally",
                evidence={"source": b.source, "type": kind, "destination": b.destination,
                          "routing_key": b.routing_key},
                remedy="Bind each key that is meant, or use a topic exchange.",
                severity=None if d.kind is Kind.UNEXPECTED else Severity.INFO,
                causes=(("AT205", b.source),),
            )  # fmt: skip


@check(
    "AT209",
    "exchanges-bound",
    group="topology",
    title="something is bound to every exchange",
    severity=Severity.INFO,
    needs=(Source.BROKER,),
    matters=False,
    heals=False,
)
def exchanges_bound(facts: Facts) -> Iterator[Problem]:
    """What is published to an exchange without bindings is dropped.

    Exchanges that are not Attune's, named in one finding with what was published to them; it may be their owner's
    intention. Attune's own are looked at by AT204 (what should be bound) and AT610 (what the topology binds).
    """
    bare = [
        e
        for e in facts.seen.exchanges or ()
        if exchange_kind(facts.topology, e.name) == "foreign"
        and e.name not in facts.seen.bindings_from
        and "alternate-exchange" not in e.arguments
    ]
    if bare:
        names = [e.name for e in bare]
        lost = sum(e.publish_in or 0 for e in bare)
        yield Problem(
            Subject("exchange", names[0]),
            f"nothing is bound to {listed(names)}" + (f"; {counted(lost, 'message')} published there" if lost else ""),
            evidence={"exchanges": names, "published": {e.name: e.publish_in for e in bare}},
            remedy="Ask their owner.",
            causes=tuple(("AT412", n) for n in names),
        )
