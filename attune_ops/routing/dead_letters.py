"""Dead-lettering, hop by hop (rabbit_dead_letter, mc): exchange, routing keys, queues, `x-death` and cycles.

Dead-letter exchange and routing key are looked up separately, argument before policy. With a dead-letter routing key,
only that key is used; without one, all keys of the last publish or dead-lettering. Then the message is routed like any
other. Without a dead-letter exchange, or a route, it is dropped silently.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from attune_ops.routing.effective_policy import ROUTING_KEYS, EffectiveSettings
from attune_ops.routing.route import NO_ROUTE, Hop, Reason, Refusal, Route
from attune_ops.routing.routed_message import RoutedMessage, routing_keys
from attune_ops.routing.rules import Rules
from attune_ops.routing.virtual_host import VirtualHost

MAX_HOPS = 1000  # bounds a route that branches at every queue

NO_EXCHANGE = "no dead-letter exchange"
CYCLE = "the broker drops it as a cycle"


class DeathRecord(NamedTuple):
    """One entry of `x-death`: queue and reason."""

    queue: str
    reason: str


History = tuple[DeathRecord, ...]


class DeadLetter(NamedTuple):
    """A message in a queue: its last publish or dead-lettering, and its `x-death` history."""

    queue: str
    exchange: str
    keys: Sequence[str]
    headers: Mapping[str, Any]
    history: History


def follow(
    host: VirtualHost,
    queue: str,
    reason: Reason,
    routing_key: str,
    headers: Mapping[str, Any] | None,
    exchange: str,
) -> Route:
    """The first hop of a dead letter as a `Route`, with all further hops."""
    keys = routing_keys(routing_key, headers)
    if host.queue(queue) is None:
        keys = Refusal(404, f"NOT_FOUND - no queue '{queue}' in vhost '{host.vhost}'")
    if isinstance(keys, Refusal):
        return Route(None, routing_key, vhost=host.vhost, dead_letter=queue, reason=reason, error=keys)
    given = dict(headers or {})
    hops, cut = _hops(host, DeadLetter(queue, exchange, keys, given, history_of(given, host.rules)), reason)
    first = hops[0]
    return Route(
        first.exchange,
        routing_key,
        queues=first.queues,
        unroutable=first.unroutable,
        via_alternate=first.via_alternate,
        uncertain=first.uncertain,
        path=first.path,
        hops=tuple(hops),
        possible=first.possible,
        vhost=host.vhost,
        dead_letter=queue,
        reason=reason,
        notes=(*host.notes, *_notes(host, queue), *((f"stopped after {MAX_HOPS} hops",) if cut else ())),
    )


def _notes(host: VirtualHost, name: str) -> Sequence[str]:
    queue = host.queue(name)
    assert queue is not None
    tied = host.policies.effective("queue", name, queue.type, queue.policy)
    if len({tuple(p.definition.get(k) for k in sorted(ROUTING_KEYS)) for p in tied}) < 2:
        return ()
    names = ", ".join(repr(p.name) for p in tied)
    return (f"policies {names} have the same priority: which applies is undefined",)


def _hops(host: VirtualHost, letter: DeadLetter, reason: Reason) -> tuple[list[Hop], bool]:
    """All hops, the nearest first; each state of queue, reason and keys is followed once.

    After a hop that needs no consumer, the next queue dead-letters the message for the reason that was asked about.
    """
    asked = reason
    hops: list[Hop] = []
    waiting = deque([(letter, reason)])
    seen: set[tuple[str, Reason, tuple[str, ...]]] = set()
    while waiting and len(hops) < MAX_HOPS:
        letter, reason = waiting.popleft()
        state = (letter.queue, reason, tuple(letter.keys))
        if state in seen:
            continue
        seen.add(state)
        hop, letters = dead_letter(host, letter, reason)
        onward = [(at, why) for at in letters if (why := reason_to_leave(host, at.queue, asked)) is not None]
        loops = any(DeathRecord(at.queue, why) in at.history for at, why in onward)
        hops.append(msgspec.structs.replace(hop, loops=True) if loops else hop)
        waiting.extend(onward)
    return hops, bool(waiting)


def dead_letter(host: VirtualHost, letter: DeadLetter, reason: Reason) -> tuple[Hop, list[DeadLetter]]:
    """One hop, and the message as it is in each queue that receives it, or may."""
    settings = host.queue_settings(letter.queue)
    exchange = _text(settings, "dead-letter-exchange")
    key = _text(settings, "dead-letter-routing-key")
    keys = letter.keys if key is None else (key,)
    end = why_not(host, letter.queue, reason, settings)
    if end or exchange is None:
        return Hop(letter.queue, reason, exchange, tuple(keys), (), True, end=end), []
    headers = with_death_headers(letter.headers, letter.queue, reason, letter.exchange, key is not None, host.rules)
    history = recorded(letter.history, DeathRecord(letter.queue, reason), host.rules)
    walk = host.walk(exchange, RoutedMessage(keys, headers, host.rules.numbers_are_loose))
    dropped = [] if reason == "rejected" else [q for q in walk.queues if is_cycle(q, history, host.rules)]
    for name in dropped:
        del walk.queues[name]
    hop = Hop(
        letter.queue,
        reason,
        exchange,
        tuple(keys),
        walk.certain,
        unroutable=not walk.queues,
        via_alternate=walk.via_alternate,
        uncertain=tuple(walk.uncertain),
        possible=walk.possible,
        dropped=tuple(sorted(dropped)),
        path=tuple(walk.path),
        end="" if walk.queues else _no_route(settings, bool(dropped)),
    )
    return hop, [DeadLetter(q, exchange, keys, headers, history) for q in (*walk.certain, *walk.possible)]


def _no_route(settings: EffectiveSettings, dropped: bool) -> str:
    if _text(settings, "dead-letter-strategy") == "at-least-once" and _text(settings, "overflow") == "reject-publish":
        return "kept by the queue and retried: " + (CYCLE if dropped else NO_ROUTE)
    return CYCLE if dropped else NO_ROUTE


def why_not(host: VirtualHost, queue: str, reason: Reason, settings: EffectiveSettings) -> str:
    """Why this queue does not dead-letter for this reason; empty where it does."""
    state = host.queue(queue)
    exchange = _text(settings, "dead-letter-exchange")
    if state is not None and state.type == "stream":
        return "a stream never dead-letters"
    if reason == "maxlen" and _text(settings, "overflow") == "reject-publish":
        return "overflow is reject-publish: the publish is nacked, nothing is dead-lettered"
    if exchange is None:
        return NO_EXCHANGE
    return "" if host.exchange(exchange) is not None else f"the dead-letter exchange {exchange!r} does not exist"


def reason_to_leave(host: VirtualHost, queue: str, reason: Reason) -> Reason | None:
    """Why this queue would dead-letter the message in turn, or None where it stays.

    A message TTL expires it. Without one the reason is assumed to be the same as before, where it is possible here:
    rejected (where there is a dead-letter exchange), over the length limit, over the delivery limit.
    """
    settings = host.queue_settings(queue)
    state = host.queue(queue)
    if "message-ttl" in settings:
        return "expired"
    if "dead-letter-exchange" not in settings:
        return None
    if reason == "rejected":
        return reason
    if reason == "maxlen" and not settings.keys().isdisjoint({"max-length", "max-length-bytes"}):
        return reason
    if reason == "delivery_limit" and state is not None and state.type == "quorum":
        return reason
    return None


def _text(settings: EffectiveSettings, name: str) -> str | None:
    found = settings.get(name)
    return found.value if found is not None and isinstance(found.value, str) else None


def recorded(history: History, death: DeathRecord, rules: Rules) -> History:
    """The history after one more dead-lettering; an entry of the same queue and reason is moved.

    Through 3.12 the older entries are reversed every time, a side effect of grouping them
    (rabbit_dead_letter:group_by_queue_and_reason/1). From 3.13.3 the newest is first (mc:record_death/4).
    """
    older = history
    if rules.death_order == "reversed" and len(history) > 1:
        older = tuple(reversed(history))
    after = (death, *(d for d in older if d != death))
    return tuple(sorted(after)) if rules.death_order == "by key" else after


def is_cycle(target: str, history: History, rules: Rules) -> bool:
    """Whether a copy for `target` is dropped: dead-lettered there before, and not `rejected` anywhere since."""
    for death in history:
        if death.reason == "rejected":
            return False
        if death.queue == target:
            return True
    return False


def history_of(headers: Mapping[str, Any], rules: Rules) -> History:
    """The history in a client's own `x-death` header; it is ignored from 4.0 on."""
    entries = headers.get("x-death")
    if not rules.client_deaths_count or not isinstance(entries, list):
        return ()
    return tuple(DeathRecord(str(e.get("queue")), str(e.get("reason"))) for e in entries if isinstance(e, dict))


def with_death_headers(
    headers: Mapping[str, Any], queue: str, reason: str, exchange: str, key_replaced: bool, rules: Rules
) -> dict[str, Any]:
    """The headers as the dead-letter exchange sees them.

    Up to 3.12 `x-death` is a header like others, and `CC` is removed where the key is replaced; from 3.13 the history
    is kept outside the headers, and `x-last-death-*` headers are added.
    """
    after = dict(headers)
    if key_replaced and not rules.containers:
        after.pop("CC", None)
    added = {"reason": reason, "queue": queue, "exchange": exchange}
    if "x-first-death-reason" not in after:
        after |= {f"x-first-death-{k}": v for k, v in added.items()}
    if rules.containers:
        after |= {f"x-last-death-{k}": v for k, v in added.items()}
    else:
        after.setdefault("x-death", [{"queue": queue, "reason": reason}])
    return after
