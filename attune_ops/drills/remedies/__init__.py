"""Mitigations, named with --remedy: each is in place for a second run of a drill, to compare it with the first.

One module a mitigation, found by convention: its `remedy` says how the topology, the policies of the virtual host
or the publisher change.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from attune_ops.model.errors import ConfigError
from attune_ops.model.snapshot import PolicyState
from attune_ops.model.topology import Per, Queue, Topology

PRIORITY = 50


def unchanged(topology: Topology) -> Topology:
    """The topology as it is."""
    return topology


class Remedy(msgspec.Struct, frozen=True):
    """One mitigation: a changed topology, policies, a changed behaviour of the publisher."""

    name: str
    summary: str
    topology: Callable[[Topology], Topology] = unchanged
    policies: tuple[PolicyState, ...] = ()
    behaviour: dict[str, Any] = {}

    def above(self, others: Sequence[PolicyState]) -> tuple[PolicyState, ...]:
        """Its policies with a priority above all others: of several matching policies RabbitMQ applies only one."""
        priority = max((PRIORITY, *(p.priority + 1 for p in others)))
        return tuple(msgspec.structs.replace(p, priority=priority) for p in self.policies)


def policy(name: str, pattern: str, apply_to: str, definition: dict[str, Any]) -> PolicyState:
    """A policy for the scratch virtual host of the drill."""
    return PolicyState("", name, pattern, apply_to, PRIORITY, definition)


def all_remedies() -> dict[str, Remedy]:
    """Every mitigation of this package, by name."""
    modules = (importlib.import_module(f"{__name__}.{info.name}") for info in pkgutil.iter_modules(__path__))
    return {m.remedy.name: m.remedy for m in modules}


def find(name: str) -> Remedy:
    """The mitigation of that name; raises `ConfigError` with the names that exist."""
    known = all_remedies()
    if name not in known:
        raise ConfigError(f"no mitigation {name!r}; --remedy takes {', '.join(sorted(known))}")
    return known[name]


def with_worker_queues(topology: Topology, change: Callable[[Queue], Queue]) -> Topology:
    """The topology with each worker's queues changed."""
    queues = tuple(change(q) if q.per is Per.WORKER else q for q in topology.queues)
    return msgspec.structs.replace(topology, queues=queues)
