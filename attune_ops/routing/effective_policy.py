"""The effective policy of a queue or exchange (rabbit_policy), and its settings with arguments and policies merged.

One policy applies to an object: of those with a fitting `apply-to`, pattern and keys, the one of the highest priority;
policies are never merged with each other. A policy with a key that the queue's type does not support does not apply to
that queue at all. Operator policies are selected in the same way and merged with the policy afterwards.

Limits take the smallest value (rabbit_queue_type_util:args_policy_lookup/3 with res_min). For other keys the argument
takes precedence over the policy, except `overflow` of a quorum queue. An operator policy is merged into the policy
first: the smaller limit, and its own `overflow` and `queue-version`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from typing import Any, Literal

import msgspec

from attune_ops.model.snapshot import PolicyState
from attune_ops.model.topology import Arguments
from attune_ops.routing.patterns import Unreadable, compile_pattern
from attune_ops.routing.rules import Rules

ObjectKind = Literal["queue", "exchange"]

_APPLIES_TO_TYPE = {"classic": "classic_queues", "quorum": "quorum_queues", "stream": "streams"}

# The policy keys that a queue type does not support (capabilities/0 of its module, 3.10.8, 4.0.5 and 4.3.6).
_COMMON = ("max-age", "stream-max-segment-size-bytes", "initial-cluster-size")
_MIRRORING = (
    "ha-mode", "ha-params", "ha-sync-mode", "ha-promote-on-shutdown", "ha-promote-on-failure", "queue-master-locator",
)  # fmt: skip
_UNSUPPORTED: dict[str, frozenset[str]] = {
    "classic": frozenset((*_COMMON, "delivery-limit", "dead-letter-strategy")),
    "quorum": frozenset((*_COMMON, *_MIRRORING, "max-priority", "queue-mode")),
    "stream": frozenset((
        *_MIRRORING, "expires", "message-ttl", "dead-letter-exchange", "dead-letter-routing-key", "max-length",
        "max-in-memory-length", "max-in-memory-bytes", "max-priority", "overflow", "queue-mode", "delivery-limit",
        "dead-letter-strategy",
    )),
}  # fmt: skip
_OLD_CLASSIC = frozenset({"queue-leader-locator"})  # unsupported by classic queues before 4.0
_NEW_CLASSIC = frozenset({"max-in-memory-length", "max-in-memory-bytes", "target-group-size"})


@cache
def unsupported_keys(queue_type: str, rules: Rules) -> frozenset[str]:
    """The policy keys that exclude a queue of this type from a policy."""
    keys = _UNSUPPORTED.get(queue_type, frozenset())
    if queue_type == "classic":
        return keys | (_NEW_CLASSIC if rules.version >= (4, 0, 0) else _OLD_CLASSIC)
    return keys


# The keys that affect routing.
ROUTING_KEYS = frozenset({"alternate-exchange", "dead-letter-exchange", "dead-letter-routing-key"})

Test = Callable[[str], bool]


class PolicySet:
    """The policies and operator policies of one virtual host.

    `unreadable` are those with unsupported patterns, which are taken to match nothing; `left_out` are sentences about
    those of them that affect routing.
    """

    def __init__(self, policies: Iterable[PolicyState], rules: Rules) -> None:
        self._rules = rules
        self._by_operator: dict[bool, list[tuple[PolicyState, Test]]] = {False: [], True: []}
        left_out: list[str] = []
        unreadable: list[PolicyState] = []
        for policy in sorted(policies, key=lambda p: (-p.priority, p.name)):
            try:
                self._by_operator[policy.operator].append((policy, compile_pattern(policy.pattern)))
            except Unreadable as e:
                unreadable.append(policy)
                if not ROUTING_KEYS.isdisjoint(policy.definition):
                    left_out.append(f"policy {policy.name!r} is ignored (pattern {policy.pattern!r}: {e})")
        self.left_out, self.unreadable = tuple(left_out), tuple(unreadable)

    def of(
        self, kind: ObjectKind, name: str, queue_type: str = "classic", reported: str | None = None
    ) -> PolicyState | None:
        """The effective policy; of several with the highest priority the first by name."""
        return next(iter(self.effective(kind, name, queue_type, reported)), None)

    def effective_operator(
        self, name: str, queue_type: str = "classic", reported: str | None = None
    ) -> PolicyState | None:
        """The effective operator policy of a queue; operator policies do not affect exchanges."""
        return next(iter(self.effective("queue", name, queue_type, reported, operator=True)), None)

    def effective(
        self,
        kind: ObjectKind,
        name: str,
        queue_type: str = "classic",
        reported: str | None = None,
        operator: bool = False,
    ) -> Sequence[PolicyState]:
        """The effective policy, or all of the highest priority by name: which of these applies is undefined.

        `reported` is the name that the broker reports, if it does: that policy is the effective one.
        """
        if not self._by_operator[operator]:
            return ()
        if reported and (named := [p for p, _ in self._by_operator[operator] if p.name == reported]):
            return named
        matching = list(self.matching(kind, name, queue_type, operator))
        return [p for p in matching if p.priority == matching[0].priority]

    def matching(
        self, kind: ObjectKind, name: str, queue_type: str = "classic", operator: bool = False
    ) -> Iterator[PolicyState]:
        """The matching policies, the effective one first."""
        for policy, found in self._by_operator[operator]:
            if (
                self._applies_to(policy.apply_to, kind, queue_type)
                and not (kind == "queue" and self._unsupported(policy, queue_type))
                and found(name)
            ):
                yield policy

    def inapplicable(self, name: str, queue_type: str = "classic") -> Iterator[tuple[PolicyState, tuple[str, ...]]]:
        """The policies that match a queue but do not apply, each with the keys that its type does not support."""
        for policy, found in self._by_operator[False]:
            keys = tuple(sorted(self._unsupported(policy, queue_type)))
            if keys and self._applies_to(policy.apply_to, "queue", queue_type) and found(name):
                yield policy, keys

    def _unsupported(self, policy: PolicyState, queue_type: str) -> frozenset[str]:
        return unsupported_keys(queue_type, self._rules) & policy.definition.keys()

    def _applies_to(self, apply_to: str, kind: ObjectKind, queue_type: str) -> bool:
        if apply_to == "all":
            return True
        if kind == "exchange":
            return apply_to == "exchanges"
        if apply_to == "queues":
            return True
        return self._rules.has_queue_type_policies and apply_to == _APPLIES_TO_TYPE.get(queue_type)


LIMITS = frozenset((
    "message-ttl", "expires", "max-length", "max-length-bytes", "max-in-memory-length", "max-in-memory-bytes",
    "delivery-limit",
))  # fmt: skip
REJECTS = ("reject-publish", "reject-publish-dlx")  # the overflows that nack new messages; the others drop old ones
_OPERATOR_WINS = frozenset({"overflow", "queue-version"})

Origin = Literal["argument", "policy", "operator policy"]


class EffectiveSetting(msgspec.Struct, frozen=True):
    """One effective value, its origin, and the name of the policy that sets it."""

    value: Any
    origin: Origin
    policy: str = ""


EffectiveSettings = dict[str, EffectiveSetting]  # by the policy's spelling: `message-ttl`, not `x-message-ttl`


def queue_settings(
    arguments: Arguments, type: str, policy: PolicyState | None, operator: PolicyState | None
) -> EffectiveSettings:
    """The effective settings of a queue, by key without `x-`."""
    found = _merged_policies(policy, operator)
    for key, value in arguments.items():
        if not key.startswith("x-"):
            continue
        name = key.removeprefix("x-")
        other = found.get(name)
        if other is None or _argument_wins(name, value, other.value, type):
            found[name] = EffectiveSetting(value, "argument")
    return found


def exchange_settings(arguments: Arguments, policy: PolicyState | None) -> EffectiveSettings:
    """The effective settings of an exchange: for `alternate-exchange` the argument takes precedence."""
    found = _merged_policies(policy, None)
    if "alternate-exchange" in arguments:
        found["alternate-exchange"] = EffectiveSetting(arguments["alternate-exchange"], "argument")
    return found


def _merged_policies(policy: PolicyState | None, operator: PolicyState | None) -> EffectiveSettings:
    found = {k: EffectiveSetting(v, "policy", policy.name) for k, v in policy.definition.items()} if policy else {}
    for key, value in operator.definition.items() if operator else ():
        other = found.get(key)
        if other is None or key in _OPERATOR_WINS or (key in LIMITS and _smaller(key, value, other.value)):
            found[key] = EffectiveSetting(value, "operator policy", operator.name if operator else "")
    return found


def _argument_wins(name: str, value: Any, policy_value: Any, type: str) -> bool:
    if name in LIMITS:
        return _smaller(name, value, policy_value)
    return not (name == "overflow" and type == "quorum")


def _smaller(name: str, value: Any, other: Any) -> bool:
    """Whether `value` is at least as strict as `other`; a negative delivery limit is no limit."""
    try:
        if name == "delivery-limit" and (value < 0 or other < 0):
            return bool(value >= other)
        return bool(value <= other)
    except TypeError:
        return True
