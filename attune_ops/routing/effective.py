"""What holds for a queue or exchange once its arguments, its policy and the operator policy are put together.

Limits take the smallest value (rabbit_queue_type_util:args_policy_lookup/3 with res_min); for everything else the
argument wins over the policy, but for `overflow` of a quorum queue, where the policy wins. An operator policy
is merged into the policy first: the smaller limit, and its own `overflow` and `queue-version`.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from attune_ops.model.snapshot import PolicyState
from attune_ops.model.topology import Arguments

LIMITS = frozenset(
    {
        "message-ttl",
        "expires",
        "max-length",
        "max-length-bytes",
        "max-in-memory-length",
        "max-in-memory-bytes",
        "delivery-limit",
    }
)
_OPERATOR_WINS = frozenset({"overflow", "queue-version"})

Origin = Literal["argument", "policy", "operator policy"]


class EffectiveSetting(msgspec.Struct, frozen=True):
    """One value in force, where it comes from, and the policy's name if from one."""

    value: Any
    origin: Origin
    policy: str = ""


EffectiveSettings = dict[str, EffectiveSetting]  # by the policy's spelling: `message-ttl`, not `x-message-ttl`


def queue_settings(
    arguments: Arguments, type: str, policy: PolicyState | None, operator: PolicyState | None
) -> EffectiveSettings:
    """What holds for a queue, by key without `x-`."""
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
    """What holds for an exchange: `alternate-exchange`, where the argument wins even if it names none that exists."""
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
    """Whether `value` limits at least as much as `other`; a negative delivery limit means none."""
    try:
        if name == "delivery-limit" and (value < 0 or other < 0):
            return bool(value >= other)
        return bool(value <= other)
    except TypeError:
        return True
