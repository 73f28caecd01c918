"""How a `PolicyChange` shows itself: the policy, the effect on each object, warnings."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final, Literal, TypedDict

import msgspec

from attune_ops.model.snapshot import PolicyState
from attune_ops.model.table import Cell, Column, Kind, Table
from attune_ops.model.units import counted
from attune_ops.render import wire
from attune_ops.render.text import COPY, Line
from attune_ops.topology.policies.policy_change import Drop, Effect, PolicyChange, Precedence

SCHEMA: Final = "attune-ops/policy-change/1"

COLUMNS = (
    Column("object", Kind.CATEGORY, doc="queue or exchange"),
    Column("name", doc="its name"),
    Column(
        "outcome",
        Kind.CATEGORY,
        doc="in force, hides (shadows another), hidden, unspecified, not applied, falls back, none",
    ),
    Column("other", doc="the policy that is shadowed, shadows, or becomes effective"),
    Column("loses", doc="settings that it has now and will not have afterwards, as JSON"),
    Column("overruled", Kind.LIST, doc="where its arguments or an operator policy override the policy"),
)
WORDS = {
    "in force": "effective",
    "hides": "effective, shadows {other}",
    "hidden": "no effect: {other} has a higher priority",
    "unspecified": "undefined: {other} has the same priority",
    "not applied": "no effect: {why}",
    "falls back": "{other} becomes effective",
    "none": "no policy left",
}
STYLES = {"in force": "green", "falls back": "green", "none": "yellow", "hides": "yellow"}


def lines(change: PolicyChange, limit: int | None) -> Iterator[Line]:
    """The policy, a line for each object, the warnings, and a last line that sums up."""
    for label, policy in (("before", change.before), ("after", change.after)):
        if policy is not None:
            yield 0, f"{label:<6} {_policy(policy)}", ""
    for effect in change.effects[:limit]:
        yield 0, f"{effect.kind} {effect.name}: {_outcome(effect)}", STYLES.get(effect.outcome, "dim")
        if effect.loses:
            yield 4, f"loses {_settings(effect.loses)}", "red"
        if effect.outcome != "not applied":
            yield from ((4, reason, "dim") for reason in effect.overruled)
        if effect.drop is not None:
            yield 4, _drop(effect.drop, change.applied), "yellow" if effect.drop.goes_to else "red"
    if limit is not None and len(change.effects) > limit:
        yield 0, f"… and {len(change.effects) - limit} more; --format json lists them", "dim"
    yield from ((0, f"the broker would refuse it: {r}", "red") for r in change.refusals)
    yield from ((0, f"warning: {w}", "yellow") for w in change.warnings)
    for line in change.commands[:limit]:
        yield 0, f"drain first what would be lost: {line}", COPY
    yield 0, summary(change), "bold"
    if change.applied or not change.refusals:
        yield 0, f"undo: {change.undo}", COPY


def _outcome(effect: Effect) -> str:
    return WORDS[effect.outcome].format(other=effect.other, why="; ".join(effect.overruled))


def _drop(drop: Drop, applied: bool) -> str:
    verb, when = ("removed", "as counted before") if applied else ("removes", "oldest first")
    count = "some" if drop.messages is None else str(drop.messages)
    size = ", depending on their sizes" if drop.messages is None else ""
    removed = f"{verb} {count} of its {counted(drop.ready, 'ready message')} at once, {when}{size}"
    if not drop.goes_to:
        return f"{removed}; they {'were' if applied else 'are'} lost: {drop.lost}"
    rest = f"; some may be lost: {drop.lost}" if drop.lost else ""
    return f"{removed}; dead-lettered to {', '.join(drop.goes_to)}{rest}"


def _policy(policy: PolicyState) -> str:
    return f"{policy.pattern} on {policy.apply_to}, priority {policy.priority}: {_settings(policy.definition)}"


def _settings(values: dict[str, Any]) -> str:
    return ", ".join(f"{k}={json.dumps(v, ensure_ascii=False)}" for k, v in values.items()) or "no settings"


def summary(change: PolicyChange) -> str:
    """One line: what was or would be set or removed, and how many objects it is effective for."""
    verb = "removed" if change.after is None else "set"
    if change.refusals and not change.applied:
        return f"policy {change.name} would not be {verb}: the broker would refuse it"
    said = verb if change.applied else f"would be {verb}"
    if change.after is None:
        tense = "was" if change.applied else "is"
        return f"policy {change.name} {said}; it {tense} effective for {counted(len(change.effects), 'object')}"
    count = sum(e.outcome in ("in force", "hides") for e in change.effects)
    return f"policy {change.name} {said}; effective for {count} of {counted(len(change.effects), 'matching object')}"


class PolicyJson(TypedDict):
    """A policy as it is or will be."""

    pattern: str
    apply_to: str
    priority: int
    definition: dict[str, Any]


class DropJson(TypedDict):
    """What a length limit drops at once; null `messages`: sizes decide."""

    ready: int
    messages: int | None
    goes_to: list[str]
    lost: str


class EffectJson(TypedDict):
    """The effect on one object."""

    kind: Literal["queue", "exchange"]
    name: str
    outcome: Precedence
    other: str
    loses: dict[str, Any]
    overruled: list[str]
    drop: DropJson | None


class PolicyChangeJson(TypedDict):
    """One change of a policy: null `before` is a new one, null `after` a removed one; the effect on each object."""

    schema: Literal["attune-ops/policy-change/1"]
    name: str
    vhost: str
    applied: bool
    before: PolicyJson | None
    after: PolicyJson | None
    effects: list[EffectJson]
    warnings: list[str]
    refusals: list[str]
    undo: str
    commands: list[str]
    taken_at: str


JSON = PolicyChangeJson


def as_json(change: PolicyChange) -> PolicyChangeJson:
    """`attune-ops/policy-change/1`."""
    return {
        "schema": SCHEMA,
        "name": change.name,
        "vhost": change.vhost,
        "applied": change.applied,
        "before": _plain(change.before),
        "after": _plain(change.after),
        "effects": [msgspec.to_builtins(e) for e in change.effects],
        "warnings": list(change.warnings),
        "refusals": list(change.refusals),
        "undo": str(change.undo or ""),
        "commands": [str(c) for c in change.commands],
        "taken_at": wire.utc(change.taken_at),
    }


def _plain(policy: PolicyState | None) -> PolicyJson | None:
    if policy is None:
        return None
    return {
        "pattern": policy.pattern,
        "apply_to": policy.apply_to,
        "priority": policy.priority,
        "definition": policy.definition,
    }


def rows(change: PolicyChange) -> Table:
    """A row an object."""
    found: tuple[tuple[Cell, ...], ...] = tuple(
        (e.kind, e.name, e.outcome, e.other or None, _settings(e.loses) if e.loses else None, e.overruled)
        for e in change.effects
    )
    return Table("policy-change", COLUMNS, found, change.taken_at, (*change.refusals, *change.warnings))
