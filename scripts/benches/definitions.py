"""The doctor on a definitions file with 100,000 workers: processor time and memory of the whole process."""

from __future__ import annotations

import json
import os
import statistics
from collections.abc import Iterator
from typing import Any

from attune_ops.model.definitions import export
from attune_ops.model.snapshot import BindingState, ExchangeState, QueueState
from attune_ops.model.topologies import load
from benches import Result, Site, spent
from benches.processes import COMMAND, compiled

WORKERS, RUNS = 100_000, 3
TIME_MS, MEMORY_MB = 2000.0, 250.0
UNHEALTHY = (0, 1, 3)  # a definitions file is not a broker: much is unknown


def measure(site: Site) -> Iterator[Result]:
    """January's topology, as `rabbitmqctl export_definitions` writes it."""
    compiled()
    file = site.folder / "definitions.json"
    file.write_text(json.dumps(definitions(WORKERS)))
    plain = {name: value for name, value in os.environ.items() if not name.startswith("ATTUNE_OPS")}
    runs = [spent([COMMAND, "doctor", "--from", file], plain, UNHEALTHY) for _ in range(RUNS)]
    what = f"doctor --from a definitions file, {WORKERS:,} workers"
    time, memory = (statistics.median(side) for side in zip(*runs, strict=True))
    yield Result(f"{what}, processor time", "the promised time", time, TIME_MS, 1.0, RUNS)
    yield Result(f"{what}, most memory", "the promise", memory, MEMORY_MB, 1.0, RUNS, "MB")


def definitions(workers: int) -> dict[str, Any]:
    """All that the topology declares for so many workers."""
    topology, ids = load("attune-2026-01"), range(1, workers + 1)
    queues = [*topology.base_queues, *(q for i in ids for q in topology.worker_queues(i))]
    bindings = [*topology.base_bindings, *(b for i in ids for b in topology.worker_bindings(i))]
    return export(
        tuple(ExchangeState(e.name, "/", e.type) for e in topology.exchanges),
        tuple(QueueState(q.name, "/", q.type, q.durable, q.auto_delete, q.exclusive, q.arguments) for q in queues),
        tuple(
            BindingState("/", b.source, b.destination, b.routing_key, b.destination_kind, b.arguments) for b in bindings
        ),
        (),
    )
