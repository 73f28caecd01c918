"""PolicySet: which there are, what each is effective for, and what setting or removing one does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import msgspec

from attune_ops.inventory import arguments
from attune_ops.model import command_lines
from attune_ops.model.command_lines import CommandLine
from attune_ops.model.facts import Facts, Source
from attune_ops.model.ownership import require
from attune_ops.model.snapshot import BrokerSnapshot, ExchangeState, PolicyState, QueueState
from attune_ops.model.table import Cell, Column, Kind, Table
from attune_ops.model.topology import Topology
from attune_ops.routing.effective_policy import EffectiveSetting, PolicySet, exchange_settings, queue_settings
from attune_ops.routing.rules import Rules
from attune_ops.topology.policies.drops import drain_commands, with_drops
from attune_ops.topology.policies.policy_change import Effect, PolicyChange, Precedence
from attune_ops.topology.policies.validation import refusals, warnings

DEAD_LETTERS = "dead-letters"  # the name of its safety policy
DEAD_LETTER_KEY = "dead-letter-routing-key"
PRIORITY = 1  # above a catch-all of priority 0

COLUMNS = (
    Column("name", doc="the policy's name"),
    Column("is", Kind.CATEGORY, doc="set; operator: an operator policy; not set: a safety policy that is not set"),
    Column("apply_to", Kind.CATEGORY, doc="queues, exchanges, all, or a queue type"),
    Column("pattern", doc="regular expression on the names it applies to", priority=2),
    Column("priority", Kind.INTEGER, doc="only the matching policy with the highest priority is effective"),
    Column("definition", Kind.LIST, doc="its settings"),
    Column("objects", Kind.INTEGER, "objects", "number of queues and exchanges that it is effective for", priority=3),
    Column("in_force_for", Kind.LIST, doc="the queues and exchanges that it is effective for", priority=4),
)


class Preset(msgspec.Struct, frozen=True):
    """A safety policy: what it applies to, and its settings unless others are given."""

    name: str
    apply_to: str
    pattern: str
    definition: dict[str, Any] = {}


def presets(topology: Topology) -> dict[str, Preset]:
    """The safety policies for this topology, by name."""
    made = (
        Preset("worker-queues", "queues", topology.worker_queue_pattern, {"expires": 1_800_000}),
        Preset("base-queues", "queues", topology.base_queue_pattern),
        Preset("exchanges", "exchanges", topology.exchange_pattern),
        *_dead_letters(topology),
    )
    return {preset.name: preset for preset in made}


def _dead_letters(topology: Topology) -> Iterator[Preset]:
    """The policy that gives dead letters the key by which a queue is bound to their direct exchange.

    Without it they keep their own routing keys, and a direct exchange routes none of them.
    """
    for b in topology.bindings:
        exchange = topology.exchange(b.source)
        if exchange is not None and exchange.type == "direct" and b.destination_kind == "queue":
            pattern = topology.dead_letter_pattern(b.source)
            if pattern:
                yield Preset(DEAD_LETTERS, "queues", pattern, {DEAD_LETTER_KEY: b.routing_key})
                return


def policies(facts: Facts) -> Table:
    """The policies, and the safety policies that are not set; raises `SourceError` where the broker was not read."""
    require(facts, Source.BROKER)
    found = facts.actual.policies or ()
    objects = effective_objects(facts)
    rows: list[tuple[Cell, ...]] = [
        (
            p.name, "operator" if p.operator else "set", p.apply_to, p.pattern, p.priority, arguments(p.definition),
            None if p.operator else len(objects[p.name]), () if p.operator else tuple(objects[p.name]),
        )
        for p in found
    ]  # fmt: skip
    names = {p.name for p in found}
    rows += [
        (p.name, "not set", p.apply_to, p.pattern, None, arguments(p.definition), None, ())
        for p in presets(facts.topology).values()
        if p.name not in names
    ]
    return Table("policies", COLUMNS, tuple(rows), facts.taken_at).sorted("name")


def preview_set(facts: Facts, policy: PolicyState) -> PolicyChange:
    """What setting this policy does; raises `SourceError` where the broker was not read."""
    return _change(facts, policy.name, policy)


def preview_removal(facts: Facts, name: str) -> PolicyChange:
    """What removing the policy of this name does; `before` is None where there is none."""
    return _change(facts, name, None)


def effective_objects(facts: Facts) -> dict[str, list[str]]:
    """The objects that each policy is effective for, by its name; an exchange has "exchange" before its name."""
    broker = facts.actual
    policies = PolicySet(broker.policies or (), Rules.of(broker.version))
    found: dict[str, list[str]] = {p.name: [] for p in broker.policies or ()}
    for kind, state in _objects(broker):
        for chosen in _effective(policies, kind, state, reported=True)[:1]:
            found[chosen.name].append(state.name if kind == "queue" else f"exchange {state.name}")
    return found


def _change(facts: Facts, name: str, after: PolicyState | None) -> PolicyChange:
    broker = facts.actual
    rules = Rules.of(broker.version)
    now = broker.policies or ()
    before = next((p for p in now if p.name == name and not p.operator), None)
    then = (*(p for p in now if p is not before), *((after,) if after else ()))
    refused = tuple(refusals(facts, after, rules))
    is_possible = not any(r.startswith("400") for r in refused)  # what cannot be set has no effects
    both = PolicySet(now, rules), PolicySet(then, rules)
    effects = with_drops(facts, then, tuple(_effects(broker, both, before, after))) if is_possible else ()
    return PolicyChange(
        name=name,
        vhost=broker.vhost,
        before=before,
        after=after,
        effects=effects,
        applied=False,
        taken_at=facts.taken_at,
        warnings=tuple(warnings(facts, after, effects)) if after and is_possible else (),
        refusals=refused,
        undo=undo(name, before),
        commands=tuple(drain_commands(facts, effects)),
    )


def undo(name: str, before: PolicyState | None) -> CommandLine:
    """The command line that restores the policy as it is now."""
    return command_lines.remove_policy(name) if before is None else command_lines.set_policy(before)


def _effects(
    broker: BrokerSnapshot,
    policies: tuple[PolicySet, PolicySet],
    before: PolicyState | None,
    after: PolicyState | None,
) -> Iterator[Effect]:
    for kind, state in _objects(broker):
        was = next(iter(_effective(policies[0], kind, state, reported=True)), None)
        becomes = _effective(policies[1], kind, state)
        operator = policies[1].effective_operator(state.name, _type(state)) if kind == "queue" else None
        if after is None:
            if was is not None and was is before:
                other = becomes[0] if becomes else None
                outcome: Precedence = "falls back" if other else "none"
                yield Effect(kind, state.name, outcome, _name(other), _lost(state, was, other, operator))
        elif after in becomes:
            tied = [p for p in becomes if p is not after]
            other = was if was is not before else None
            outcome = "unspecified" if tied else "hides" if other else "in force"
            lost = {} if was is None else _lost(state, was, after, operator)
            overridden = tuple(_overridden(state, after, operator))
            yield Effect(kind, state.name, outcome, _name(tied[0] if tied else other), lost, overridden)
        elif after in policies[1].matching(kind, state.name, _type(state)):
            yield Effect(kind, state.name, "hidden", _name(becomes[0]))
        elif kind == "queue":
            for policy, keys in policies[1].inapplicable(state.name, _type(state)):
                if policy is after:
                    why = tuple(f"a {_type(state)} queue has no {key}" for key in keys)
                    yield Effect(kind, state.name, "not applied", overruled=why)


def _objects(broker: BrokerSnapshot) -> Iterator[tuple[Literal["queue", "exchange"], QueueState | ExchangeState]]:
    for queue in sorted(broker.queues or (), key=lambda q: q.name):
        yield "queue", queue
    for exchange in sorted(broker.exchanges or (), key=lambda e: e.name):
        if exchange.name:
            yield "exchange", exchange


def _type(state: QueueState | ExchangeState) -> str:
    return state.type if isinstance(state, QueueState) else "classic"


def _effective(
    policies: PolicySet, kind: Literal["queue", "exchange"], state: QueueState | ExchangeState, reported: bool = False
) -> Sequence[PolicyState]:
    return policies.effective(kind, state.name, _type(state), state.policy if reported else None)


def _name(policy: PolicyState | None) -> str:
    return "" if policy is None else policy.name


def _settings(
    state: QueueState | ExchangeState, policy: PolicyState | None, operator: PolicyState | None
) -> dict[str, EffectiveSetting]:
    if isinstance(state, ExchangeState):
        return exchange_settings(state.arguments, policy)
    return queue_settings(state.arguments, state.type, policy, operator)


def _lost(
    state: QueueState | ExchangeState, was: PolicyState, becomes: PolicyState | None, operator: PolicyState | None
) -> dict[str, Any]:
    """The settings of the effective policy that nothing sets afterwards."""
    left = _settings(state, becomes, operator)
    return {key: value for key, value in was.definition.items() if key not in left}


def _overridden(state: QueueState | ExchangeState, after: PolicyState, operator: PolicyState | None) -> Iterator[str]:
    """The settings that an argument or an operator policy overrides."""
    found = _settings(state, after, operator)
    for key, value in after.definition.items():
        if key in found and found[key].value != value:
            yield f"{key} stays {found[key].value!r} by its {found[key].origin}"
