"""Mitigations, named with --remedy: each is in place for a second run of a drill, to compare it with the first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from attune_ops.model.errors import ConfigError
from attune_ops.model.snapshot import PolicyState
from attune_ops.model.topology import Binding, Exchange, Per, Queue, Topology

PRIORITY = 50
UNROUTABLE, UNROUTABLE_QUEUE = "attune.unroutable", "attune.unroutable.queue"
DLX, DEAD_QUEUE, DEAD_KEY = "attune.dlx", "attune.dead.queue", "dead"
EXPIRES_MS = 3000  # short for the drill; in operation it is hours


class Remedy(msgspec.Struct, frozen=True):
    """One mitigation: a changed topology, policies, a changed behaviour of the scheduler."""

    name: str
    summary: str
    topology: Callable[[Topology], Topology] = lambda topology: topology
    policies: tuple[PolicyState, ...] = ()
    behaviour: dict[str, Any] = {}

    def above(self, others: Sequence[PolicyState]) -> tuple[PolicyState, ...]:
        """Its policies with a priority above all others: of several matching policies RabbitMQ applies only one."""
        priority = max((PRIORITY, *(p.priority + 1 for p in others)))
        return tuple(msgspec.structs.replace(p, priority=priority) for p in self.policies)


def with_worker_queues(topology: Topology, change: Callable[[Queue], Queue]) -> Topology:
    """The topology with each worker's queues changed."""
    queues = tuple(change(q) if q.per is Per.WORKER else q for q in topology.queues)
    return msgspec.structs.replace(topology, queues=queues)


def _policy(name: str, pattern: str, apply_to: str, **definition: Any) -> tuple[PolicyState, ...]:
    """A policy for the scratch virtual host of the drill."""
    keys = {key.replace("_", "-"): value for key, value in definition.items()}
    return (PolicyState("", name, pattern, apply_to, PRIORITY, keys),)


def _durable(topology: Topology) -> Topology:
    return with_worker_queues(topology, lambda q: msgspec.structs.replace(q, durable=True, auto_delete=False))


def _quorum(topology: Topology) -> Topology:
    return with_worker_queues(
        _durable(topology), lambda q: msgspec.structs.replace(q, arguments={**q.arguments, "x-queue-type": "quorum"})
    )


def _with_alternate_exchange(topology: Topology) -> Topology:
    return msgspec.structs.replace(
        topology,
        exchanges=(*topology.exchanges, Exchange(UNROUTABLE, "fanout")),
        queues=(*topology.queues, Queue(UNROUTABLE_QUEUE)),
        bindings=(*topology.bindings, Binding(UNROUTABLE, UNROUTABLE_QUEUE)),
    )


def _with_dead_letter_queue(topology: Topology) -> Topology:
    """Binds the queue with an explicit key, since a direct exchange matches `#` literally."""
    return msgspec.structs.replace(
        topology,
        queues=(*topology.queues, Queue(DEAD_QUEUE)),
        bindings=(*topology.bindings, Binding(DLX, DEAD_QUEUE, DEAD_KEY)),
    )


REMEDIES = (
    Remedy(
        "alternate-exchange",
        f"unroutable messages of attune.executions are routed to {UNROUTABLE_QUEUE}",
        _with_alternate_exchange,
        _policy("unroutable", r"^attune\.executions$", "exchanges", alternate_exchange=UNROUTABLE),
    ),
    Remedy(
        "dead-letter-queue",
        f"messages that a worker's queue dead-letters are routed to {DEAD_QUEUE}, bound with its own key",
        _with_dead_letter_queue,
        _policy("dead-letters", r"^worker\.", "queues", dead_letter_exchange=DLX, dead_letter_routing_key=DEAD_KEY),
    ),
    Remedy("durable", "worker queues are durable and not auto-delete", _durable),
    Remedy(
        "expires-policy",
        f"worker queues are durable, and a policy deletes them with their messages after {EXPIRES_MS / 1000:g} s "
        "without use",
        _durable,
        _policy("worker-queues-expire", r"^worker\.", "queues", expires=EXPIRES_MS),
    ),
    Remedy("quorum", "worker queues are quorum queues", _quorum),
    Remedy("redispatch", "the scheduler sends returned messages to the next worker", behaviour={"redispatch": True}),
)


def all_remedies() -> dict[str, Remedy]:
    """Every mitigation, by name."""
    return {r.name: r for r in REMEDIES}


def find(name: str) -> Remedy:
    """The mitigation of that name; raises `ConfigError` with the names that exist."""
    known = all_remedies()
    if name not in known:
        raise ConfigError(f"no mitigation {name!r}; --remedy takes {', '.join(known)}")
    return known[name]
