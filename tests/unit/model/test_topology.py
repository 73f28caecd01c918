"""The two shipped topologies against the tables of Attune's own documentation, and wrong files."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from attune_ops.model.errors import TopologyError
from attune_ops.model.topology import Topology
from attune_ops.model.topology_file import parse, to_dict

FOLDER = Path(__file__).parents[3] / "attune_ops" / "model" / "topologies"


def load(name: str) -> Topology:
    return parse(tomllib.loads((FOLDER / f"{name}.toml").read_text()), name)


def test_january_worker_names() -> None:
    topology = load("attune-2026-01")
    (queue,) = topology.worker_queues(1)
    assert (queue.name, queue.durable, queue.auto_delete, queue.exclusive) == (
        "worker.1.executions",
        False,
        True,
        False,
    )
    (binding,) = topology.worker_bindings(1)
    assert (binding.source, binding.routing_key) == ("attune.executions", "worker.1")
    assert [c.tag for c in topology.worker_consumers(1)] == ["worker-1"]
    assert topology.services == ("executor", "sensor", "worker")


def test_september_worker_names() -> None:
    topology = load("attune-2026-09")
    assert [q.name for q in topology.worker_queues(7)] == [
        "worker.7.executions", "worker.7.packs", "worker.7.cancel", "worker.7.packtests",
    ]  # fmt: skip
    assert {c.tag: c.prefetch_at(4) for c in topology.worker_consumers(7)} == {
        "worker-7": 6, "worker-7-packs": 5, "worker-7-cancel": 10, "worker-7-packtests": 1,
    }  # fmt: skip
    assert len(topology.bindings_to("attune.rules.lifecycle.queue")) == 7
    assert [q.name for q in topology.replica_queues("worker")] == ["worker.metadata"]
    assert len(topology.base_queues) == 10


@pytest.mark.parametrize("name", ["attune-2026-01", "attune-2026-09"])
def test_round_trip(name: str) -> None:
    topology = load(name)
    assert parse(to_dict(topology), "again") == topology


@pytest.mark.parametrize(
    ("queue", "worker"),
    [
        ("worker.1.executions", 1),
        ("worker.0.executions", 0),
        ("worker.-1.executions", -1),
        ("worker.-0.executions", None),
        ("worker.0042.executions", None),
        ("worker.1.executions ", None),
        ("worker.x.executions", None),
        ("worker.1.executions.dlq", None),
        ("attune.events.queue", None),
    ],
)
def test_worker_of(queue: str, worker: int | None) -> None:
    found = load("attune-2026-01").worker_of(queue)
    assert (found[0] if found else None) == worker


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            {"queues": [{"name": "q", "durable": "yes"}]},
            "queues[0].durable: Expected `bool`, got `str`; found 'yes'",
        ),
        ({"queues": [{"nam": "q"}]}, "queues[0]: "),
        (
            {"exchanges": [{"name": "x", "type": "topic", "typ": 1}]},
            "unknown field `typ`; allowed are name, type",
        ),
        ({"queues": [{"name": "q", "per": "wroker"}]}, "allowed: once, worker, replica"),
        ({"queues": [{"name": "worker.{id}"}]}, "queues[0]: 'worker.{id}' has per = \"once\""),
        (
            {"bindings": [{"source": "y", "destination": "q"}]},
            "bindings[0].source: no exchange 'y' in this file (it has x)",
        ),
        ({"consumers": [{"service": "w", "queue": "nope"}]}, "consumers[0].queue: no queue 'nope'"),
        ({"name": ""}, "name: empty"),
        ({"queues": [{"name": "ä" * 128}]}, "queues[0].name: 256 bytes; AMQP allows 255"),
        ({"queues": [{"name": "q\n"}]}, "queues[0].name: 'q\\n' has a line break"),
        (
            {"queues": [{"name": "q"}, {"name": "q"}]},
            "queues[1].name: 'q' is a duplicate of queues[0]",
        ),
    ],
)
def test_wrong_file(change: dict[str, Any], says: str) -> None:
    data: dict[str, Any] = {"name": "t", "exchanges": [{"name": "x", "type": "topic"}], **change}
    with pytest.raises(TopologyError) as e:
        parse(data, "my.toml")
    assert str(e.value).startswith("my.toml: ")
    assert says in str(e.value)
