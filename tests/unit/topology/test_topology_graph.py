"""The picture of a topology: what stands in it, what it says of a live broker, and that the documentation has it."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from attune_ops.model.facts import Facts, Source
from attune_ops.model.graph import Graph, GraphNode
from attune_ops.model.registry import RegistryView, Worker
from attune_ops.model.snapshot import BrokerSnapshot, ConsumerState, ExchangeState, QueueState
from attune_ops.model.topologies import load, names
from attune_ops.topology.topology_graph import topology_graph

ROOT = Path(__file__).parents[3]
NOW = datetime(2026, 1, 16, tzinfo=UTC)
JANUARY = load("attune-2026-01")


def node(graph: Graph, label: str) -> GraphNode:
    return next(n for n in graph.nodes if n.label == label)


@pytest.mark.parametrize("name", names())
def test_everything_stands_in_it_and_every_arrow_has_both_ends(name: str) -> None:
    topology = load(name)
    graph = topology_graph(topology)
    labels = {n.label for n in graph.nodes}
    assert labels >= {e.name for e in topology.exchanges} | {q.name for q in topology.queues}
    ids = [n.id for n in graph.nodes]
    assert len(set(ids)) == len(ids)
    assert {i for e in graph.edges for i in (e.source, e.target)} <= set(ids)
    drawn = {(e.source, e.target, e.label) for e in graph.edges}
    assert all((f"exchange {b.source}", f"queue {b.destination}", b.routing_key) for b in topology.bindings) <= bool(
        drawn
    )


def test_what_is_on_the_broker() -> None:
    broker = BrokerSnapshot(
        "/", NOW, bindings=(),
        exchanges=tuple(ExchangeState(e.name, "/", e.type) for e in JANUARY.exchanges[1:]),
        queues=(
            QueueState("attune.events.queue", "/", messages=7),
            QueueState("worker.1.executions", "/", messages=2), QueueState("worker.2.executions", "/", messages=None),
        ),
        consumers=(ConsumerState("/", "worker.1.executions", "worker-1"),),
    )  # fmt: skip
    workers = tuple(Worker(i, f"w{i}", last_heartbeat=NOW) for i in (1, 3))
    facts = Facts(JANUARY, NOW, broker, RegistryView("sqlite", workers))
    graph = topology_graph(facts)
    assert node(graph, "attune.events").marks == ("error", "missing")
    assert node(graph, "attune.executions").marks == ()
    assert node(graph, "attune.executions.queue").notes == ("missing",)
    waiting = node(graph, "attune.events.queue")
    assert (waiting.notes, waiting.marks) == (("7 messages", "0 consumers"), ("warning",))
    own = node(graph, "worker.{id}.executions")
    assert (own.notes, own.marks) == (("2 queues, 1 missing", "2 messages", "1 consumer"), ("error",))

    untold = msgspec.structs.replace(facts, missing={Source.CONSUMERS: "not told"})
    assert node(topology_graph(untold), "attune.events.queue").notes == ("7 messages",)


def test_the_documentation_has_the_pictures_of_today(tmp_path: Path) -> None:
    subprocess.run([sys.executable, ROOT / "scripts" / "pictures", tmp_path], check=True)
    for path in (Path("topologies.md"), *(Path("topologies") / f"{n}.svg" for n in names())):
        assert (ROOT / "docs" / path).read_text() == (tmp_path / path).read_text(), "out of date: run scripts/pictures"
