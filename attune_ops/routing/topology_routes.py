"""The routes of a topology's publishes and dead letters: as the topology defines them, and as the broker routes them.

The topology is routed for two example workers, so that a name with an id can be mapped back to its template. The
broker's bindings are routed for every live worker.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

import msgspec

from attune_ops.installation.collect import collect
from attune_ops.installation.config import Settings
from attune_ops.model.facts import Facts, Source
from attune_ops.model.ownership import broker_of, own_queues
from attune_ops.model.snapshot import PolicyState, QueueState
from attune_ops.model.topology import ID, Binding, Per, Publish, Queue, Topology
from attune_ops.routing import Router
from attune_ops.routing.route import Reason, Route, RouteStep

WORKERS = (1, 2)
SOME_KEY = "key"  # the routing key assumed for a queue without a known one
MOST_KEYS = 10  # binding keys of an unmanaged queue that are followed


class TopologyRoutes:
    """The routes of a topology's publishes, and of its dead letters, under the policies of a broker."""

    def __init__(self, topology: Topology, policies: Iterable[PolicyState] = (), version: str | None = None) -> None:
        self.topology = topology
        self.router = Router.from_topology(topology, WORKERS, version=version, policies=policies)
        self.replicas = frozenset(q.name for q in topology.queues if q.per is Per.REPLICA)

    @cached_property
    def routes(self) -> tuple[tuple[Publish, Route], ...]:
        """Each publish by its template, with the route of its message for the first worker."""
        return tuple(
            (p, self.router.route(p.exchange, p.routing_key.replace(ID, str(WORKERS[0]))))
            for p in self.topology.publishes
        )

    def template(self, queue: str) -> str:
        """The queue's name as the topology file has it."""
        owner = self.topology.worker_of(queue)
        return owner[1].name if owner else queue

    def reached_by(self, route: Route) -> dict[str, None]:
        """The templates of the queues that a route leads to, for certain or perhaps."""
        return {self.template(q): None for q in (*route.queues, *route.possible)}

    @cached_property
    def keys(self) -> dict[str, list[str]]:
        """The routing keys that reach each queue, by template, from publishes (not from dead letters)."""
        found: dict[str, list[str]] = {}
        for _, route in self.routes:
            for queue in self.reached_by(route):
                found.setdefault(queue, []).append(route.routing_key)
        return found

    @cached_property
    def dead_letters(self) -> tuple[tuple[Queue, Route], ...]:
        """Each way that a queue with a dead-letter exchange can dead-letter a message, with all hops."""
        return tuple(
            (queue, self.router.dead_letter(queue.name.replace(ID, str(WORKERS[0])), reason, key))
            for queue in self.topology.queues
            if "x-dead-letter-exchange" in queue.arguments
            for reason in reasons(self.router, queue.name.replace(ID, str(WORKERS[0])))
            for key in self.keys.get(queue.name, ())
        )

    @cached_property
    def steps(self) -> frozenset[tuple[str, str | None, str]]:
        """Every binding that a message is routed by: source, key, destination, by template."""
        steps: list[RouteStep] = [s for _, route in self.routes for s in route.path]
        steps += [s for _, route in self.dead_letters for hop in route.hops for s in hop.path]
        return frozenset((s.exchange, s.binding_key, self.template(s.destination)) for s in steps)

    @cached_property
    def reached(self) -> frozenset[str]:
        """The templates of all queues that a publish or dead letter is routed to."""
        hops = (hop for _, route in self.dead_letters for hop in route.hops)
        return frozenset(self.keys) | {self.template(q) for hop in hops for q in (*hop.queues, *hop.possible)}

    def uses(self, binding: Binding) -> bool:
        """Whether a message of the topology is routed by this binding."""
        key = binding.routing_key.replace(ID, str(WORKERS[0]))
        return (binding.source, key, binding.destination) in self.steps


def desired_routes(facts: Facts) -> TopologyRoutes:
    """For `facts.memo`: the topology's own routes, with the policies of the broker where they were read."""
    if facts.broker is None:
        return TopologyRoutes(facts.topology)
    return TopologyRoutes(facts.topology, facts.broker.policies or (), facts.broker.version)


