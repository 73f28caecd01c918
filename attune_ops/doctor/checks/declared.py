"""Whether the exchanges, queues and bindings of the topology are on the broker."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from attune_ops.doctor.checks import check
from attune_ops.doctor.checks._phrases import listed
from attune_ops.doctor.findings import Problem, Severity, Subject
from attune_ops.model import command_lines
from attune_ops.model.command_lines import DECLARE
from attune_ops.model.facts import Facts, Source
from attune_ops.model.topology import Binding
from attune_ops.topology.diff import diff
from attune_ops.topology.drift import Difference, DiffKind, Fix, SubjectKind


def _missing(facts: Facts, subject: SubjectKind) -> Iterator[Difference]:
    """What the topology declares once and the broker lacks; of the workers' own objects AT401 and AT402 tell."""
    return (d for d in facts.memo(diff).of(DiffKind.MISSING) if d.subject == subject and d.worker_id is None)


def cure(difference: Difference) -> tuple[str, tuple[str, ...]]:
    """What to do about something missing: declare it, or first do away with what refuses it."""
    if difference.fix is Fix.DECLARE:
        return "Declare it, or restart a service: its set-up does.", (DECLARE,)
    refused = difference.declaring.text if difference.declaring else "it is refused"
    return f"Declaring it is refused ({refused}); see to that first.", ()


@check(
    "AT201",
    "exchanges-exist",
    group="topology",
    title="all exchanges of the topology exist",
    severity=Severity.ERROR,
    needs=(Source.BROKER,),
)
def exchanges_exist(facts: Facts) -> Iterator[Problem]:
    """Publishing to a missing exchange closes the publisher's channel with 404, some time later.

    Deleting an exchange deletes all its bindings, including those of every worker, which are only restored when the
    worker restarts. A missing dead-letter exchange causes no error: dead letters are dropped silently.
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
    return not any(q.name in facts.actual.queue_named for q in facts.topology.base_queues)


@check(
    "AT202",
    "queues-exist",
    group="topology",
    title="all queues of the topology exist",
    severity=Severity.ERROR,
    needs=(Source.BROKER,),
)
def queues_exist(facts: Facts) -> Iterator[Problem]:
    """A service that consumes from a missing queue fails with 404 NOT_FOUND. Messages for the queue are dropped.

    These are the queues that the services declare once, at set-up. AT401 checks the queues of workers.
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
    title="all bindings of the topology exist",
    severity=Severity.ERROR,
    needs=(Source.BROKER,),
)
def bindings_exist(facts: Facts) -> Iterator[Problem]:
    """A queue without its binding receives nothing, and nobody gets an error: the broker drops unroutable messages.

    If the queue is bound to the same exchange by another key, the finding says so. That is the most common mistake.
    """
    for d in _missing(facts, "binding"):
        remedy, commands = cure(d)
        wanted = d.item
        assert isinstance(wanted, Binding)
        others = facts.memo(in_its_place).get((wanted.source, wanted.destination), ())
        instead = [b.routing_key for b in others]
        yield Problem(
            Subject("binding", d.name),
            f"{wanted.destination} is not bound to {wanted.source} by {wanted.routing_key!r}"
            + (f", but by {listed(map(repr, instead))}" if instead else ""),
            evidence={"source": wanted.source, "destination": wanted.destination, "routing_key": wanted.routing_key,
                      "instead": instead},
            remedy=remedy,
            commands=(*unbound(others), *commands),
            causes=(
                *(("AT201", name) for name in (facts.vhost, wanted.source, wanted.destination)),
                ("AT202", wanted.destination),
                ("AT504", wanted.destination),  # the broker takes away the bindings of a queue whose node is down
            ),
        )  # fmt: skip


def in_its_place(facts: Facts) -> dict[tuple[str, str], list[Binding]]:
    """For `facts.memo`: by source and destination the bindings there that are not of the topology."""
    found: dict[tuple[str, str], list[Binding]] = {}
    for d in facts.memo(diff).of(DiffKind.UNEXPECTED):
        if isinstance(d.item, Binding):
            found.setdefault((d.item.source, d.item.destination), []).append(d.item)
    return found


def unbound(bindings: Iterable[Binding]) -> tuple[str, ...]:
    """The commands that remove what stands in the place of a binding that is missed."""
    return tuple(command_lines.binding("unbind", b) for b in bindings)
