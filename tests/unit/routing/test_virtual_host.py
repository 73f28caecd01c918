"""The objects of one virtual host, from a topology or from what the broker lists."""

from __future__ import annotations

import msgspec
import pytest

from attune_ops.model.topology import Binding, Exchange, Per, Queue, Topology
from attune_ops.routing import Router
from tests.unit.routing.build import bind, exchange, link, policy, queue, router


@pytest.mark.parametrize("name", ["", "amq.direct", "amq.fanout", "amq.headers", "amq.match", "amq.topic"])
def test_the_exchanges_of_every_virtual_host_can_be_published_to(name: str) -> None:
    assert router().refusal(name) is None
    assert name in router().exchange_names


def test_the_trace_exchange_is_internal() -> None:
    refused = router().refusal("amq.rabbitmq.trace")
    assert refused is not None
    assert "internal" in refused.text


def test_bindings_of_the_default_exchange_and_of_missing_ones_are_left_out() -> None:
    r = router(exchange("x"), bind("", "q", "q"), bind("gone", "q", "k"), bind("x", "q", "k"), link("x", "y", "e"))
    assert [s.binding_key for s in r.bindings("x")] == ["k", "e"]
    assert (r.bindings(""), r.bindings("gone")) == ([], ())


def test_alternates() -> None:
    r = router(
        exchange("x"), exchange("y", arguments={"alternate-exchange": "own"}), exchange("z"),
        policy("p", "^[xy]$", {"alternate-exchange": "a"}), policy("other", "^z$", {"max-length": 1}),
    )  # fmt: skip
    assert [tuple(r.alternates(n)) for n in ("x", "y", "z", "gone", "")] == [("a",), ("own",), (), (), ()]


def test_queue_settings_of_a_missing_queue_are_empty() -> None:
    assert router(policy("p", "", {"max-length": 1})).queue_settings("gone") == {}
    assert router(queue("q")).queue("gone") is None
    assert router().exchange("gone") is None


TOPOLOGY = Topology(
    "t",
    exchanges=(Exchange("in", "topic"), Exchange("out", "fanout", internal=True)),
    queues=(Queue("base"), Queue("w.{id}", per=Per.WORKER), Queue("seen", per=Per.REPLICA, exclusive=True)),
    bindings=(
        Binding("in", "out", "#", destination_kind="exchange"),
        Binding("out", "base"),
        Binding("in", "seen", "all"),
        Binding("in", "w.{id}", "to.{id}"),
    ),
)


def test_a_topology_with_its_workers() -> None:
    r = Router.from_topology(TOPOLOGY, (3, 4))
    assert sorted(r.queue_names) == ["base", "seen", "w.3", "w.4"]
    assert r.route("in", "to.3").queues == ("base", "w.3")
    assert r.route("in", "all").queues == ("base", "seen")
    assert r.route("in", "to.{id}").queues == ("base",)
    error = r.route("out", "k").error
    assert error is not None
    assert error.code == 403


def test_a_topology_without_workers_has_only_what_is_shared() -> None:
    r = Router.from_topology(TOPOLOGY)
    assert sorted(r.queue_names) == ["base", "seen"]
    assert [s.destination for s in r.bindings("in")] == ["out", "seen"]


def test_a_worker_exchange_binding_keeps_the_name_of_a_queue() -> None:
    """An exchange may have the name of a queue: the binding leads to the exchange."""
    named = Exchange("w.{id}", "fanout")
    to = Binding("in", "w.{id}", "e", destination_kind="exchange")
    t = msgspec.structs.replace(TOPOLOGY, exchanges=(*TOPOLOGY.exchanges, named), bindings=(*TOPOLOGY.bindings[1:], to))
    assert [s.destination for s in Router.from_topology(t).bindings("in")] == ["seen", "w.{id}"]
