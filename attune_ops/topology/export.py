"""The text of an export: RabbitMQ definitions or a topology file, of what is wanted or of what is there."""

from __future__ import annotations

from typing import Any

import msgspec

from attune_ops.model.definitions import export
from attune_ops.model.facts import Facts, Source
from attune_ops.model.toml_text import to_toml
from attune_ops.model.topology import Topology
from attune_ops.topology.live_topology import live_topology

SOURCES = (Source.BROKER,)


def export_wanted(topology: Topology, to: str, workers: tuple[int, ...] = ()) -> str:
    """The topology as text, in definitions with the queues and bindings of these workers."""
    if to == "toml":
        return to_toml(topology)
    queues = (*topology.base_queues, *(q for i in workers for q in topology.worker_queues(i)))
    bindings = (*topology.base_bindings, *(b for i in workers for b in topology.worker_bindings(i)))
    return _json(export(topology.exchanges, queues, bindings))


def export_live(facts: Facts, to: str) -> str:
    """What is on the broker as text; needs `Source.BROKER`. Policies are in definitions only."""
    broker = facts.actual
    if to == "toml":
        name = f"{facts.topology.name}-live"
        seen = f"Virtual host {facts.vhost} as seen at {facts.taken_at:%Y-%m-%d %H:%M:%S}Z."
        taken = f"Who publishes and who consumes is taken from {facts.topology.name}: a broker does not know it."
        return to_toml(live_topology(facts, name), f"{seen}\n{taken}")
    return _json(
        export(
            broker.exchanges or (), broker.queues or (), broker.bindings or (), broker.policies or (), broker.version
        )
    )  # fmt: skip


def _json(data: dict[str, Any]) -> str:
    return msgspec.json.format(msgspec.json.encode(data), indent=2).decode()
