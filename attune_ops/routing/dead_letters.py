"""Dead letters, hop by hop (rabbit_dead_letter): through which exchange, with which keys, into which queues.

The dead-letter exchange and routing key are looked up each on its own, argument before policy. With a key, that
key alone; without, all the keys with which the message was last published or dead-lettered. Then it is routed
like any message. What has no dead-letter exchange, or no route, is dropped silently.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from attune_ops.route import Hop, Reason, Refusal, Route
from attune_ops.routing.deaths import Death, History, history_of, is_cycle, recorded, with_death_headers
from attune_ops.routing.effective import Settings
from attune_ops.routing.message import Message, routing_keys

if TYPE_CHECKING:
    from attune_ops.routing.router import Router

MAX_HOPS = 1000  # a way that branches at every queue has no other end

NO_EXCHANGE = "no dead-letter exchange"
NO_ROUTE = "no queue receives it"


class Letter(NamedTuple):
    """A message in a queue that is about to give it up."""

    queue: str
    reason: Reason
    exchange: str  # where it was published, or dead-lettered to, last
    keys: Sequence[str]
    headers: Mapping[str, Any]
    history: History


def follow(router: Router, queue: str, reason: Reason, routing_key: str, headers: Mapping[str, Any] | None) -> Route:
    """The first hop of a dead letter as a `Route`, with every hop to its end."""
    keys = routing_keys(routing_key, headers)
    if router.queue(queue) is None:
        keys = Refusal(404, f"NOT_FOUND - no queue '{queue}' in vhost '{router.vhost}'")
    if isinstance(keys, Refusal):
        return Route(None, routing_key, vhost=router.vhost, dead_letter=queue, reason=reason, error=keys)
    given = dict(headers or {})
    hops, cut = _hops(router, Letter(queue, reason, "", keys, given, history_of(given, router.rules)))
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
        notes=(f"only the first {MAX_HOPS} hops are followed",) if cut else (),
    )


def _hops(router: Router, letter: Letter) -> tuple[list[Hop], bool]:
    """Every hop, the nearest first; each state of queue, reason and keys is followed once."""
    hops: list[Hop] = []
    waiting = deque([letter])
    seen: set[tuple[str, Reason, tuple[str, ...]]] = set()
    while waiting and len(hops) < MAX_HOPS:
        letter = waiting.popleft()
        state = (letter.queue, letter.reason, tuple(letter.keys))
        if state in seen:
            continue
        seen.add(state)
        hop, onward = _hop(router, letter)
        hops.append(hop)
        waiting.extend(onward)
    return hops, bool(waiting)


def _hop(router: Router, letter: Letter) -> tuple[Hop, list[Letter]]:
    settings = router.queue_settings(letter.queue)
    exchange = _text(settings, "dead-letter-exchange")
    key = _text(settings, "dead-letter-routing-key")
    keys = letter.keys if key is None else [key]
    end = why_not(router, letter.queue, letter.reason, settings)
    if end or exchange is None:
        return Hop(letter.queue, letter.reason, exchange, tuple(keys), (), True, end=end), []
    headers = with_death_headers(
        letter.headers, letter.queue, letter.reason, letter.exchange, key is not None, router.rules
    )
    history = recorded(letter.history, Death(letter.queue, letter.reason), router.rules)
    walk = router.walk(exchange, Message(keys, headers, router.rules.numbers_are_loose))
    dropped = [q for q in walk.queues if is_cycle(q, history, router.rules)] if letter.reason != "rejected" else []
    for name in dropped:
        del walk.queues[name]
    onward = [
        Letter(name, next_reason, exchange, keys, headers, history)
        for name in sorted(walk.queues)
        if (next_reason := reason_to_leave(router, name, letter.reason)) is not None
    ]
    hop = Hop(
        letter.queue,
        letter.reason,
        exchange,
        tuple(keys),
        walk.certain,
        unroutable=not walk.queues,
        via_alternate=walk.via_alternate,
        uncertain=tuple(walk.uncertain),
        possible=walk.possible,
        dropped=tuple(sorted(dropped)),
        path=tuple(walk.path),
        loops=any(d == Death(o.queue, o.reason) for o in onward for d in history),
        end="" if walk.queues else ("dropped as a cycle" if dropped else NO_ROUTE),
    )
    return hop, onward


def why_not(router: Router, queue: str, reason: Reason, settings: Settings) -> str:
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


def _text(settings: Settings, name: str) -> str | None:
    found = settings.get(name)
    return found.value if found is not None and isinstance(found.value, str) else None
