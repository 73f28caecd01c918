"""Whether what is declared on the broker is what the topology would declare."""

from __future__ import annotations

from collections.abc import Iterator

from attune_ops.doctor.checks import check
from attune_ops.doctor.checks._phrases import listed
from attune_ops.doctor.findings import Problem, Severity, Subject
from attune_ops.model.command_lines import DIFF
from attune_ops.model.facts import Facts, Source
from attune_ops.topology.diff import diff
from attune_ops.topology.drift import Attribute, Difference, DiffKind, SubjectKind


@check(
    "AT205",
    "exchanges-equal",
    group="topology",
    title="exchange properties match the topology",
    severity=Severity.ERROR,
    needs=(Source.BROKER,),
    may_recover=False,
)
def exchanges_equal(facts: Facts) -> Iterator[Problem]:
    """An exchange of the wrong type routes differently, and every service that declares it fails with 406.

    A broker never changes an existing exchange: it must be deleted (with all its bindings) and redeclared.
    """
    yield from _different(facts, "exchange")


@check(
    "AT206",
    "queues-equal",
    group="topology",
    title="queue properties match the topology",
    severity=Severity.ERROR,
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


def _different(facts: Facts, subject: SubjectKind) -> Iterator[Problem]:
    alike: dict[tuple[str, str], list[Difference]] = {}
    for d in facts.memo(diff).of(DiffKind.DIFFERENT):
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
                "attributes": {a.name: {"wanted": a.desired, "found": a.actual} for a in first.attributes},
                "answer": first.declaring.text if first.declaring else None,
            },
            remedy=f"Delete the {subject} and let it be declared anew, its messages first moved away.{hint}",
            inspect_commands=(DIFF,),
            severity=None if first.declaring else Severity.WARNING,
        )


def _attribute(a: Attribute) -> str:
    return f"{a.name} is {_value(a.actual)}, not {_value(a.desired)}"


def _value(value: object) -> str:
    return "not set" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
