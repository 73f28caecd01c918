"""The seven steps of a start-up, which of them a service has, and how far each registered worker got.

This module does not connect: `attune_ops.startup.steps` runs the steps.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum

import msgspec

from attune_ops.model.errors import ConfigError
from attune_ops.model.facts import Facts
from attune_ops.model.registry import Worker
from attune_ops.model.snapshot import BrokerSnapshot
from attune_ops.model.topology import Topology

SERVICES = ("worker", "executor", "sensor", "notifier", "api", "supervisor")


class Step(StrEnum):
    """A step of the start-up, in the order in which they are taken."""

    CONNECT = "connect"
    SETUP = "setup"
    REGISTER = "register"
    DECLARE = "declare"
    BIND = "bind"
    CONSUME = "consume"
    READY = "ready"

    @classmethod
    def named(cls, text: str) -> Step:
        """The step of that name; raises `ConfigError` naming the seven."""
        try:
            return cls(text)
        except ValueError:
            raise ConfigError(f"no step {text!r}; the steps are {', '.join(cls)}") from None


def steps_of(topology: Topology, service: str) -> tuple[Step, ...]:
    """The steps of `service`: only workers register; a service without a queue of its own declares none.

    Raises `ConfigError` for an unknown service, and for one that does not use RabbitMQ in this topology.
    """
    if service not in SERVICES:
        raise ConfigError(f"no service {service!r}; the services are {', '.join(SERVICES)}")
    if not topology.is_set_up_by(service):
        known = ", ".join(topology.set_up_by)
        raise ConfigError(
            f"the {service} does not use RabbitMQ in topology {topology.name}; these services do: {known}"
        )
    worker = service == "worker"
    own_queues = (
        *topology.queues_of(service), *topology.replica_queues(service), *(topology.worker_queues(0) if worker else ())
    )  # fmt: skip
    consumes = any(c.service == service for c in topology.consumers)
    absent = {
        Step.REGISTER: not worker,
        Step.DECLARE: not own_queues,
        Step.BIND: not own_queues,
        Step.CONSUME: not consumes,
    }
    return tuple(s for s in Step if not absent.get(s, False))


class StartupProgress(msgspec.Struct, frozen=True):
    """How far one registered worker got, by what is on the broker.

    `stuck_at` is the first step without its result (None: everything is there), `lacks` names what is
    missing of it. `unknown` are the steps without data.
    """

    worker: Worker
    stuck_at: Step | None
    lacks: tuple[str, ...] = ()
    unknown: tuple[Step, ...] = ()

    def sentence(self) -> str:
        """The same in words: "worker 1 'w1' is registered; its declare step did not run (…)"."""
        who = f"worker {self.worker.id} {self.worker.name!r} is registered"
        if self.stuck_at is None:
            return f"{who} and its start-up is complete"
        return f"{who}; its {self.stuck_at} step did not run, or was undone later (missing: {', '.join(self.lacks)})"


def progress(facts: Facts) -> tuple[StartupProgress, ...]:
    """How far each registered worker with queues got; empty where registry or broker is unknown."""
    if facts.registry is None or facts.broker is None:
        return ()
    workers = (w for w in facts.registry.workers if w.has_queues)
    return tuple(_progress_of(w, facts.topology, facts.broker) for w in workers)


def _progress_of(worker: Worker, topology: Topology, broker: BrokerSnapshot) -> StartupProgress:
    listings = {Step.DECLARE: broker.queues, Step.BIND: broker.bindings, Step.CONSUME: broker.consumers}
    unknown = tuple(step for step, listing in listings.items() if listing is None)
    for step in listings:
        lacks = () if step in unknown else tuple(_lacking(step, worker.id, topology, broker))
        if lacks:
            return StartupProgress(worker, step, lacks, unknown)
    return StartupProgress(worker, None, (), unknown)


def _lacking(step: Step, worker_id: int, topology: Topology, broker: BrokerSnapshot) -> Iterator[str]:
    """What a step makes on the broker and is missing there."""
    if step is Step.DECLARE:
        yield from (q.name for q in topology.worker_queues(worker_id) if q.name not in broker.queue_named)
    elif step is Step.BIND:
        for b in topology.worker_bindings(worker_id):
            there = broker.bindings_to_queue.get(b.destination, ())
            if (b.source, b.routing_key) not in {(t.source, t.routing_key) for t in there}:
                yield f"binding {b.source} → {b.destination} by key {b.routing_key!r}"
    else:
        for c in topology.worker_consumers(worker_id):
            if all(found.tag != c.tag for found in broker.consumers_of.get(c.queue, ())):
                yield f"consumer {c.tag} on {c.queue}"
