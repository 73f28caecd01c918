"""The routes of a topology, as it defines them and as a broker routes them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from attune_ops.model.facts import Facts
from attune_ops.model.snapshot import PolicyState, QueueState
from attune_ops.model.topologies import load
from attune_ops.model.topology import Binding, Exchange, Per, Publish, Queue, Topology
from attune_ops.routing.route import RouteStep
from attune_ops.routing.topology_routes import (
    LiveRoute,
    TopologyRoutes,
    dead_letters,
    desired_routes,
    every_route,
    live_routes,
    reasons,
    steps_to,
    worker_ids,
)
from tests.unit.facts import facts, worker
from tests.unit.routing.build import queue, router

NEW = "attune-2026-09"


def test_the_topology_by_template() -> None:
    routes = TopologyRoutes(load(NEW))
    assert routes.template("worker.17.executions") == "worker.{id}.executions"
    assert routes.template("attune.dlx.queue") == "attune.dlx.queue"
    assert routes.replicas == {"executor.metadata", "worker.metadata", "api.metadata"}
    assert routes.keys["worker.{id}.executions"] == ["execution.dispatch.worker.1"]
    assert routes.keys["worker.{id}.packs"] == ["pack.registered", "pack.deleted"]
    assert "attune.dlx.queue" not in routes.reached
    assert {"worker.{id}.cancel", "executor.metadata", "attune.events.queue"} <= routes.reached


def test_the_dead_letters_of_a_topology() -> None:
    routes = TopologyRoutes(load(NEW))
    of = {(q.name, r.reason) for q, r in routes.dead_letters}
    assert ("worker.{id}.executions", "expired") in of, "it has a message TTL"
    assert ("worker.{id}.packs", "rejected") in of
    assert ("worker.{id}.packs", "expired") not in of
    assert not [name for name, _ in of if name in ("attune.dlx.queue", "attune.rules.lifecycle.queue")]
    assert all(r.unroutable for _, r in routes.dead_letters), "attune.dlx is direct and bound by a literal #"
    key = PolicyState("/", "dlx-key", "^(attune|worker)\\.", definition={"dead-letter-routing-key": "#"})
    healed = TopologyRoutes(load(NEW), [key])
    assert all(r.queues == ("attune.dlx.queue",) for _, r in healed.dead_letters)
    assert "attune.dlx.queue" in healed.reached


def test_the_bindings_that_messages_are_routed_by() -> None:
    topology = load(NEW)
    routes = TopologyRoutes(topology)
    unused = [b for b in topology.bindings if not routes.uses(b)]
    assert [(b.source, b.routing_key, b.destination) for b in unused] == [
        ("attune.events", "metadata.trigger.changed", "attune.rules.lifecycle.queue"),  # published to attune.metadata
        ("attune.dlx", "#", "attune.dlx.queue"),
    ]
    assert not routes.uses(Binding("attune.events", "attune.events.queue", "other"))
    key = PolicyState("/", "p", "", definition={"dead-letter-routing-key": "#"})
    assert TopologyRoutes(topology, [key]).uses(unused[1])


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (queue("q"), ["rejected"]),
        (queue("q", arguments={"x-message-ttl": 1}), ["rejected", "expired"]),
        (queue("q", arguments={"x-max-length": 1}), ["rejected", "maxlen"]),
        (queue("q", arguments={"x-max-length-bytes": 1, "x-overflow": "drop-head"}), ["rejected", "maxlen"]),
        (queue("q", arguments={"x-max-length": 1, "x-overflow": "reject-publish"}), ["rejected"]),
        (queue("q", arguments={"x-max-length": 1, "x-overflow": "reject-publish-dlx"}), ["rejected", "maxlen"]),
        (queue("q", type="quorum"), ["rejected", "delivery_limit"]),
    ],
)
def test_why_a_queue_may_dead_letter(made: QueueState, expected: list[str]) -> None:
    assert list(reasons(router(made), "q")) == expected
    assert list(reasons(router(), "q")) == ["rejected"]


@pytest.mark.parametrize("topology", ["attune-2026-01", NEW])
def test_a_healthy_broker_routes_as_the_topology_defines(topology: str) -> None:
    found = [LiveRoute(*route) for route in every_route(facts(topology=topology))]
    for route in found:
        if not route.for_replicas:
            assert set(route.queues) == set(route.expected), route.key
    assert not any(r.for_replicas for r in found if r.expected)
    own = [r for r in found if r.worker is not None]
    assert {r.worker for r in own} == {1, 2, 3}
    assert all(r.key == r.publish.routing_key.replace("{id}", str(r.worker)) for r in own)
    assert all(set(r.expected) == set(r.queues) != set() for r in own)
    of_metadata = [r for r in found if r.publish.exchange == "attune.metadata"]
    assert not any(r.expected for r in of_metadata)
    assert {r.key for r in of_metadata if not r.for_replicas} <= {"metadata.trigger.changed"}
    assert any(r.for_replicas for r in of_metadata) is (topology == NEW)
    one = own[0]
    assert one.route(facts(topology=topology)).queues == one.queues
    routes = live_routes(facts(topology=topology))
    assert list(routes.wrong) == [r for r in found if r.for_replicas or not r.queues]
    assert routes.reached.keys() == {q for r in found for q in r.queues}
    assert {routes.reached[q] for r in own for q in r.queues} == {r.publish.message_type for r in own}


@pytest.mark.parametrize(("key", "only"), [("both", True), ("one", True), ("mixed", False), ("none", False)])
def test_a_message_is_for_replicas_where_no_other_queue_receives_it(key: str, only: bool) -> None:
    """Whether it reaches some of the replicas' queues or all."""
    ends = {"a": ("both", "one", "mixed"), "b": ("both",), "q": ("mixed",)}
    made = Topology(
        "made",
        exchanges=(Exchange("x", "direct"),),
        queues=(*(Queue(n, per=Per.REPLICA, service="api") for n in "ab"), Queue("q")),
        bindings=tuple(Binding("x", queue, k) for queue, keys in ends.items() for k in keys),
        publishes=(Publish("Made", "x", key),),
    )
    (route,) = map(LiveRoute._make, every_route(msgspec.structs.replace(facts(topology=NEW), topology=made)))
    assert route.for_replicas is only


