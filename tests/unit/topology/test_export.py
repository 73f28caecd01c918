"""The topology that a broker amounts to: templates recognised, what the broker adds left out."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest

from attune_ops.model.facts import Facts
from attune_ops.model.snapshot import BindingState, BrokerSnapshot, ExchangeState, PolicyState, QueueState
from attune_ops.model.topologies import load, names
from attune_ops.model.topology import Binding, Exchange, Queue, Topology
from attune_ops.model.topology_file import parse_toml
from attune_ops.topology.diff import diff
from attune_ops.topology.export import SCHEMA, export_topology, live_topology

NOW = datetime(2026, 1, 16, tzinfo=UTC)


def on_a_broker(topology: Topology, workers: tuple[int, ...] = (1, 12)) -> Facts:
    """The facts of a 4.x broker that holds just this topology with these workers, and one replica of each service."""
    queues = (*topology.base_queues, *(q for i in workers for q in topology.worker_queues(i)))
    bindings = (*topology.base_bindings, *(b for i in workers for b in topology.worker_bindings(i)))
    broker = BrokerSnapshot(
        "/",
        NOW,
        version="4.0.5",
        exchanges=(
            ExchangeState("", "/", "direct"), ExchangeState("amq.topic", "/", "topic"),
            *(ExchangeState(e.name, "/", e.type, e.durable, arguments=e.arguments) for e in topology.exchanges),
        ),
        queues=(
            *(
                QueueState(
                    q.name, "/", q.type, q.durable, q.auto_delete, arguments={"x-queue-type": q.type, **q.arguments}
                )
                for q in queues
            ),
            QueueState("amq.gen-1", "/", durable=False, auto_delete=True, exclusive=True),
        ),
        bindings=(
            *(BindingState("/", b.source, b.destination, b.routing_key) for b in bindings),
            BindingState("/", "attune.metadata", "amq.gen-1", "metadata.action.changed"),
        ),
        policies=(PolicyState("/", "p", "^w", "queues", 1, {"max-length": 5}),),
    )  # fmt: skip
    return Facts(topology, NOW, broker)


@pytest.mark.parametrize("name", names())
def test_the_same_topology_comes_back(name: str) -> None:
    topology = load(name)
    assert live_topology(on_a_broker(topology), name).exchanges == topology.exchanges
    text = export_topology(on_a_broker(topology), "toml")
    found = parse_toml(text, "live")
    assert text.startswith(f"{SCHEMA}# Virtual host / as read at 2026-01-16 00:00:00Z.\n")
    assert {q.name: q for q in found.queues} == {q.name: q for q in topology.queues}
    assert sorted(map(repr, found.bindings)) == sorted(map(repr, topology.bindings))
    assert (found.publishes, found.consumers) == (topology.publishes, topology.consumers)


def test_templates_are_as_most_workers_have_them() -> None:
    facts = on_a_broker(load("attune-2026-01"), (1, 2, 3))
    odd = tuple(
        msgspec.structs.replace(q, auto_delete=False) if q.name == "worker.3.executions" else q
        for q in facts.actual.queues or ()
    )
    facts = msgspec.structs.replace(facts, broker=msgspec.structs.replace(facts.actual, queues=odd))
    (template,) = (q for q in live_topology(facts, "t").queues if q.name == "worker.{id}.executions")
    assert template.auto_delete


def test_a_binding_of_one_worker_is_not_given_to_all() -> None:
    """Queue 3 also gets what is sent to worker 7, by hand; binding 1 is lost; queues 1 and 2 have one more key."""
    facts = on_a_broker(load("attune-2026-09"), (1, 2, 3))
    bindings = tuple(b for b in facts.actual.bindings or () if b.routing_key != "execution.dispatch.worker.1")
    bindings += tuple(
        BindingState("/", "attune.executions", f"worker.{i}.executions", key)
        for i, key in ((3, "execution.dispatch.worker.7"), (1, "extra.1"), (2, "extra.2"))
    )
    facts = msgspec.structs.replace(facts, broker=msgspec.structs.replace(facts.actual, bindings=bindings))
    found = live_topology(facts, "t").bindings_to("worker.{id}.executions")
    assert sorted(b.routing_key for b in found) == ["execution.dispatch.worker.{id}", "extra.{id}"]


def test_a_classic_queue_stays_classic_where_quorum_is_the_default() -> None:
    """What is exported differs in nothing from the broker that it is of."""
    facts = on_a_broker(load("attune-0.6"))
    facts = msgspec.structs.replace(
        facts, broker=msgspec.structs.replace(facts.actual, default_queue_type="quorum", policies=())
    )
    assert diff(msgspec.structs.replace(facts, topology=live_topology(facts, "t"))).drift == ()


def test_what_is_there_besides() -> None:
    facts = on_a_broker(load("attune-2026-01"), ())
    more = Facts(facts.topology, NOW, msgspec.structs.replace(
        facts.actual,
        queues=(*(facts.actual.queues or ()), QueueState("mine", "/", "quorum", arguments={"x-queue-type": "quorum"})),
        bindings=(*(facts.actual.bindings or ()), BindingState("/", "amq.topic", "mine", "k.#")),
    ))  # fmt: skip
    found = live_topology(more, "t")
    assert found.exchange("amq.topic") == Exchange("amq.topic", "topic")
    assert Queue("mine", arguments={"x-queue-type": "quorum"}) in found.queues
    assert Binding("amq.topic", "mine", "k.#") in found.bindings
    assert found.exchange("") is None


def test_definitions() -> None:
    data = msgspec.json.decode(export_topology(on_a_broker(load("attune-2026-09")), "definitions"))
    assert [p["name"] for p in data["policies"]] == ["p"]
    assert "amq.gen-1" not in {q["name"] for q in data["queues"]} | {b["destination"] for b in data["bindings"]}
    wanted = msgspec.json.decode(export_topology(load("attune-2026-09"), "definitions", (7,)))
    assert sum("worker.7." in q["name"] for q in wanted["queues"]) == 4
    assert parse_toml(export_topology(load("attune-2026-09"), "toml"), "again") == load("attune-2026-09")


def test_bindings_of_the_brokers_own_exchanges_are_kept_from_a_definitions_file() -> None:
    """A definitions file does not list `amq.topic`, but has the bindings to it."""
    broker = BrokerSnapshot(
        "/", NOW, exchanges=(), queues=(QueueState("q", "/"),), bindings=(BindingState("/", "amq.topic", "q", "k.#"),)
    )
    found = parse_toml(export_topology(Facts(load("attune-2026-01"), NOW, broker), "toml"), "live")
    assert found.bindings == (Binding("amq.topic", "q", "k.#"),)
    assert [(e.name, e.type) for e in found.exchanges] == [("amq.topic", "topic")]
