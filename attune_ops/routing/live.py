"""What is on the broker, routed: every publish of the topology for every worker, and every queue's dead letters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from attune_ops.installation.collect import collect
from attune_ops.installation.config import Settings
from attune_ops.model.facts import Facts, Source
from attune_ops.model.ownership import broker_of, own_queues
from attune_ops.model.snapshot import QueueState
from attune_ops.model.topology import ID, Publish
from attune_ops.routing import Router
from attune_ops.routing.expected import Wanted, reasons, wanted
from attune_ops.routing.route import Route, Step

SOME_KEY = "key"  # what a queue's messages are taken to have, where its bindings name no key


def live_router(facts: Facts) -> Router:
    """For `facts.memo`: the router over what is on the broker."""
    return Router.from_snapshot(facts.actual)


def read_router(settings: Settings, facts: Facts | None = None) -> Router:
    """The router over the broker as it is now, or over `facts`.

    Reads exchanges, queues, bindings and policies, needs tag management, changes nothing. Raises `SourceError`.
    """
    return Router.from_snapshot(broker_of(facts or collect(settings, (Source.BROKER,), listings=Router.LISTINGS)))


def worker_ids(facts: Facts) -> tuple[int, ...]:
    """The live workers; without a registry those that have queues on the broker."""
    return tuple(w.id for w in facts.live_workers) if facts.registry else tuple(sorted(facts.worker_queues))


class Live(NamedTuple):
    """One publish as the broker routes it, to `queues`.

    `publish` is the template, `expected` are the topology's queues for it; `for_replicas` says that only the
    server-named queues of replicas are, which come and go with them.
    """

    publish: Publish
    worker: int | None
    key: str
    queues: tuple[str, ...]
    expected: frozenset[str]
    for_replicas: bool = False

    def route(self, facts: Facts) -> Route:
        """The way in full."""
        return facts.memo(live_router).route(self.publish.exchange, self.key)


def steps_to(path: Sequence[Step], queue: str) -> list[Step]:
    """The steps of a path that lead to this queue, whichever else it leads to; the last ones first."""
    found: list[Step] = []
    ends = [("queue", queue)]
    for end in ends:
        leading = [s for s in path if (s.destination_kind, s.destination) == end and s not in found]
        found += leading
        ends += [("exchange", s.exchange) for s in leading]
    return found


def live_routes(facts: Facts) -> tuple[Live, ...]:
    """For `facts.memo`: every publish of the topology, for every worker, through the broker's bindings."""
    return tuple(_live_routes(facts, facts.memo(live_router), facts.memo(wanted), worker_ids(facts)))


def _live_routes(facts: Facts, router: Router, world: Wanted, ids: tuple[int, ...]) -> Iterator[Live]:
    for publish, route in world.routes:
        reached = {world.template(q) for q in (*route.queues, *route.possible)}
        templates, only = reached - world.replicas, bool(reached) and reached <= world.replicas
        exchange, key = publish.exchange, publish.routing_key
        if ID in key:
            for i in map(str, ids):
                own_key = key.replace(ID, i)
                expected = frozenset([t.replace(ID, i) for t in templates])
                yield Live(publish, int(i), own_key, router.reached(exchange, own_key), expected, only)
            continue
        names = {t.replace(ID, str(i)) for t in templates if ID in t for i in ids}
        # Another worker's queue gets it too, where it is there; nobody misses it where it is not.
        names |= {name for name, template in facts.memo(own_queues).items() if template in templates}
        names |= {t for t in templates if ID not in t}
        yield Live(publish, None, key, router.reached(exchange, key), frozenset(names), only)


class Letters(NamedTuple):
    """The queues that give messages up in the same way, and where one of these ends."""

    queues: tuple[str, ...]
    own: bool
    route: Route


def dead_letters(facts: Facts) -> tuple[Letters, ...]:
    """For `facts.memo`: every dead-letter way on the broker; queues that are declared alike are followed once."""
    router, world, own = facts.memo(live_router), facts.memo(wanted), facts.memo(own_queues)
    alike: dict[tuple[str, ...], list[QueueState]] = {}
    for q in facts.actual.queues or ():
        if q.arguments or q.policy or facts.actual.policies:
            alike.setdefault((own.get(q.name, q.name), repr(q.arguments), str(q.policy)), []).append(q)
    found = []
    for queues in alike.values():
        first = queues[0]
        if "dead-letter-exchange" not in router.queue_settings(first.name):
            continue
        names = tuple(q.name for q in queues)
        for reason in reasons(router, first.name):
            for key in _keys(facts, world, first.name):
                found.append(Letters(names, first.name in own, router.dead_letter(first.name, reason, key)))
    return tuple(found)


def _keys(facts: Facts, world: Wanted, queue: str) -> list[str]:
    """The keys with which messages come into a queue: the topology's publishes, else what it is bound by."""
    known = world.keys.get(world.template(queue))
    bound = [b.routing_key for b in facts.actual.bindings_to_queue.get(queue, ())][:ROOM]
    return known or [k for k in bound if "#" not in k and "*" not in k] or [SOME_KEY]


ROOM = 10  # of a foreign queue's binding keys; more say nothing new