def reasons(router: Router, queue: str) -> Iterator[Reason]:
    """Why a queue may dead-letter messages: a consumer can always reject; the rest depends on its settings."""
    settings, state = router.queue_settings(queue), router.queue(queue)
    yield "rejected"
    if "message-ttl" in settings:
        yield "expired"
    overflow = settings.get("overflow")
    rejects = overflow is not None and overflow.value == "reject-publish"  # the new message, which is nacked
    if {"max-length", "max-length-bytes"} & settings.keys() and not rejects:
        yield "maxlen"
    if state is not None and state.type == "quorum":
        yield "delivery_limit"


def bound_router(facts: Facts) -> Router:
    """For `facts.memo`: the router over the broker without its queues."""
    return Router.from_snapshot(msgspec.structs.replace(facts.actual, queues=()))


def live_router(facts: Facts) -> Router:
    """For `facts.memo`: the router over the broker."""
    return facts.memo(bound_router).with_queues(facts.actual.queues or ())


def read_router(settings: Settings, facts: Facts | None = None) -> Router:
    """The router over the broker as it is now, or over `facts`.

    Reads exchanges, queues, bindings and policies, needs tag management, changes nothing. Raises `SourceError`.
    """
    return Router.from_snapshot(broker_of(facts or collect(settings, (Source.BROKER,), listings=Router.LISTINGS)))


def worker_ids(facts: Facts) -> tuple[int, ...]:
    """The live workers; without a registry those that have queues on the broker."""
    return tuple(w.id for w in facts.live_workers) if facts.registry else tuple(sorted(facts.worker_queues))


class LiveRoute(NamedTuple):
    """One publish as the broker routes it, to `queues`.

    `publish` is the template, `expected` are the topology's queues for it; `for_replicas` says that these are only the
    server-named queues of replicas, which exist while a replica runs.
    """

    publish: Publish
    worker: int | None
    key: str
    queues: tuple[str, ...]
    expected: tuple[str, ...]
    for_replicas: bool

    def route(self, facts: Facts) -> Route:
        """The full route."""
        return facts.memo(live_router).route(self.publish.exchange, self.key)


# The members of a `LiveRoute`: most routes are as expected, and an object for each takes as long as the rest.
Members = tuple[Publish, int | None, str, tuple[str, ...], tuple[str, ...], bool]


def steps_to(path: Sequence[RouteStep], queue: str) -> list[RouteStep]:
    """The steps of a path that lead to this queue, the last ones first."""
    found: list[RouteStep] = []
    ends = [("queue", queue)]
    for end in ends:
        leading = [s for s in path if (s.destination_kind, s.destination) == end and s not in found]
        found += leading
        ends += [("exchange", s.exchange) for s in leading]
    return found


class LiveRoutes(NamedTuple):
    """Every publish of the topology, for every worker, through the broker's bindings.

    `wrong` are those that do not reach exactly the expected queues, or none; `reached` are all queues that receive
    one, each with the message type of the first. Where all is well, no route is kept.
    """

    wrong: tuple[LiveRoute, ...]
    reached: Mapping[str, str]


def bound_as_expected(facts: Facts) -> Mapping[tuple[str, str], Sequence[str]]:
    """For `facts.memo`, without queues: where bindings lead the messages to each live worker to the one expected queue.

    By exchange and routing key of the publish: the queues, one for each live worker. Only where this is so of all.
    """
    if facts.registry is None:
        return {}  # the queues tell which workers there are
    router, desired = facts.memo(bound_router), facts.memo(desired_routes)
    texts = [str(w.id) for w in facts.live_workers]
    found = {}
    for publish, route in desired.routes:
        templates = desired.reached_by(route).keys() - desired.replicas
        if ID in publish.routing_key and len(templates) == 1:
            (template,) = templates
            names = [template.replace(ID, text) for text in texts]
            keys = [publish.routing_key.replace(ID, text) for text in texts]
            if names == list(router.bound_to_each(publish.exchange, keys)):
                found[publish.exchange, publish.routing_key] = names
    return found