def test_a_shared_key_reaches_the_queues_of_every_worker() -> None:
    """Those of a worker that is not registered too."""
    made = facts(topology=NEW)
    assert made.registry is not None
    gone = msgspec.structs.replace(made, registry=msgspec.structs.replace(made.registry, workers=(worker(1),)))
    (packs,) = (r for r in map(LiveRoute._make, every_route(gone)) if r.key == "pack.registered")
    assert {f"worker.{i}.packs" for i in (1, 2, 3)} <= set(packs.expected)
    assert worker_ids(gone) == (1,)
    assert worker_ids(msgspec.structs.replace(gone, registry=None)) == (1, 2, 3)


def changed(made: Facts, **changes: Any) -> Facts:
    assert made.broker is not None
    return msgspec.structs.replace(made, broker=msgspec.structs.replace(made.broker, **changes))


def test_the_policies_of_the_broker_hold_for_the_topology_too() -> None:
    key = PolicyState("/", "p", "", definition={"dead-letter-routing-key": "#"})
    assert "attune.dlx.queue" in desired_routes(changed(facts(topology=NEW), policies=(key,))).reached
    assert "attune.dlx.queue" not in desired_routes(facts(topology=NEW)).reached
    assert "attune.dlx.queue" not in desired_routes(msgspec.structs.replace(facts(topology=NEW), broker=None)).reached


def test_the_dead_letters_of_a_broker_once_for_queues_that_are_the_same() -> None:
    made = facts(topology=NEW)
    found = {(d.queues, d.route.reason, d.route.routing_key): d for d in dead_letters(made)}
    executions = tuple(f"worker.{i}.executions" for i in (1, 2, 3))
    assert found[executions, "expired", "execution.dispatch.worker.1"].own
    assert found[executions, "rejected", "execution.dispatch.worker.1"].route.unroutable
    assert not [q for queues, _, _ in found for q in queues if q == "attune.dlx.queue"]


@pytest.mark.parametrize(
    ("keys", "followed"),
    [((), ["key"]), (("a.*", "#"), ["key"]), (("a", "b.#", "c"), ["a", "c"])],
)
def test_the_keys_of_an_unmanaged_queue_are_those_of_its_bindings(keys: tuple[str, ...], followed: list[str]) -> None:
    made = facts(topology=NEW)
    assert made.broker is not None
    other = queue("other", arguments={"x-dead-letter-exchange": "attune.dlx"})
    bound = [msgspec.structs.replace((made.broker.bindings or ())[0], destination="other", routing_key=k) for k in keys]
    made = changed(made, queues=(*(made.broker.queues or ()), other), bindings=(*(made.broker.bindings or ()), *bound))
    found = [d for d in dead_letters(made) if d.queues == ("other",)]
    assert [d.route.routing_key for d in found] == followed
    assert not any(d.own for d in found)


def test_an_unmanaged_queue_with_many_bindings_is_followed_for_ten() -> None:
    made = facts(topology=NEW)
    assert made.broker is not None
    other = queue("other", arguments={"x-dead-letter-exchange": "attune.dlx"})
    first = (made.broker.bindings or ())[0]
    bound = [msgspec.structs.replace(first, destination="other", routing_key=f"k{i}") for i in range(12)]
    made = changed(made, queues=(other,), bindings=tuple(bound))
    assert [d.route.routing_key for d in dead_letters(made)] == [f"k{i}" for i in range(10)]


def test_a_policy_alone_makes_a_queue_dead_letter() -> None:
    dlx = PolicyState("/", "p", "^plain$", definition={"dead-letter-exchange": "attune.dlx"})
    made = changed(facts(topology=NEW), queues=(queue("plain"), queue("none")), policies=(dlx,))
    assert [d.queues for d in dead_letters(made)] == [("plain",)]


def test_the_steps_that_lead_to_a_queue() -> None:
    a = RouteStep("x", "k", "exchange", "y")
    b = RouteStep("y", "k", "queue", "q")
    c = RouteStep("y", "k", "queue", "p")
    back = RouteStep("y", "k", "exchange", "x")
    assert steps_to((a, b, c, back), "q") == [b, a, back]
    assert steps_to((a, b), "other") == []
