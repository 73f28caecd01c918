"""Words that several checks say: lists, counts, and what cures."""

from __future__ import annotations

from collections.abc import Iterable

from attune_ops.model.registry import Worker
from attune_ops.model.units import counted as counted

RESTART = "Restart the worker: its start-up declares, binds and consumes anew."

ROOM = 5  # names that a sentence lists; the evidence has them all


def listed(names: Iterable[str], room: int = ROOM) -> str:
    """`a, b, c and 47 more`."""
    names = list(names)
    rest = len(names) - room
    return ", ".join(names) if rest <= 0 else f"{', '.join(names[:room])} and {rest} more"


def route_name(exchange: str, key: str) -> str:
    """How findings name a publish."""
    return f"{exchange} {key}".strip()


def worker_name(worker: Worker) -> str:
    """How messages name a worker."""
    return f"worker {worker.id} ({worker.name})"
