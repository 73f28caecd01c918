"""What a topology wants of its messages: where each publish should go, and which keys each queue gets.

Asked of the topology alone, with two workers that stand for all, so that a name with an id can be turned back
into its template.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

from attune_ops.model.facts import Facts
from attune_ops.model.topology import ID, Binding, Per, Publish, Queue, Topology
from attune_ops.routing import Router
from attune_ops.routing.route import Reason, Route, Step

WORKERS = (1, 2)


class Wanted:
    """The routes of a topology's publishes and of the dead letters that follow."""

    def __init__(self, topology: Topology) -> None:
        self.topology = topology
        self.router = Router.from_topology(topology, WORKERS)
        self.replicas = frozenset(q.name for q in topology.queues if q.per is Per.REPLICA)

    @cached_property
    def routes(self) -> tuple[tuple[Publish, Route], ...]:
        """Each publish by its template, with the way that its message for the first worker takes."""
        return tuple(
            (p, self.router.route(p.exchange, p.routing_key.replace(ID, str(WORKERS[0]))))
            for p in self.topology.publishes
        )

    def template(self, queue: str) -> str:
        """The queue's name as the topology file has it."""
        owner = self.topology.worker_of(queue)
        return owner[1].name if owner else queue

    @cached_property
    def keys(self) -> dict[str, list[str]]:
        """The routing keys that reach each queue, by template, from publishes (not from dead letters)."""
        found: dict[str, list[str]] = {}
        for _, route in self.routes:
            for queue in {self.template(q): None for q in (*route.queues, *route.possible)}:
                found.setdefault(queue, []).append(route.routing_key)
        return found

    @cached_property
    def dead_letters(self) -> tuple[tuple[Queue, Route], ...]:
        """Each way that a message can be given up by a queue with a dead-letter exchange, with all its hops."""
        return tuple(
            (queue, self.router.dead_letter(queue.name.replace(ID, str(WORKERS[0])), reason, key))
            for queue in self.topology.queues
            if "x-dead-letter-exchange" in queue.arguments
            for reason in reasons(self.router, queue.name.replace(ID, str(WORKERS[0])))
            for key in self.keys.get(queue.name, ())
        )

    @cached_property
    def steps(self) -> frozenset[tuple[str, str | None, str]]:
        """Every binding that some message goes by: source, key, destination, by template."""
        ways: list[Step] = [s for _, route in self.routes for s in route.path]
        ways += [s for _, route in self.dead_letters for hop in route.hops for s in hop.path]
        return frozenset((s.exchange, s.binding_key, self.template(s.destination)) for s in ways)

    @cached_property
    def reached(self) -> frozenset[str]:
        """The templates of all queues that some publish or dead letter reaches."""
        hops = (hop for _, route in self.dead_letters for hop in route.hops)
        return frozenset(self.keys) | {self.template(q) for hop in hops for q in (*hop.queues, *hop.possible)}

    def goes_by(self, binding: Binding) -> bool:
        """Whether some message of the topology goes by this binding."""
        key = binding.routing_key.replace(ID, str(WORKERS[0]))
        return (binding.source, key, binding.destination) in self.steps


def wanted(facts: Facts) -> Wanted:
    """For `facts.memo`: the topology's own routes."""
    return Wanted(facts.topology)


def reasons(router: Router, queue: str) -> Iterator[Reason]:
    """Why a queue may give messages up: a consumer can always reject; the rest follows from what is in force."""
    settings, state = router.queue_settings(queue), router.queue(queue)
    yield "rejected"
    if "message-ttl" in settings:
        yield "expired"
    if {"max-length", "max-length-bytes"} & settings.keys():
        yield "maxlen"
    if state is not None and state.type == "quorum":
        yield "delivery_limit"
