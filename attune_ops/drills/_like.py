"""The topology of a rehearsal: as a snapshot or definitions file has it, with workers in it."""

from __future__ import annotations

import msgspec

from attune_ops.facts_file import load_facts
from attune_ops.live_topology import live_topology
from attune_ops.topology import Per, Topology


def like(file: str, known: Topology) -> Topology:
    """What the file has; where no worker's queue is in it, workers get theirs as the known topology says.

    Raises `ConfigError`.
    """
    made = live_topology(load_facts(file, known), known.name)
    if any(q.per is Per.WORKER for q in made.queues):
        return made
    workers = tuple(q for q in known.queues if q.per is Per.WORKER)
    names, exchanges = {q.name for q in workers}, {e.name for e in made.exchanges}
    return msgspec.structs.replace(
        made,
        queues=(*made.queues, *workers),
        bindings=(*made.bindings, *(b for b in known.bindings if b.destination in names and b.source in exchanges)),
        consumers=(*made.consumers, *(c for c in known.consumers if c.queue in names)),
    )