def live_routes(facts: Facts) -> LiveRoutes:
    """For `facts.memo`: where the topology's messages are routed on the broker."""
    wrong: list[LiveRoute] = []
    reached: dict[str, str] = {}
    router, bound = facts.memo(live_router), facts.memo(bound_as_expected)
    for publish, routes in _routes_by_publish(facts):
        names = bound.get((publish.exchange, publish.routing_key))
        if names is not None and router.has_queues(names):
            for queue in names:
                reached.setdefault(queue, publish.message_type)
            continue
        for route in routes:
            _, _, _, queues, expected, _ = route
            for queue in queues:
                reached.setdefault(queue, publish.message_type)
            if not queues or (queues != expected and set(queues) != set(expected)):
                wrong.append(LiveRoute(*route))
    return LiveRoutes(tuple(wrong), reached)


def every_route(facts: Facts) -> Iterator[Members]:
    """Each publish, for each worker where its key has the id of one."""
    for _, routes in _routes_by_publish(facts):
        yield from routes


def _routes_by_publish(facts: Facts) -> Iterator[tuple[Publish, Iterator[Members]]]:
    router, desired, ids = facts.memo(live_router), facts.memo(desired_routes), worker_ids(facts)
    there: dict[str, list[str]] = {}
    for name, template in facts.memo(own_queues).items():
        there.setdefault(template, []).append(name)
    for publish, route in desired.routes:
        reached = desired.reached_by(route).keys()
        templates, only = reached - desired.replicas, bool(reached) and reached <= desired.replicas
        if ID in publish.routing_key:
            yield publish, _routes_by_worker(publish, ids, router, templates, only)
            continue
        names = {t.replace(ID, str(i)) for t in templates if ID in t for i in ids}
        # Queues of other workers on the broker receive it too; they are not required.
        names.update(*(there.get(t, ()) for t in templates))
        names |= {t for t in templates if ID not in t}
        queues = router.reached(publish.exchange, publish.routing_key)
        yield publish, iter([(publish, None, publish.routing_key, queues, tuple(names), only)])


def _routes_by_worker(
    publish: Publish, ids: Sequence[int], router: Router, templates: Iterable[str], only: bool
) -> Iterator[Members]:
    texts = list(map(str, ids))
    keys = [publish.routing_key.replace(ID, text) for text in texts]
    reached = router.reached_by_each(publish.exchange, keys)
    for i, text, key, found in zip(ids, texts, keys, reached, strict=True):
        yield publish, i, key, found, tuple([t.replace(ID, text) for t in templates]), only


class LiveDeadLetters(NamedTuple):
    """Queues that dead-letter in the same way, and the route of one of their messages."""

    queues: tuple[str, ...]
    own: bool
    route: Route


def dead_letters(facts: Facts) -> tuple[LiveDeadLetters, ...]:
    """For `facts.memo`: every dead-letter route on the broker; identical queues are followed once."""
    router, desired, own = facts.memo(live_router), facts.memo(desired_routes), facts.memo(own_queues)
    alike: dict[tuple[str, bytes, str | None], list[QueueState]] = {}
    for q in facts.actual.queues or ():
        if q.arguments or q.policy or facts.actual.policies:
            # As JSON because it is fast: all were read from JSON.
            alike.setdefault((own.get(q.name, q.name), msgspec.json.encode(q.arguments), q.policy), []).append(q)
    found = []
    for queues in alike.values():
        first = queues[0]
        if "dead-letter-exchange" not in router.queue_settings(first.name):
            continue
        names = tuple(q.name for q in queues)
        for reason in reasons(router, first.name):
            for key in _keys(facts, desired, first.name):
                found.append(LiveDeadLetters(names, first.name in own, router.dead_letter(first.name, reason, key)))
    return tuple(found)


def _keys(facts: Facts, desired: TopologyRoutes, queue: str) -> list[str]:
    """The routing keys of a queue's messages: of the topology's publishes, else of its bindings."""
    known = desired.keys.get(desired.template(queue))
    bound = [b.routing_key for b in facts.actual.bindings_to_queue.get(queue, ())][:MOST_KEYS]
    return known or [k for k in bound if "#" not in k and "*" not in k] or [SOME_KEY]
