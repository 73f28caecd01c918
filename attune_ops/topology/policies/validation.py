"""The errors with which the broker refuses a policy, and the harm that it accepts silently.

The refusals are those of RabbitMQ's validators, 3.10.8 to 4.3.6 (rabbit_policies, rabbit_policy).
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from typing import Any

from attune_ops.model.facts import Facts, Source
from attune_ops.model.snapshot import PolicyState
from attune_ops.routing.rules import Rules
from attune_ops.topology.policies import drops
from attune_ops.topology.policies.policy_change import Effect

# Key → the smallest number it may have, and the broker's name for it.
NUMBERS = {
    "expires": (1, "queue expiry"),
    "message-ttl": (0, "message TTL"),
    "max-length": (0, "maximum length"),
    "max-length-bytes": (0, "maximum length in bytes"),
}
NAMES = {
    "dead-letter-exchange": "dead letter exchange name",
    "dead-letter-routing-key": "dead letter routing key",
    "alternate-exchange": "alternate exchange name",
}
OVERFLOW = ("drop-head", "reject-publish", "reject-publish-dlx")
APPLY_TO = ("queues", "exchanges", "all")
APPLY_TO_TYPES = ("classic_queues", "quorum_queues", "streams")  # from 3.12
# What a policy may set, as the brokers' registries of validators list it in 3.10.8, 4.0.5 and 4.3.6.
SETTINGS = frozenset({
    "alternate-exchange", "dead-letter-exchange", "dead-letter-routing-key", "dead-letter-strategy", "delivery-limit",
    "expires", "initial-cluster-size", "max-age", "max-in-memory-bytes", "max-in-memory-length", "max-length",
    "max-length-bytes", "message-ttl", "overflow", "queue-leader-locator", "queue-master-locator", "queue-mode",
    "queue-version", "stream-max-segment-size-bytes",
})  # fmt: skip
MIRRORING = frozenset({
    "ha-mode", "ha-params", "ha-promote-on-failure", "ha-promote-on-shutdown", "ha-sync-batch-size", "ha-sync-mode",
})  # fmt: skip
MIRRORING_GONE = (4, 0, 0)
# Later settings → the newest of those versions that refuses them.
LATER = {
    **dict.fromkeys(("consumer-timeout", "stream-filter-size-bytes", "target-group-size"), (3, 10, 8)),
    **dict.fromkeys(
        ("consumer-disconnected-timeout", "delayed-retry-max", "delayed-retry-min", "delayed-retry-type"), (4, 0, 5)
    ),
}
# RabbitMQ's own plug-ins accept these where they are enabled, which the management API does not report.
OF_PLUGINS = frozenset({
    "federation-upstream", "federation-upstream-pattern", "federation-upstream-set", "routing-key", "shards-per-node",
})  # fmt: skip
MAY_SET = frozenset({"policymaker", "administrator"})


def refusals(facts: Facts, policy: PolicyState | None, rules: Rules) -> Iterator[str]:
    """The errors of the broker on setting this policy (None: on removing one); nothing where it accepts it."""
    tags = next((r.tags for r in facts.reach if r.source is Source.MANAGEMENT), None)
    if tags is not None and not MAY_SET & set(tags):
        user = next(r.user for r in facts.reach if r.source is Source.MANAGEMENT)
        command = shlex.join(("rabbitmqctl", "set_user_tags", user or "", *tags, "policymaker"))
        yield f"401: user {user!r} has no policymaker tag; {command}"
    if policy is None:
        return
    if not policy.definition:
        yield "400: no policy provided: give at least one setting"
    for key, value in policy.definition.items():
        yield from _refused_value(key, value)
        if not _is_setting(key, rules):
            yield f"400: {key} is not a policy setting that RabbitMQ {'.'.join(map(str, rules.version))} recognises"
    allowed = (*APPLY_TO, *(APPLY_TO_TYPES if rules.has_queue_type_policies else ()))
    if policy.apply_to not in allowed:
        yield f"400: apply-to {policy.apply_to!r} unrecognised; allowed: {', '.join(allowed)}"
    try:
        re.compile(policy.pattern)
    except re.error as e:
        yield f"400: pattern should be regular expression but is invalid: {e}"


def _is_setting(key: str, rules: Rules) -> bool:
    if key in MIRRORING:
        return rules.version < MIRRORING_GONE
    return key in SETTINGS | OF_PLUGINS or (key in LATER and rules.version > LATER[key])


def _refused_value(key: str, value: Any) -> Iterator[str]:
    is_number = isinstance(value, int) and not isinstance(value, bool)
    if key in NUMBERS:
        least, words = NUMBERS[key]
        if not is_number or value < least:
            yield f"400: {json.dumps(value)} is not a valid {words}"
    elif key in NAMES and not isinstance(value, str):
        yield f"400: {json.dumps(value)} is not a valid {NAMES[key]}"
    elif key == "overflow" and value not in OVERFLOW:
        yield f"400: {json.dumps(value)} is not a valid overflow value"


def warnings(facts: Facts, policy: PolicyState, effects: tuple[Effect, ...]) -> Iterator[str]:
    """The harm that the broker accepts silently."""
    says = policy.definition
    if not effects:
        yield "it matches no existing queue or exchange"
    tied = sorted({e.other for e in effects if e.outcome == "unspecified"})
    if tied:
        yield f"same priority as {', '.join(tied)}: which applies is undefined; set another --priority"
    if "expires" in says and not _dead_letters_first(says):
        yield (
            "a queue that expires is deleted with its messages; they are not dead-lettered. To dead-letter them first, "
            "add a dead-letter-exchange, and a message-ttl shorter than expires"
        )
    if says.get("overflow", "drop-head") == "drop-head" and {"max-length", "max-length-bytes"} & set(says):
        kept = (
            "are dead-lettered"
            if "dead-letter-exchange" in says
            else "are dropped (unless the queue dead-letters them)"
        )
        yield f"when a queue is full, its oldest messages {kept}"
    yield from drops.warnings(policy, effects, facts)
    for key in ("dead-letter-exchange", "alternate-exchange"):
        if isinstance(says.get(key), str):
            yield from _no_route(facts, key, says[key])


def _dead_letters_first(says: dict[str, Any]) -> bool:
    ttl, expires = says.get("message-ttl"), says["expires"]
    return "dead-letter-exchange" in says and isinstance(ttl, int) and isinstance(expires, int) and ttl < expires


def _no_route(facts: Facts, key: str, name: str) -> Iterator[str]:
    """An exchange that is missing, or that nothing is bound to."""
    broker = facts.actual
    what = "dead letters are" if key == "dead-letter-exchange" else "unroutable messages are"
    if name == "" and key == "dead-letter-exchange":
        return  # the default exchange: by the name of a queue
    if name not in broker.exchange_named:
        yield f"{key} {name!r} does not exist: {what} dropped"
    elif not broker.bindings_from.get(name):
        yield f"nothing is bound to {key} {name!r}: {what} dropped"
