"""Whether a policy makes a queue of Attune lose messages, judged by what it does to that queue now."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

import msgspec

from attune_ops.doctor.checks import check
from attune_ops.doctor.checks._common import counted, listed, running_node, without_policies
from attune_ops.doctor.findings import Problem, Severity, Subject
from attune_ops.model import command_lines
from attune_ops.model.command_lines import CommandLine
from attune_ops.model.facts import Facts, Source
from attune_ops.model.ownership import own_queues
from attune_ops.model.registry import START_LASTS
from attune_ops.model.snapshot import PolicyState, QueueState
from attune_ops.model.topology import Per
from attune_ops.model.units import age, number, size
from attune_ops.routing.effective_policy import REJECTS, EffectiveSettings
from attune_ops.routing.topology_routes import live_router

STATISTICS_INTERVAL_S = 5.0  # a rate of 0 says that nothing was acknowledged for so long
# The broker's counters of the messages that a setting removes, and their words.
REASONS = {
    "message-ttl": "expired", "max-length": "maxlen", "max-length-bytes": "maxlen", "delivery-limit": "delivery_limit"
}  # fmt: skip
REMOVED = {
    "expired": "{} expired",
    "maxlen": "{} dropped by a length limit",
    "delivery_limit": "{} dropped by a delivery limit",
}
DELIVERIES = 20  # the default delivery limit of a quorum queue from RabbitMQ 4.0 on


class Loss(msgspec.Struct, frozen=True):
    """What one setting does to one queue: `now` that it loses or refuses messages already, `messages` are at risk."""

    queue: str
    key: str
    value: Any
    now: bool
    why: str
    messages: int


@check(
    "AT215",
    "policies-keep-messages",
    "no policy drops confirmed messages of Attune",
    Severity.WARNING,
    needs=(Source.BROKER, Source.DEPTHS, Source.CONSUMERS),
    may_recover=False,
    unknown=without_policies,
)
def policies_keep_messages(facts: Facts, *, harmless_ttl_s: float = 86_400) -> Iterator[Problem]:
    """A broker confirms a message, and a policy can drop it later: by TTL, length, expiry or delivery limit.

    The check judges the effective settings of policies and operator policies, on each queue that a service consumes
    from. It is an error if messages are lost now: a length limit is reached or is below the prefetch of the consumers,
    messages wait longer than the TTL (estimated from the oldest message, the backlog and the acknowledgements; without
    a consumer they wait longer than any TTL below a day), or a queue expires sooner than a worker starts. It is a
    warning if messages can be lost, except by a TTL of a day or more. With `reject-publish` nothing confirmed is lost,
    but a full queue refuses new messages. Queues that no service consumes from, and dead-letter queues, need a limit
    and are not judged. Where the broker counts the messages that were removed (Prometheus endpoint of a single node),
    the finding has the number, which is of all virtual hosts.
    """
    found: dict[tuple[str, str], list[Loss]] = {}
    for queue, prefetch, is_base in _consumed(facts) if facts.actual.policies else ():
        settings = facts.memo(live_router).queue_settings(queue.name)
        for loss in _losses(facts, queue, settings, prefetch, is_base, harmless_ttl_s):
            setting = settings[loss.key]
            if setting.origin != "argument":
                found.setdefault((setting.policy, setting.origin), []).append(loss)
    for (name, origin), losses in found.items():
        now = [loss for loss in losses if loss.now]
        shown = now or losses
        queues = list(dict.fromkeys(loss.queue for loss in shown))
        at_risk = sum({loss.queue: loss.messages for loss in losses}.values())
        keys = {loss.key for loss in losses}
        removed, others = _removed(facts, keys), _of_others(facts, name, origin, keys)
        policy = next(p for p in facts.actual.policies or () if p.name == name and p.operator is (origin != "policy"))
        yield Problem(
            Subject("policy" if origin == "policy" else "operator policy", name),
            f"{origin} {name} {'loses' if now else 'can lose'} messages of {listed(queues, 3)}: "
            + "; ".join(_reasons(shown)[:3])
            + f" ({counted(at_risk, 'message')} at risk now)"
            + _removed_words(removed),
            evidence={
                "origin": origin, "messages": at_risk, "removed": removed,
                "pattern": policy.pattern, "definition": policy.definition,
                "losses": [msgspec.to_builtins(loss) for loss in losses],
                "other_queues": others,
            },
            remedy=f"It also limits {counted(len(others), 'queue')} that Attune does not use ({listed(others, 3)}), so "
            f"do not change it: give Attune's queues {_an(origin)} of a higher priority without these settings."
            if others
            else "Remove these settings from the policy. The others stay.",
            commands=() if others else (_without(policy, keys, running_node(facts)),),
            inspect_commands=(command_lines.POLICIES,),
            severity=Severity.ERROR if now else None,
        )  # fmt: skip


def _of_others(facts: Facts, policy: str, origin: str, keys: set[str]) -> list[str]:
    """The queues of other applications that have one of these settings from the same policy."""
    own, settings_of = facts.memo(own_queues), facts.memo(live_router).queue_settings
    foreign = (q.name for q in facts.actual.queues or () if q.name not in own)
    return [
        name
        for name in foreign
        if any((s.policy, s.origin) == (policy, origin) for key, s in settings_of(name).items() if key in keys)
    ]


def _an(origin: str) -> str:
    return "a policy" if origin == "policy" else "an operator policy"


def _reasons(losses: Sequence[Loss]) -> list[str]:
    """Each reason once, with the queues that it is true of, where not of all."""
    queues: dict[str, list[str]] = {}
    for loss in losses:
        queues.setdefault(loss.why, []).append(loss.queue)
    everywhere = len({loss.queue for loss in losses})
    return [why if len(names) == everywhere else f"{listed(names, 3)}: {why}" for why, names in queues.items()]


def _removed(facts: Facts, keys: set[str]) -> dict[str, int]:
    """How many messages such settings removed since the node started, in all virtual hosts; empty where not known."""
    counters = facts.actual.removed or {}
    return {reason: counters[reason] for reason in sorted({REASONS.get(k, "") for k in keys}) if counters.get(reason)}


def _removed_words(removed: dict[str, int]) -> str:
    if not removed:
        return ""
    said = listed(REMOVED[reason].format(counted(n, "message")) for reason, n in removed.items())
    return f"; {said} since the node started, in all virtual hosts"


def _without(policy: PolicyState, keys: set[str], node: str | None) -> CommandLine:
    """The command that removes these settings, and the whole policy where it has no others."""
    left = {k: v for k, v in policy.definition.items() if k not in keys and not (k == "overflow" and _limits(keys))}
    changed = msgspec.structs.replace(policy, definition=left)
    if policy.operator:
        if left:
            return command_lines.set_operator_policy(changed, node=node)
        return command_lines.clear_operator_policy(policy.vhost, policy.name, node=node)
    return command_lines.set_policy(changed) if left else command_lines.remove_policy(policy.name)


def _limits(keys: set[str]) -> bool:
    return bool(keys & {"max-length", "max-length-bytes"})


def _consumed(facts: Facts) -> Iterator[tuple[QueueState, int, bool]]:
    """The queues that a service should consume from, with the prefetch of all its consumers; no dead-letter queues."""
    topology = facts.topology
    exchanges = {q.arguments.get("x-dead-letter-exchange") for q in topology.queues} - {None}
    ends = {b.destination for b in topology.bindings if b.source in exchanges}
    declared = {q.name: q for q in topology.queues if q.per is not Per.REPLICA and q.name not in ends}
    expected: dict[str, int] = {}
    for consumer in topology.consumers:
        expected[consumer.queue] = expected.get(consumer.queue, 0) + consumer.prefetch_at(0)
    for name, template in facts.memo(own_queues).items():
        if template in declared and template in expected:
            actual = sum(c.prefetch or 0 for c in facts.actual.consumers_of.get(name, ()))
            yield facts.actual.queue_named[name], actual or expected[template], declared[template].per is Per.ONCE


def _losses(
    facts: Facts, queue: QueueState, settings: EffectiveSettings, prefetch: int, is_base: bool, harmless_ttl_s: float
) -> Iterator[Loss]:
    def loss(key: str, now: bool, why: str) -> Loss:
        return Loss(queue.name, key, settings[key].value, now, why, queue.messages_ready or 0)

    values = {key: setting.value for key, setting in settings.items()}
    rejects = values.get("overflow") in REJECTS
    does = "new messages are refused" if rejects else "the oldest messages are dropped"
    ready, length = queue.messages_ready or 0, values.get("max-length")
    if isinstance(length, int) and (ready >= length or length < prefetch or not rejects):
        if length < prefetch:
            yield loss("max-length", True, f"max-length {length} is below the prefetch of {prefetch}: {does}")
        elif ready >= length:
            yield loss("max-length", True, f"max-length {length:,} is reached: {does}")
        else:
            yield loss("max-length", False, f"max-length {length:,} drops the oldest messages of a longer backlog")
    yield from _by_size(queue, values, loss, prefetch, does, rejects)
    ttl = values.get("message-ttl")
    if isinstance(ttl, int):
        harmless, limit = ttl >= harmless_ttl_s * 1000, f"message-ttl {_time(ttl)}"
        waits = _wait(facts, queue, prefetch, harmless)
        if waits is not None and waits * 1000 > ttl:
            reason = "have no consumer" if waits == float("inf") else f"wait {number(waits)} s"
            yield loss("message-ttl", True, f"{limit}: messages {reason} and expire")
        elif not harmless:
            yield loss("message-ttl", False, f"{limit} expires messages that wait longer")
    expires = values.get("expires")
    if isinstance(expires, int):
        soon = expires < START_LASTS.total_seconds() * 1000
        waiting = queue.name in facts.actual.unconsumed and bool(queue.messages)
        if soon or is_base:
            yield loss(
                "expires",
                soon or waiting,
                f"expires {_time(expires)} deletes the queue with its messages when it has no consumer"
                + (" for less time than a worker may need to start" if soon else " for that time"),
            )
    limit_of_deliveries = values.get("delivery-limit")
    if queue.type == "quorum" and isinstance(limit_of_deliveries, int) and 0 <= limit_of_deliveries < DELIVERIES:
        never = limit_of_deliveries == 0
        yield loss(
            "delivery-limit",
            never,
            f"delivery-limit {limit_of_deliveries} drops messages that a consumer returned "
            + ("once: a restart loses what it holds" if never else "more often"),
        )


def _by_size(
    queue: QueueState, values: dict[str, Any], loss: Any, prefetch: int, does: str, rejects: bool
) -> Iterator[Loss]:
    """The loss by a limit in bytes; the size of the messages is a statistic, seconds old."""
    limit, ready = values.get("max-length-bytes"), queue.messages_ready or 0
    if not isinstance(limit, int):
        return
    each = (queue.message_bytes or 0) / queue.messages if queue.messages else 0
    if limit < each * prefetch or (ready and each and (ready + 1) * each > limit):
        yield loss("max-length-bytes", True, f"max-length-bytes {size(limit)} is reached: {does}")
    elif not rejects:
        yield loss("max-length-bytes", False, f"max-length-bytes {size(limit)} drops the oldest messages of a backlog")


def _wait(facts: Facts, queue: QueueState, prefetch: int, restarts: bool) -> float | None:
    """For how long messages wait in this queue now, in s; None where that is unknown.

    Without a consumer that is infinite, unless the TTL is so long that the service `restarts` before it is over.
    """
    ready, held = queue.messages_ready or 0, queue.messages_unacknowledged or 0
    waits = []
    if queue.head_message_timestamp is not None and ready:
        waits.append((facts.taken_at - queue.head_message_timestamp).total_seconds())
    if queue.name in facts.actual.unconsumed:
        if ready and not restarts:
            waits.append(float("inf"))
    elif held >= prefetch > 0 and queue.ack_rate is not None:
        # A message is delivered when those before it, and one of the prefetch, are acknowledged.
        waits.append((ready + 1) / max(queue.ack_rate, 1 / STATISTICS_INTERVAL_S))
    return max(waits, default=None)


def _time(milliseconds: int) -> str:
    return f"{milliseconds} ms" if milliseconds < 1000 else age(timedelta(milliseconds=milliseconds))
