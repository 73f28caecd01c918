"""Which policy is in force for an object (rabbit_policy).

One policy an object: of those whose `apply-to`, pattern and keys fit, the one of the highest priority; policies
are never merged with each other. A policy with any key that the queue's type does not support does not apply
to that queue at all. Operator policies are chosen in the same way and merged in afterwards (`effective`).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Literal

from attune_ops.routing.patterns import compile_pattern
from attune_ops.routing.rules import Rules
from attune_ops.snapshot import PolicyState

ObjectKind = Literal["queue", "exchange"]

_APPLIES_TO_TYPE = {"classic": "classic_queues", "quorum": "quorum_queues", "stream": "streams"}

# The policy keys that a queue type does not support (capabilities/0 of its module, 3.10.8 to 4.3.6).
_COMMON = ("max-age", "stream-max-segment-size-bytes", "initial-cluster-size")
_MIRRORING = (
    "ha-mode",
    "ha-params",
    "ha-sync-mode",
    "ha-promote-on-shutdown",
    "ha-promote-on-failure",
    "queue-master-locator",
)
_UNSUPPORTED: dict[str, frozenset[str]] = {
    "classic": frozenset((*_COMMON, "delivery-limit", "dead-letter-strategy")),
    "quorum": frozenset((*_COMMON, *_MIRRORING, "max-priority", "queue-mode")),
    "stream": frozenset(
        (
            *_MIRRORING,
            "expires",
            "message-ttl",
            "dead-letter-exchange",
            "dead-letter-routing-key",
            "max-length",
            "max-in-memory-length",
            "max-in-memory-bytes",
            "max-priority",
            "overflow",
            "queue-mode",
            "delivery-limit",
            "dead-letter-strategy",
        )
    ),
}
# Keys whose support changed: type → ((key, first version without support, first version with it again), …)
_OLD_CLASSIC = frozenset({"queue-leader-locator"})  # unsupported by classic queues before 4.0
_NEW_CLASSIC = frozenset({"max-in-memory-length", "max-in-memory-bytes", "target-group-size"})


@cache
def unsupported_keys(queue_type: str, rules: Rules) -> frozenset[str]:
    """The policy keys that keep a policy off a queue of this type altogether."""
    keys = _UNSUPPORTED.get(queue_type, frozenset())
    if queue_type == "classic":
        return keys | (_NEW_CLASSIC if rules.version >= (4, 0, 0) else _OLD_CLASSIC)
    return keys


class Policies:
    """The policies and operator policies of one virtual host, ready to be asked for the one in force."""

    def __init__(self, policies: Iterable[PolicyState], rules: Rules) -> None:
        self._rules = rules
        # Equal priorities: the broker's order is its table's; by name here, so that the answer is always the same.
        ordered = sorted(policies, key=lambda p: (-p.priority, p.name))
        self._user = tuple(p for p in ordered if not p.operator)
        self._operator = tuple(p for p in ordered if p.operator)

    def of(
        self, kind: ObjectKind, name: str, queue_type: str = "classic", told: str | None = None
    ) -> PolicyState | None:
        """The policy in force; `told` is the name that the broker gave, which is the truth where it gave one."""
        if told:
            found = next((p for p in self._user if p.name == told), None)
            if found is not None:
                return found
        return next(iter(self.matching(kind, name, queue_type)), None)

    def operator_of(self, name: str, queue_type: str = "classic", told: str | None = None) -> PolicyState | None:
        """The operator policy in force for a queue; they say nothing that matters to an exchange."""
        if told:
            found = next((p for p in self._operator if p.name == told), None)
            if found is not None:
                return found
        return next((p for p in self._operator if self._fits(p, "queue", name, queue_type)), None)

    def matching(self, kind: ObjectKind, name: str, queue_type: str = "classic") -> Iterable[PolicyState]:
        """The policies that fit, the one in force first."""
        return (p for p in self._user if self._fits(p, kind, name, queue_type))

    def tied(self, kind: ObjectKind, name: str, queue_type: str = "classic") -> tuple[str, ...]:
        """The names of the policies that share the highest priority, where there is more than one."""
        fitting = list(self.matching(kind, name, queue_type))
        top = tuple(p.name for p in fitting if p.priority == fitting[0].priority)
        return top if len(top) > 1 else ()

    def inapplicable(self, name: str, queue_type: str = "classic") -> Iterable[tuple[PolicyState, tuple[str, ...]]]:
        """The policies that match a queue but do not apply, each with the keys that its type does not support."""
        bad = unsupported_keys(queue_type, self._rules)
        for p in self._user:
            keys = tuple(sorted(bad & p.definition.keys()))
            if keys and self._applies_to(p.apply_to, "queue", queue_type) and compile_pattern(p.pattern)(name):
                yield p, keys

    def _fits(self, policy: PolicyState, kind: ObjectKind, name: str, queue_type: str) -> bool:
        if not self._applies_to(policy.apply_to, kind, queue_type):
            return False
        if kind == "queue" and not unsupported_keys(queue_type, self._rules).isdisjoint(policy.definition):
            return False
        return compile_pattern(policy.pattern)(name)

    def _applies_to(self, apply_to: str, kind: ObjectKind, queue_type: str) -> bool:
        if apply_to == "all":
            return True
        if kind == "exchange":
            return apply_to == "exchanges"
        if apply_to == "queues":
            return True
        return self._rules.has_queue_type_policies and apply_to == _APPLIES_TO_TYPE.get(queue_type)
