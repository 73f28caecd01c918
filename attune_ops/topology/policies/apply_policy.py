"""Setting and removing policies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Unpack

import msgspec

from attune_ops.installation import audit
from attune_ops.installation.broker_release import recognised_or_default
from attune_ops.installation.collect import check_release, collect
from attune_ops.installation.config import Settings
from attune_ops.installation.management import Management
from attune_ops.installation.operations import Operations, operation
from attune_ops.inventory import TableFilters, filtered
from attune_ops.model.definitions import policy_body
from attune_ops.model.errors import ConfigError, reports_done
from attune_ops.model.facts import Facts, Source
from attune_ops.model.ownership import require
from attune_ops.model.snapshot import PolicyState
from attune_ops.model.table import Table
from attune_ops.model.waiting import wait_until
from attune_ops.topology.policies.effects import DEAD_LETTERS, PRIORITY, policies, presets, preview_removal, preview_set
from attune_ops.topology.policies.policy_change import PolicyChange

LISTINGS = ("exchanges", "queues", "bindings", "policies")
SETTLING_S = 10.0  # how long until a queue lists its new policy


def read(settings: Settings) -> Facts:
    """Reads what decides about policies; needs tag management, changes nothing. Raises `SourceError`."""
    return require(collect(settings, (Source.BROKER, Source.MANAGEMENT), listings=LISTINGS), Source.BROKER)


def show_policies(settings: Settings, **filters: Unpack[TableFilters]) -> Table:
    """The policies, the objects each is effective for, and the safety policies that are not set.

    Needs tag management, changes nothing. Raises `SourceError`.

    >>> for policy in ops.policies.show():
    ...     print(policy["name"], policy["is"])
    base-queues not set
    exchanges not set
    worker-queues not set
    """
    return filtered(policies(filters.get("facts") or read(settings)), filters)


def apply_policy(
    settings: Settings,
    name: str,
    definition: Mapping[str, Any] | None = None,
    *,
    pattern: str | None = None,
    apply_to: str | None = None,
    priority: int = PRIORITY,
    apply: bool = False,
    confirm: str | None = None,
    force: bool = False,
) -> PolicyChange:
    """Sets a policy; a dry run without `apply`: the effect on each queue and exchange, and what would be refused.

    `name` is one of the safety policies (`presets`), which have their own `pattern` and `apply_to` and, where the
    definition is empty, their own definition; any other name needs a pattern. Needs tag policymaker. Undo: the command
    line in `undo`. Raises `ConfigError` (also where the broker runs another release and `force` is not set),
    `ActionError` where the broker refuses, `SourceError`.

    >>> change = ops.policies.apply("short", {"max-length": 1000}, pattern="^attune[.]events")
    >>> change.applied, [effect.name for effect in change.effects]
    (False, ['attune.events.queue'])
    """
    if apply:
        check_release(settings, force)
    settings = recognised_or_default(settings)
    preset = presets(settings.topology).get(name)
    if preset is None and pattern is None:
        if name == DEAD_LETTERS:
            raise ConfigError(f"{settings.topology.name} has no direct exchange for dead letters: give --pattern")
        known = ", ".join(presets(settings.topology))
        raise ConfigError(f"policy {name!r} needs --pattern; these have a default: {known}")
    if preset is not None:
        pattern = preset.pattern if pattern is None else pattern
        apply_to = apply_to or preset.apply_to
        definition = definition or preset.definition
    policy = PolicyState(settings.vhost, name, pattern or "", apply_to or "queues", priority, dict(definition or {}))
    return _make(settings, preview_set(read(settings), policy), policy, apply, confirm)


def remove_policy(settings: Settings, name: str, *, apply: bool = False, confirm: str | None = None) -> PolicyChange:
    """Removes a policy; a dry run without `apply`: what each queue and exchange would lose. Needs tag policymaker.

    Undo: the command line in `undo`. Raises `ConfigError` where there is none, `ActionError`, `SourceError`.

    >>> _ = ops.policies.apply("short", {"max-length": 1000}, pattern="^attune[.]events", apply=True)
    >>> ops.policies.remove("short", apply=True).applied
    True
    """
    facts = read(settings)
    change = preview_removal(facts, name)
    if change.before is None:
        names = ", ".join(sorted(p.name for p in facts.actual.policies or () if not p.operator)) or "none"
        raise ConfigError(f"no policy {name!r} in virtual host {settings.vhost!r}; its policies: {names}")
    return _make(settings, change, None, apply, confirm)


def _make(
    settings: Settings, change: PolicyChange, policy: PolicyState | None, apply: bool, confirm: str | None
) -> PolicyChange:
    """Sets `policy`, or removes the policy of the change where it is None; without `apply` changes nothing."""
    if not apply:
        return change
    before = msgspec.to_builtins(change.before) if change.before else None
    after, what = (policy_body(policy), "policy apply") if policy else (None, "policy remove")
    done = ""
    with (
        reports_done(lambda: done),
        audit.change(settings, what, change.name, confirm=confirm, before=before, after=after) as outcome,
    ):
        broker = outcome.management()
        if policy is None:
            broker.delete_policy(change.name)
        else:
            broker.set_policy(policy)
        done = f"the policy was {'set' if policy else 'removed'} before; undo: {change.undo}"
        matched = {e.name for e in change.effects if e.kind == "queue" and e.outcome in ("in force", "hides")}
        settled = policy is None or _listed(broker, change.name, matched)
        outcome |= {"objects": len(change.effects), "read_back": settled}
    unsettled = () if settled else (f"{SETTLING_S:g} s later the broker did not list it for every queue yet",)
    return msgspec.structs.replace(change, applied=True, commands=(), warnings=(*change.warnings, *unsettled))


def _listed(management: Management, name: str, queues: set[str]) -> bool:
    """Waits until the broker lists the policy for these queues; those that were deleted since do not count."""

    def settled() -> bool:
        return all(policy == name for queue, policy in management.policies_of_queues().items() if queue in queues)

    return wait_until(settled, timeout=SETTLING_S, interval=0.2)


class PolicyOperations(Operations):
    """Shows, sets and removes policies: expiry, TTL, dead letters, length limits, alternate exchange.

    A method changes something only with `apply=True`, and returns the dry run without; `confirm` is the environment's
    name where it is protected.
    """

    label = "policies"
    show = operation(show_policies)
    apply = operation(apply_policy)
    remove = operation(remove_policy)
