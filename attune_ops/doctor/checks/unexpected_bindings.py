"""Bindings that the topology does not have, bindings that match nothing, exchanges without bindings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from attune_ops.doctor.checks import check
from attune_ops.doctor.checks._common import counted, listed
from attune_ops.doctor.checks.message_design import taken_literally
from attune_ops.doctor.findings import Problem, Severity, Subject
from attune_ops.model import command_lines
from attune_ops.model.facts import Facts, Source
from attune_ops.model.ownership import exchange_kind
from attune_ops.model.topology import Binding
from attune_ops.routing.topology_routes import dead_letters
from attune_ops.topology.diff import diff
from attune_ops.topology.drift import Difference, DiffKind, Fix

LISTED = 20  # bindings from one source to one destination that have a finding each; more of them are one finding


class _Bindings(msgspec.Struct):
    """The bindings from one source to one destination: how many there are, and the first of them."""

    count: int = 0
    first: list[tuple[Difference, Binding]] = []

    @property
    def several(self) -> bool:
        """Whether they are too many for a finding each."""
        return self.count > LISTED

    @property
    def evidence(self) -> dict[str, Any]:
        """For the finding about all of them; the names are bounded, because a broker can have a million."""
        b = self.first[0][1]
        return {"source": b.source, "destination": b.destination, "count": self.count,
                "first": [{"routing_key": b.routing_key, "arguments": b.arguments} for _, b in self.first]}  # fmt: skip


def _by_ends(differences: Iterable[Difference]) -> Iterable[_Bindings]:
    found: dict[tuple[str, str, str, DiffKind], _Bindings] = {}
    for d in differences:
        if isinstance(d.item, Binding):
            b = d.item
            several = found.setdefault((b.source, b.destination_kind, b.destination, d.kind), _Bindings())
            several.count += 1
            if several.count <= LISTED:
                several.first.append((d, b))
    return found.values()


@check(
    "AT207",
    "bindings-expected",
    "no unexpected bindings of Attune's exchanges and queues",
    Severity.WARNING,
    needs=(Source.BROKER,),
    may_recover=False,
)
def bindings_expected(facts: Facts) -> Iterator[Problem]:
    """An unexpected binding sends messages to a queue that its consumer rejects or handles twice.

    Only bindings to Attune's own queues and exchanges are checked. Common causes are an older release, and a binding
    made by hand with a wrong key. More than 20 of them from one exchange to one queue are one finding, with their
    number and the first 20. A binding that routes dead letters to their queue by another key is to be kept: Attune's
    own key may match none.
    """
    missing = facts.memo(_missing)
    for several in _by_ends(facts.memo(diff).of(DiffKind.UNEXPECTED)):
        d, b = several.first[0]
        related = {
            "destination": (b.destination,),
            "missing binding": tuple(missing.get((b.source, b.destination), ())),
        }
        if several.several:
            yield Problem(
                Subject("binding", d.name),
                f"{b.destination} has {several.count} bindings to {b.source or 'the default exchange'} which are not "
                f"part of {facts.topology.name}",
                evidence={**several.evidence, "worker": d.worker_id},
                remedy="Find the application that makes these bindings and stop it; then remove them.",
                related={"subject": (), **related},  # what explains one of them does not explain all
            )
            continue
        for d, b in several.first:
            kept = d.fix is Fix.NOTHING
            yield Problem(
                Subject("binding", d.name),
                f"{b.destination} is also bound to {b.source or 'the default exchange'} with key {b.routing_key!r}, "
                f"which is not part of {facts.topology.name}",
                evidence={"source": b.source, "destination": b.destination, "routing_key": b.routing_key,
                          "arguments": b.arguments, "worker": d.worker_id},
                remedy="Keep it: it routes dead letters, which may be lost without it. Add it to the topology file."
                if kept
                else "Remove the binding, or add it to the topology file if it is intended.",
                commands=() if kept else (command_lines.binding("unbind", b),),
                related=related,
            )  # fmt: skip


def _missing(facts: Facts) -> dict[tuple[str, str], list[str]]:
    """For `facts.memo`: the names of missing bindings, by source and destination."""
    found: dict[tuple[str, str], list[str]] = {}
    for d in facts.memo(diff).of(DiffKind.MISSING):
        if isinstance(d.item, Binding):
            found.setdefault((d.item.source, d.item.destination), []).append(d.name)
    return found


def _of_dead_letters(facts: Facts) -> frozenset[tuple[str, str | None, str]]:
    """For `facts.memo`: source, key and destination of each binding that routes dead letters."""
    hops = (hop for letters in facts.memo(dead_letters) for hop in letters.route.hops)
    return frozenset((s.exchange, s.binding_key, s.destination) for hop in hops for s in hop.path)


@check(
    "AT208",
    "bindings-can-match",
    "no wildcard binding keys on direct exchanges",
    Severity.WARNING,
    needs=(Source.BROKER,),
    may_recover=False,
    any_broker=True,
)
def bindings_can_match(facts: Facts) -> Iterator[Problem]:
    """On a direct exchange `#` and `*` are plain characters: such a binding key matches no published routing key.

    Checks all bindings that are not part of the topology (AT603 checks the topology's own). If an exchange of Attune
    has the wrong type, AT205 explains this finding. On a foreign exchange it is only an info. A binding that routes
    dead letters, because a policy gives them exactly this key, is not reported.
    """
    found = facts.actual.exchange_named
    kinds = {name: e.type for name, e in found.items()}
    literal = (
        d
        for kind in (DiffKind.UNEXPECTED, DiffKind.UNMANAGED)
        for d in facts.memo(diff).of(kind)
        if isinstance(d.item, Binding)
        and taken_literally(kinds.get(d.item.source, ""), d.item.routing_key)
        and (d.item.source, d.item.routing_key, d.item.destination) not in facts.memo(_of_dead_letters)
    )
    for several in _by_ends(literal):
        own = facts.topology.exchange(several.first[0][1].source) is not None
        for d, b in several.first[:1] if several.several else several.first:
            kind = kinds[b.source]
            said = f"is bound to {b.source} with key {b.routing_key!r}"
            ends = {"source": b.source, "destination": b.destination, "routing_key": b.routing_key}
            if several.several:
                said = f"has {several.count} bindings to {b.source} with keys like {b.routing_key!r}"
                ends = several.evidence
            yield Problem(
                Subject("binding", d.name),
                f"{b.destination} {said}: literal on a {kind} exchange",
                evidence={"type": kind, **ends},
                remedy="Remove the binding and bind each intended key, or use a topic exchange."
                if own
                else "Ask the owner of this exchange.",
                commands=(command_lines.binding("unbind", b),) if own and not several.several else (),
                inspect_commands=() if own and not several.several else (command_lines.exchange(b.source),),
                severity=None if own and d.kind is DiffKind.UNEXPECTED else Severity.INFO,
                related={"source": (b.source,)},
            )


@check(
    "AT209",
    "exchanges-bound",
    "no exchanges without bindings",
    Severity.INFO,
    needs=(Source.BROKER,),
    required=False,
    may_recover=False,
    any_broker=True,
)
def exchanges_bound(facts: Facts) -> Iterator[Problem]:
    """Messages published to an exchange without bindings are dropped.

    Checks exchanges that are not Attune's, and gives one finding for all of them, with the number of messages
    published there. It can be intended. AT204 and AT610 check Attune's own exchanges.
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
            f"no bindings on {listed(names)}" + (f"; {counted(lost, 'message')} published there" if lost else ""),
            evidence={"exchanges": names, "published": {e.name: e.publish_in for e in bare}},
            remedy="Ask the owner of these exchanges.",
            inspect_commands=(command_lines.exchange(names[0]),),
            related={"exchange": tuple(names)},
        )
