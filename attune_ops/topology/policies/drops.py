"""The ready messages that a queue drops or dead-letters as soon as a policy limits its length.

A length limit applies at once to the messages in the queue, the oldest first, with or without a consumer. A
`message-ttl` does not: a message gets its TTL when it is published. As seen on 3.10.8, 4.0.5 and 4.3.6.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from attune_ops.model.command_lines import CommandLine, line
from attune_ops.model.facts import Facts
from attune_ops.model.snapshot import PolicyState, QueueState
from attune_ops.model.units import counted
from attune_ops.routing.effective_policy import REJECTS, EffectiveSettings
from attune_ops.routing.topology_routes import dead_letters, live_router
from attune_ops.topology.policies.policy_change import Drop, Effect

LIMITS = ("max-length", "max-length-bytes")
DECIDES = (*LIMITS, "overflow")


def with_drops(facts: Facts, then: Sequence[PolicyState], effects: Sequence[Effect]) -> tuple[Effect, ...]:
    """The effects, with what each queue drops at once under the policies `then`."""
    if not any(p.definition.keys() & set(LIMITS) for p in then):
        return tuple(effects)
    # A classic queue drops by its previous overflow, and a quorum queue with reject-publish drops nothing.
    bare = [
        msgspec.structs.replace(p, definition={k: v for k, v in p.definition.items() if k != "overflow"}) for p in then
    ]
    after, without_overflow = _after(facts, then), _after(facts, bare)
    return tuple(
        msgspec.structs.replace(e, drop=_drop((facts, after, without_overflow), facts.actual.queue_named[e.name]))
        if e.kind == "queue" and e.outcome not in ("hidden", "not applied")
        else e
        for e in effects
    )


def drain_commands(facts: Facts, effects: Sequence[Effect]) -> Iterator[CommandLine]:
    """The command lines that drain to files what would be lost, where a drain takes exactly these messages."""
    for effect in effects:
        drop = effect.drop
        if drop is None or drop.messages is None or drop.goes_to:
            continue
        queue = facts.actual.queue_named[effect.name]
        if queue.exclusive or "x-max-priority" in queue.arguments:  # not readable; dropped in another order
            continue
        file = re.sub(r"[^\w.-]+", "_", queue.name).lstrip("-") + ".jsonl"
        options = ("--to", file, "--limit", str(drop.messages), "--apply")
        yield line("messages", "drain", *options, "--", queue.name)


def warnings(policy: PolicyState, effects: Sequence[Effect], facts: Facts) -> Iterator[str]:
    """What happens to the messages that are in the queues now."""
    drops = [(e, e.drop) for e in effects if e.drop is not None]
    if drops:
        lost = [d for _, d in drops if not d.goes_to]
        result = f"{_sum(lost)} of them are lost" if lost else "they are dead-lettered"
        where = f"{_sum(d for _, d in drops)} ready messages from {counted(len(drops), 'queue')}"
        yield f"removes {where} at once; {result}; the undo does not bring them back"
    named = facts.actual.queue_named
    rejecting = policy.definition.get("overflow") in REJECTS
    if rejecting and any(named[e.name].type == "classic" for e, _ in drops):
        yield (
            "a classic queue applies a new length limit before the overflow that is set with it: to keep its messages, "
            "set --overflow first and the limit after it"
        )
    if "message-ttl" in policy.definition:
        matched = (named[e.name] for e in effects if e.kind == "queue" and e.outcome in ("in force", "hides"))
        ready = sum(q.messages_ready or 0 for q in matched)
        if ready:
            yield (
                f"message-ttl applies to messages published from now on: the {ready} ready messages do not expire, and "
                f"messages behind them expire only after they are consumed"
            )


def _sum(drops: Iterable[Drop]) -> str:
    counts = [d.messages for d in drops]
    known = sum(n for n in counts if n is not None)
    return str(known) if None not in counts else f"{known} or more" if known else "some"


def _after(facts: Facts, then: Sequence[PolicyState]) -> Facts:
    """The same facts with these policies; the effective policies that the broker reported are outdated."""
    broker = facts.actual
    cleared: dict[str, Any] = {
        kind: tuple(msgspec.structs.replace(one, policy=None) for one in getattr(broker, kind) or ())
        for kind in ("queues", "exchanges")
    }
    return msgspec.structs.replace(facts, broker=msgspec.structs.replace(broker, policies=tuple(then), **cleared))


def _drop(before_after_bare: tuple[Facts, Facts, Facts], queue: QueueState) -> Drop | None:
    was, becomes = (f.memo(live_router).queue_settings(queue.name) for f in before_after_bare[:2])
    ready = queue.messages_ready or 0
    same = all(_value(was, key) == _value(becomes, key) for key in DECIDES)
    if not ready or same or queue.type == "stream" or _keeps(queue, was, becomes):
        return None  # a stream drops whole segments, when the next one begins
    length, size = (_value(becomes, key) for key in LIMITS)
    over = max(ready - length, 0) if isinstance(length, int) else 0
    bytes_ready = queue.message_bytes or None  # a statistic, seconds old: 0 is unknown where messages are ready
    too_large = isinstance(size, int) and (bytes_ready is None or bytes_ready > size)
    if not over and not too_large:
        return None
    return Drop(ready, None if too_large and over < ready else over, *_dead_lettered(before_after_bare[2], queue.name))


def _keeps(queue: QueueState, was: EffectiveSettings, becomes: EffectiveSettings) -> bool:
    """Whether a full queue rejects new messages and keeps those it has.

    A quorum queue applies the new overflow with the limit, and reject-publish-dlx as drop-head; a classic one applies
    the limit first, with its previous overflow.
    """
    if queue.type == "quorum":
        return bool(_value(becomes, "overflow") == "reject-publish")
    return _value(was, "overflow") in REJECTS and _value(becomes, "overflow") in REJECTS


def _dead_lettered(after: Facts, queue: str) -> tuple[tuple[str, ...], str]:
    """The queues that receive the dead letters, and why dead letters are lost, or some of them may be."""
    routes = [w.route for w in after.memo(dead_letters) if queue in w.queues and w.route.reason == "maxlen"]
    if not routes:
        return (), "no dead-letter exchange"
    goes_to = {q for route in routes for hop in route.hops[:1] for q in (*hop.queues, *hop.possible)}
    ends = [hop.end for route in routes for hop in route.hops if hop.unroutable]
    ends += [f"{q} has a length limit too" for q in sorted(goes_to) if _is_limited(after, q)]
    return tuple(sorted(goes_to)), next(iter(ends), "")


def _is_limited(after: Facts, queue: str) -> bool:
    settings = after.memo(live_router).queue_settings(queue)
    return any(key in settings for key in LIMITS) and "dead-letter-exchange" not in settings


def _value(settings: EffectiveSettings, key: str) -> Any:
    found = settings.get(key)
    return None if found is None else found.value
