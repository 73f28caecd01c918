"""The world of a rehearsal: topology and policies as a snapshot or definitions file has them, with workers in it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import msgspec

from attune_ops.model.definitions import UNTOLD
from attune_ops.model.facts import Facts, Source
from attune_ops.model.ownership import require
from attune_ops.model.snapshot import PolicyState
from attune_ops.model.snapshot_file import load_facts
from attune_ops.model.topologies import load, names
from attune_ops.model.topology import Per, Topology
from attune_ops.topology.export import live_topology


class World(NamedTuple):
    """What is declared in the scratch virtual host, and the policies that are set there before."""

    topology: Topology
    policies: tuple[PolicyState, ...] = ()


def like(file: str, known: Topology | None = None) -> World:
    """What the file has; where no worker's queue is in it, workers get theirs as the known topology says.

    Without a known one it is that of the snapshot, or for definitions the one most of whose objects are there.
    Raises `ConfigError`, and `SourceError` where a snapshot holds no broker.
    """
    facts = load_facts(file, known)
    require(facts, Source.BROKER)
    if known is None:
        known = _fitting(facts) if facts.missing == UNTOLD else facts.topology
        facts = msgspec.structs.replace(facts, topology=known)
    made = live_topology(facts, f"{known.name}, like {Path(file).name}")
    return World(_with_workers(made, known), facts.actual.policies or ())


def _fitting(facts: Facts) -> Topology:
    exchanges, queues = facts.actual.exchange_named.keys(), facts.actual.queue_named.keys()

    def objects(topology: Topology) -> int:
        return len({e.name for e in topology.exchanges} & exchanges) + len({q.name for q in topology.queues} & queues)

    return max((load(name) for name in names()), key=objects)


def _with_workers(made: Topology, known: Topology) -> Topology:
    if any(q.per is Per.WORKER for q in made.queues):
        return made
    workers = tuple(q for q in known.queues if q.per is Per.WORKER)
    named, exchanges = {q.name for q in workers}, {e.name for e in made.exchanges}
    return msgspec.structs.replace(
        made,
        queues=(*made.queues, *workers),
        bindings=(*made.bindings, *(b for b in known.bindings if b.destination in named and b.source in exchanges)),
        consumers=(*made.consumers, *(c for c in known.consumers if c.queue in named)),
    )
