"""Whether the bindings on the broker are those that the topology wants, and can match."""

from __future__ import annotations

from collections.abc import Iterator

from attune_ops.doctor.checks import check
from attune_ops.doctor.checks._phrases import counted, listed
from attune_ops.doctor.checks.design import taken_literally
from attune_ops.doctor.findings import Problem, Severity, Subject
from attune_ops.model import command_lines
from attune_ops.model.facts import Facts, Source
from attune_ops.model.ownership import exchange_kind
from attune_ops.model.topology import Binding
from attune_ops.topology.diff import diff
from attune_ops.topology.drift import DiffKind


@check(
    "AT207",
    "bindings-expected",
    group="topology",
    title="no queue of the topology has a binding that is not of it",
    severity=Severity.WARNING,
    needs=(Source.BROKER,),
    may_recover=False,
)
def bindings_expected(facts: Facts) -> Iterator[Problem]:
    """An unexpected binding brings a queue messages that its consumer does not know, and will reject or repeat.

    Only bindings to Attune's own queues and exchanges count; what others bind to theirs is their affair. A
    binding left by an older release, or made by hand with a wrong key, is of this kind.
    """
    for d in facts.memo(diff).of(DiffKind.UNEXPECTED):
        b = d.item
        assert isinstance(b, Binding)
        yield Problem(
            Subject("binding", d.name),
            f"{b.destination} is also bound to {b.source or 'the default exchange'} by {b.routing_key!r}, which is not "
            f"of {facts.topology.name}",
            evidence={"source": b.source, "destination": b.destination, "routing_key": b.routing_key,
                      "arguments": b.arguments, "worker": d.worker_id},
            remedy="Remove the binding, or put it into the topology file if it is meant.",
            commands=(command_lines.binding("unbind", b),),
            causes=(("AT208", d.name), *facts.memo(_missed).get((b.source, b.destination), ())),
        )  # fmt: skip


def _missed(facts: Facts) -> dict[tuple[str, str], list[tuple[str, str]]]:
    """For `facts.memo`: by source and destination the findings of a missing binding that another one stands in for."""
    found: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for d in facts.memo(diff).of(DiffKind.MISSING):
        if isinstance(d.item, Binding):
            code = "AT204" if d.worker_id is None else "AT402"
            found.setdefault((d.item.source, d.item.destination), []).append((code, d.name))
    return found


@check(
    "AT208",
    "bindings-can-match",
    group="topology",
    title="no binding takes a wildcard literally",
    severity=Severity.WARNING,
    needs=(Source.BROKER,),
    may_recover=False,
)
def bindings_can_match(facts: Facts) -> Iterator[Problem]:
    """On a direct exchange `#` and `*` are plain characters: such a binding matches no key that anybody publishes.

    Bindings on Attune's exchanges that are not of the topology file (those of the file are looked at by AT603). Where
    the exchange has another type than it should, that is the finding.
    """
    found = facts.actual.exchange_named
    for d in (*facts.memo(diff).of(DiffKind.UNEXPECTED), *facts.memo(diff).of(DiffKind.UNMANAGED)):
        b = d.item
        if not isinstance(b, Binding) or facts.topology.exchange(b.source) is None:
            continue
        kind = found[b.source].type if b.source in found else ""
        if taken_literally(kind, b.routing_key):
            yield Problem(
                Subject("binding", d.name),
                f"{b.destination} is bound to {b.source} by {b.routing_key!r}, which a {kind} exchange takes literally",
                evidence={"source": b.source, "type": kind, "destination": b.destination,
                          "routing_key": b.routing_key},
                remedy="Remove it and bind each key that is meant, or use a topic exchange.",
                commands=(command_lines.binding("unbind", b),),
                severity=None if d.kind is DiffKind.UNEXPECTED else Severity.INFO,
                causes=(("AT205", b.source),),
            )  # fmt: skip


@check(
    "AT209",
    "exchanges-bound",
    group="topology",
    title="something is bound to every exchange",
    severity=Severity.INFO,
    needs=(Source.BROKER,),
    required=False,
    may_recover=False,
)
def exchanges_bound(facts: Facts) -> Iterator[Problem]:
    """What is published to an exchange without bindings is dropped.

    Exchanges that are not Attune's, named in one finding with what was published to them; it may be their owner's
    intention. Attune's own are looked at by AT204 (what should be bound) and AT610 (what the topology binds).
    """
    bare = [
        e
        for e in facts.actual.exchanges or ()
        if exchange_kind(facts.topology, e.name) == "foreign"
        and e.name not in facts.actual.bindings_from
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
            inspect_commands=(command_lines.exchange(names[0]),),
            causes=tuple(("AT412", n) for n in names),
        )
