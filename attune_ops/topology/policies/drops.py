"""The messages that a queue gives up in the moment in which a policy limits its length, and where they go.

What waits is measured by a limit as soon as it is set, whoever consumes; the oldest go first. A `message-ttl` spares
what waits: a message gets its time when it is published. Both were seen on 3.10.8, 4.0.5 and 4.3.6.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from attune_ops.model.command_lines import line
from attune_ops.model.facts import Facts
from attune_ops.model.snapshot import PolicyState, QueueState
from attune_ops.model.units import counted
from attune_ops.routing.effective import EffectiveSettings
from attune_ops.routing.live import dead_letters, live_router
from attune_ops.topology.policies.policy_change import Drop, Effect

LIMITS = ("max-length", "max-length-bytes")
DECIDES = (*LIMITS, "overflow")
REJECTS = ("reject-publish", "reject-publish-dlx")


def with_drops(facts: Facts, then: Sequence[PolicyState], effects: Sequence[Effect]) -> tuple[Effect, ...]:
    """The effects, with what each queue gives up at once when its policies are `then`."""
    if not any(p.definition.keys() & set(LIMITS) for p in then):
        return tuple(effects)
    # A classic queue drops by the overflow that it had, and a quorum queue that refuses drops nothing.
    bare = [
        msgspec.structs.replace(p, definition={k: v for k, v in p.definition.items() if k != "overflow"}) for p in then
    ]
    after, ways = _after(facts, then), _after(facts, bare)
    return tuple(
        msgspec.structs.replace(e, drop=_drop((facts, after, ways), facts.actual.queue_named[e.name]))
        if e.kind == "queue" and e.outcome not in ("hidden", "not applied")
        else e
        for e in effects
    )


def saving(facts: Facts, effects: Sequence[Effect]) -> Iterator[str]:
    """The command lines that save beforehand what would be lost, where a drain takes just these messages."""
    for effect in effects:
        drop = effect.drop
        if drop is None or drop.messages is None or drop.goes_to:
            continue
        queue = facts.actual.queue_named[effect.name]
        if queue.exclusive or "x-max-priority" in queue.arguments:  # not to be read; given up in another order
            continue
        file = re.sub(r"[^\w.-]+", "_", queue.name).lstrip("-") + ".jsonl"
        options = ("--to", file, "--limit", str(drop.messages), "--apply")
        yield line("messages", "drain", *options, "--", queue.name)


def warnings(policy: PolicyState, effects: Sequence[Effect], facts: Facts) -> Iterator[str]:
    """What to mind of the messages that wait now."""
    drops = [(e, e.drop) for e in effects if e.drop is not None]
    if drops:
        lost = [d for _, d in drops if not d.goes_to]
        told = f"of these {_sum(lost)} are lost" if lost else "they are dead-lettered"
        queues = counted(len(drops), "queue")
        yield f"{_sum(d for _, d in drops)} messages that wait in {queues} go at once; {told}; no undo brings them back"
    named = facts.actual.queue_named
    rejecting = policy.definition.get("overflow") in REJECTS
    if rejecting and any(named[e.name].type == "classic" for e, _ in drops):
        yield (
            "a classic queue obeys a new length limit before the overflow that is set with it: with --overflow alone "
            "first, and the limit a moment later, it keeps what waits"
        )
    if "message-ttl" in policy.definition:
        meant = (named[e.name] for e in effects if e.kind == "queue" and e.outcome in ("in force", "hides"))
        waiting = sum(q.messages_ready or 0 for q in meant)
        if waiting:
            yield (
                f"message-ttl counts for what is published from now on: the {waiting} ready messages do not expire by "
                f"it, and what expires behind them goes only when they have gone"
            )


def _sum(drops: Iterable[Drop]) -> str:
    counts = [d.messages for d in drops]
    known = sum(n for n in counts if n is not None)
    return str(known) if None not in counts else f"{known} or more" if known else "some"


def _after(facts: Facts, then: Sequence[PolicyState]) -> Facts:
    """The same facts with these policies; what the broker told of the policy in force does not hold any more."""
    broker = facts.actual
    untold: dict[str, Any] = {
        kind: tuple(msgspec.structs.replace(one, policy=None) for one in getattr(broker, kind) or ())
        for kind in ("queues", "exchanges")
    }
    return msgspec.structs.replace(facts, broker=msgspec.structs.replace(broker, policies=tuple(then), **untold))


def _drop(worlds: tuple[Facts, Facts, Facts], queue: QueueState) -> Drop | None:
    was, becomes = (f.memo(live_router).queue_settings(queue.name) for f in worlds[:2])
    ready = queue.messages_ready or 0
    same = all(_value(was, key) == _value(becomes, key) for key in DECIDES)
    if not ready or same or queue.type == "stream" or _keeps(queue, was, becomes):
        return None  # a stream gives whole segments up, when the next one begins
    length, size = (_value(becomes, key) for key in LIMITS)
    over = max(ready - length, 0) if isinstance(length, int) else 0
    told = queue.message_bytes or None  # a statistic, seconds old: 0 is none where messages wait
    too_large = isinstance(size, int) and (told is None or told > size)
    if not over and not too_large:
        return None
    return Drop(ready, None if too_large and over < ready else over, *_way(worlds[2], queue.name))


def _keeps(queue: QueueState, was: EffectiveSettings, becomes: EffectiveSettings) -> bool:
    """Whether a full queue refuses what is published and keeps what it has.

    A quorum queue takes the new overflow with the limit, and takes reject-publish-dlx for drop-head; a classic one
    obeys the limit first, by the overflow that it had.
    """
    if queue.type == "quorum":
        return bool(_value(becomes, "overflow") == "reject-publish")
    return _value(was, "overflow") in REJECTS and _value(becomes, "overflow") in REJECTS


def _way(after: Facts, queue: str) -> tuple[tuple[str, ...], str]:
    """The queues that get the dead letters, and why they are lost, or some of them may be."""
    ways = [w.route for w in after.memo(dead_letters) if queue in w.queues and w.route.reason == "maxlen"]
    if not ways:
        return (), "no dead-letter exchange"
    goes_to = {q for way in ways for hop in way.hops[:1] for q in (*hop.queues, *hop.possible)}
    ends = [hop.end for way in ways for hop in way.hops if hop.unroutable]
    ends += [f"{q} is limited too" for q in sorted(goes_to) if _is_limited(after, q)]
    return tuple(sorted(goes_to)), next(iter(ends), "")


def _is_limited(after: Facts, queue: str) -> bool:
    settings = after.memo(live_router).queue_settings(queue)
    return any(key in settings for key in LIMITS) and "dead-letter-exchange" not in settings


def _value(settings: EffectiveSettings, key: str) -> Any:
    found = settings.get(key)
    return None if found is None else found.value
