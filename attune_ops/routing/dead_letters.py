"""Dead letters, hop by hop (rabbit_dead_letter): through which exchange, with which keys, into which queues.

The dead-letter exchange and routing key are looked up each on its own, argument before policy. With a key, that
key alone; without, all the keys with which the message was last published or dead-lettered. Then it is routed
like any message. What has no dead-letter exchange, or no route, is dropped silently.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from attune_ops.routing.death_history import Death, History, history_of, is_cycle, recorded, with_death_headers
from attune_ops.routing.effective import EffectiveSettings
from attune_ops.routing.policy_match import ROUTING_KEYS
from attune_ops.routing.route import NO_ROUTE, Hop, Reason, Refusal, Route
from attune_ops.routing.routed_message import Message, routing_keys

if TYPE_CHECKING:
    from attune_ops.routing.router import Router

MAX_HOPS = 1000  # a way that branches at every queue has no other end

NO_EXCHANGE = "no dead-letter exchange"
CYCLE = "the broker drops it as a cycle"


class Letter(NamedTuple):
    """A message that lies in a queue: with what it was published, or dead-lettered, last, and where it died before."""

    queue: str
    exchange: str
    keys: Sequence[str]
    headers: Mapping[str, Any]
    history: History


def follow(
    router: Router,
    queue: str,
    reason: Reason,
    routing_key: str,
    headers: Mapping[str, Any] | None,
    exchange: str,
) -> Route:
    """The first hop of a dead letter as a `Route`, with every hop to its end."""
    keys = routing_keys(routing_key, headers)
    if router.queue(queue) is None:
        keys = Refusal(404, f"NOT_FOUND - no queue '{queue}' in vhost '{router.vhost}'")
    if isinstance(keys, Refusal):
        return Route(None, routing_key, vhost=router.vhost, dead_letter=queue, reason=reason, error=keys)
    given = dict(headers or {})
    hops, cut = _hops(router, Letter(queue, exchange, keys, given, history_of(given, router.rules)), reason)
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
        vhost=router.vhost,
        dead_letter=queue,
        reason=reason,
        notes=(*router.notes, *_notes(router, queue), *((f"only {MAX_HOPS} hops are followed",) if cut else ())),
    )


def _notes(router: Router, name: str) -> Sequence[str]:
    queue = router.queue(name)
    assert queue is not None
    tied = router.policies.in_force("queue", name, queue.type, queue.policy)
    if len({tuple(p.definition.get(k) for k in sorted(ROUTING_KEYS)) for p in tied}) < 2:
        return ()
    names = ", ".join(repr(p.name) for p in tied)
    return (f"the policies {names} share the highest priority: which of them holds is the broker's own order",)


def _hops(router: Router, letter: Letter, reason: Reason) -> tuple[list[Hop], bool]:
    """Every hop, the nearest first; each state of queue, reason and keys is followed once.

    A message that something moves on by itself meets, where it lies next, the fate that was asked about.
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
        hop, letters = die(router, letter, reason)
        onward = [(at, why) for at in letters if (why := reason_to_leave(router, at.queue, asked)) is not None]
        loops = any(Death(at.queue, why) in at.history for at, why in onward)
        hops.append(msgspec.structs.replace(hop, loops=True) if loops else hop)
        waiting.extend(onward)
    return hops, bool(waiting)


def die(router: Router, letter: Letter, reason: Reason) -> tuple[Hop, list[Letter]]:
    """One death: the hop, and the letter as it lies in each queue that receives it, or may."""
    settings = router.queue_settings(letter.queue)
    exchange = _text(settings, "dead-letter-exchange")
    key = _text(settings, "dead-letter-routing-key")
    keys = letter.keys if key is None else (key,)
    end = why_not(router, letter.queue, reason, settings)
    if end or exchange is None:
        return Hop(letter.queue, reason, exchange, tuple(keys), (), True, end=end), []
    headers = with_death_headers(letter.headers, letter.queue, reason, letter.exchange, key is not None, router.rules)
    history = recorded(letter.history, Death(letter.queue, reason), router.rules)
    walk = router.walk(exchange, Message(keys, headers, router.rules.numbers_are_loose))
    dropped = [] if reason == "rejected" else [q for q in walk.queues if is_cycle(q, history, router.rules)]
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
    return hop, [Letter(q, exchange, keys, headers, history) for q in (*walk.certain, *walk.possible)]


def _no_route(settings: EffectiveSettings, dropped: bool) -> str:
    if _text(settings, "dead-letter-strategy") == "at-least-once" and _text(settings, "overflow") == "reject-publish":
        return "kept by the queue and tried again: " + (CYCLE if dropped else NO_ROUTE)
    return CYCLE if dropped else NO_ROUTE


def why_not(router: Router, queue: str, reason: Reason, settings: EffectiveSettings) -> str:
    """Why this queue dead-letters nothing for this reason; empty where it does."""
    state = router.queue(queue)
    exchange = _text(settings, "dead-letter-exchange")
    if state is not None and state.type == "stream":
        return "a stream never dead-letters"
    if reason == "maxlen" and _text(settings, "overflow") == "reject-publish":
        return "overflow is reject-publish: the publisher is refused, nothing is dead-lettered"
    if exchange is None:
        return NO_EXCHANGE
    return "" if router.exchange(exchange) is not None else f"the dead-letter exchange {exchange!r} does not exist"


def reason_to_leave(router: Router, queue: str, reason: Reason) -> Reason | None:
    """Why a dead letter would leave this queue in turn, or None where it rests there.

    A message TTL moves it on by itself. Without one it is taken to meet the same fate as before, where that
    can befall it here: rejected again (only counted where there is a dead-letter exchange to take it on),
    over the length again, over the delivery limit again.
    """
    settings = router.queue_settings(queue)
    state = router.queue(queue)
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
