"""How policies affect Attune's queues and exchanges, and each other."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from attune_ops.doctor.checks import check
from attune_ops.doctor.checks._common import listed, without_policies
from attune_ops.doctor.findings import Problem, Severity, Subject
from attune_ops.model.command_lines import POLICIES
from attune_ops.model.facts import Facts, Source
from attune_ops.model.ownership import exchange_kind, own_queues
from attune_ops.model.snapshot import PolicyState
from attune_ops.routing.effective_policy import ObjectKind
from attune_ops.routing.topology_routes import live_router
from attune_ops.topology.diff import diff
from attune_ops.topology.drift import DiffKind


class _Object(msgspec.Struct, frozen=True):
    """A queue or exchange of Attune that policies can apply to."""

    kind: ObjectKind
    name: str
    type: str


def _objects(facts: Facts) -> Iterator[_Object]:
    """Attune's exchanges and queues on the broker; none where nothing can apply to them."""
    if not facts.actual.policies:
        return
    for exchange in facts.actual.exchanges or ():
        if exchange_kind(facts.topology, exchange.name) == "base":
            yield _Object("exchange", exchange.name, exchange.type)
    for name in facts.memo(own_queues):
        yield _Object("queue", name, facts.actual.queue_named[name].type)


def _by_policies(facts: Facts) -> dict[tuple[str, ...], tuple[list[_Object], list[PolicyState]]]:
    """The objects that match the same policies, and these policies, the effective one first."""
    policies = facts.memo(live_router).policies
    found: dict[tuple[str, ...], tuple[list[_Object], list[PolicyState]]] = {}
    for o in _objects(facts):
        matching = list(policies.matching(o.kind, o.name, o.type))
        if matching:
            found.setdefault(tuple(p.name for p in matching), ([], matching))[0].append(o)
    return found


@check(
    "AT211",
    "policies-not-hidden",
    "no policy shadows another on Attune's objects",
    Severity.WARNING,
    needs=(Source.BROKER,),
    may_recover=False,
    unknown=without_policies,
)
def policies_not_hidden(facts: Facts) -> Iterator[Problem]:
    """Only one policy applies to an object: the one with the highest priority. Policies are never merged.

    So a new policy for all queues (`.*` with a length limit, for example) disables the policy that set their
    dead-letter exchange or TTL. Of two policies with the same priority, which one applies is undefined.
    """
    for names, (objects, matching) in _by_policies(facts).items():
        top, hidden = matching[0], matching[1:]
        lost = {p.name: sorted(set(p.definition) - set(top.definition)) for p in hidden}
        tied = [p.name for p in hidden if p.priority == top.priority]
        if not any(lost.values()) and not tied:
            continue
        what = [f"{key} of {policy}" for policy, keys in lost.items() for key in keys]
        tie = f"; {listed(tied)} has the same priority {top.priority}: which applies is undefined" if tied else ""
        yield Problem(
            Subject("policy", top.name),
            f"policy {top.name} applies to {listed([o.name for o in objects], 3)} and shadows {listed(names[1:])}"
            + (f": {listed(what)} has no effect" if what else "") + tie,
            evidence={"objects": [o.name for o in objects], "hidden": lost, "priority": top.priority,
                      "pattern": top.pattern, "tied": tied},
            remedy=f"Change the pattern of {top.name} so that it does not match them, or put all keys in one policy.",
            inspect_commands=(POLICIES,),
        )  # fmt: skip


@check(
    "AT212",
    "policies-applicable",
    "policies on Attune's queues are supported by the queue type",
    Severity.WARNING,
    needs=(Source.BROKER,),
    may_recover=False,
    unknown=without_policies,
)
def policies_applicable(facts: Facts) -> Iterator[Problem]:
    """A policy with one key that the queue type does not support does not apply to the queue at all.

    Examples are `delivery-limit` on a classic queue and `queue-mode` on a quorum queue. The other keys of the
    policy, such as its dead-letter exchange or TTL, have no effect either, and the broker gives no error.
    """
    idle: dict[tuple[str, str, tuple[str, ...]], list[str]] = {}
    for o in _objects(facts):
        for policy, bad in facts.memo(live_router).policies.inapplicable(o.name, o.type) if o.kind == "queue" else ():
            idle.setdefault((policy.name, o.type, bad), []).append(o.name)
    for (name, kind, bad), queues in idle.items():
        yield Problem(
            Subject("policy", name),
            f"policy {name} does not apply to {listed(queues, 3)}: {listed(bad)} is not supported on {kind} queues",
            evidence={"queues": queues, "unsupported": list(bad), "type": kind},
            remedy=f"Remove {listed(bad)} from the policy, or split it into two policies.",
            inspect_commands=(POLICIES,),
        )


@check(
    "AT203",
    "policies-agree",
    "no policy overrides the topology's arguments",
    Severity.WARNING,
    needs=(Source.BROKER,),
    may_recover=False,
    unknown=without_policies,
)
def policies_agree(facts: Facts) -> Iterator[Problem]:
    """A policy can override a queue's arguments: of two limits, the smaller one applies.

    A policy with a shorter TTL or length than the queue's argument takes precedence. So does an operator policy. For
    all other settings (the dead-letter exchange, for example) the argument takes precedence over the policy.
    """
    yield from _by_policy(facts, DiffKind.OVERRIDDEN, "overrides", "Remove it from the policy, or change the topology.")


@check(
    "AT213",
    "policies-expected",
    "no policy adds to the topology's arguments",
    Severity.INFO,
    needs=(Source.BROKER,),
    required=False,
    may_recover=False,
    unknown=without_policies,
)
def policies_expected(facts: Facts) -> Iterator[Problem]:
    """The effective policy can add to a queue's arguments: a TTL, a length limit, a dead-letter exchange.

    A length limit drops the oldest messages (or rejects new ones), a TTL expires waiting messages, and `expires`
    deletes the whole queue. AT215 reports where this loses messages of a service; this finding lists the rest.
    """
    yield from _by_policy(
        facts,
        DiffKind.SET_BY_POLICY,
        "sets",
        "Compare it with the settings that you want; AT215 reports policies that lose messages.",
    )


def _by_policy(facts: Facts, kind: DiffKind, does: str, remedy: str) -> Iterator[Problem]:
    found: dict[str, dict[str, list[str]]] = {}
    for d in facts.memo(diff).of(kind):
        for a in d.attributes:
            setting = f"{a.name} = {a.in_force}" + (f" (declared {a.desired})" if a.desired is not None else "")
            found.setdefault(a.policy or "", {}).setdefault(setting, []).append(d.name)
    for policy, unsorted in found.items():
        settings = dict(sorted(unsorted.items()))  # a snapshot file does not keep the order of arguments
        names = list(dict.fromkeys(name for several in settings.values() for name in several))
        yield Problem(
            Subject("policy", policy),
            f"policy {policy} {does} {listed(settings, 4)} for {listed(names, 3)}",
            evidence={"settings": settings},
            remedy=remedy,
            inspect_commands=(POLICIES,),
        )
