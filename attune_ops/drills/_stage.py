"""What a drill may do: start and break services, broker and network, each undo registered before the fault."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from attune_ops.drills import faults
from attune_ops.drills._eye import FOLLOW_S, Eye, Follow
from attune_ops.drills._parameters import Parameters
from attune_ops.drills._recover import UndoList
from attune_ops.drills._registry import Registry
from attune_ops.drills._relay import Relay
from attune_ops.drills._watching import Watching
from attune_ops.drills.journal import Course, Event, EventKind
from attune_ops.drills.remedies import Remedy
from attune_ops.installation.config.running_lab import start_time
from attune_ops.installation.config.settings import Settings
from attune_ops.lab import Lab
from attune_ops.model.errors import ActionError, AttuneOpsError, DrillRefused
from attune_ops.model.snapshot import PolicyState
from attune_ops.model.topology import Queue, Topology
from attune_ops.startup.processes import RunningService, start_service
from attune_ops.startup.standins.job import Behaviour
from attune_ops.startup.standins.publishing import route

DELETED = "deleted together with its queue"
BROKER_RESTART = "not kept over the restart of the broker"


class Stage(Watching):
    """The world of one drill. `settings` point at its scratch virtual host, `lab` is its own broker if it has one."""

    def __init__(
        self,
        settings: Settings,
        parameters: Parameters,
        folder: Path,
        undo: UndoList,
        registry: Registry,
        *,
        lab: Lab | None = None,
        server: str | None = None,
        remedy: Remedy | None = None,
        policies: Sequence[PolicyState] = (),
        note: Callable[[Event], None] = lambda event: None,
        follow: Follow = lambda course: None,
    ) -> None:
        self.settings, self.parameters, self.folder, self.lab, self.server = settings, parameters, folder, lab, server
        self.began = time.monotonic()
        self.eye = Eye(settings, self.began)
        self.services: list[RunningService] = []
        self.workers: list[RunningService] = []
        self.loads: list[RunningService] = []
        self.events: list[Event] = []
        self.gone: dict[str, str] = {}
        self.allowed: set[str] = set()
        self.working = settings  # where the services are now, which the doctor looks at
        self.elsewhere: list[Settings] = []  # other brokers where messages may be
        self.expires = False  # whether messages have a time to live here
        self.undo = undo
        self.registry = registry
        self.remedy = remedy
        self.policies = (*policies, *(remedy.above(policies) if remedy else ()))
        self._relays: list[Relay] = []
        self._mends: list[tuple[str, Callable[[], object]]] = []
        self._note, self._follow, self._followed = note, follow, 0.0

    @property
    def topology(self) -> Topology:
        """What is declared here."""
        return self.settings.topology

    def say(self, text: str, kind: EventKind = "step") -> None:
        """Writes a step, fault or undo into the journal."""
        self.events.append(Event(self.now_ms, kind, text))
        self._note(self.events[-1])

    def look(self) -> None:
        """Samples the queues, and tells who follows the drill how it goes."""
        self.eye.look()
        if time.monotonic() - self._followed > FOLLOW_S:
            steps, queues, samples = tuple(self.events), tuple(self.eye.queues), self.eye.evened
            remedy = self.remedy.name if self.remedy else None
            self._follow(Course(self.undo.record.drill, self.now_ms, steps, queues, samples, remedy))
            self._followed = time.monotonic()

    @property
    def now_ms(self) -> float:
        """Milliseconds since the drill began."""
        return round((time.monotonic() - self.began) * 1000)

    def cured(self, remedy: str) -> bool:
        """Whether a remedy of that name is in place."""
        return self.remedy is not None and self.remedy.name == remedy

    def may(self, *classes: str) -> None:
        """Says which classes of the ledger this drill expects besides those handled once."""
        self.allowed |= set(classes)

    # services

    def start(
        self, service: str, name: str, *, settings: Settings | None = None, wait: bool = True, **behaviour: Any
    ) -> RunningService:
        """Starts a stand-in and waits until it is ready, unless told not to."""
        log = self.folder / f"{len(self.services)}-{service}.jsonl"
        told = Behaviour(**({"prefetch": self.parameters.prefetch, "seed": self.parameters.seed} | behaviour))
        started = start_service(settings or self.settings, service, name, log, told)
        self.services.append(started)
        self.undo.add("process", str(started.pid), start_time(started.pid) or "")
        self.say(f"{service} {name} started" if name != service else f"{service} started")
        if wait:
            started.wait_for("ready", timeout=30)
        return started

    def worker(self, name: str, **more: Any) -> RunningService:
        """Starts a worker; its queues are watched."""
        started = self.start("worker", name, **more)
        self.workers.append(started)
        if started.worker_id is not None:
            self.eye.watch(*(q.name for q in self.queues_of(started)))
        return started

    def load(self, *to: RunningService, ids: tuple[int, ...] = (), **more: Any) -> RunningService:
        """Starts the scheduler, which sends numbered executions to these workers, each confirmed and mandatory."""
        p = self.parameters
        targets = ids or tuple(w.worker_id for w in to if w.worker_id is not None)
        told: dict[str, Any] = {
            "rate": p.rate, "count": p.count, "padding": p.size, "transient": not p.durable,
            "direct": bool(targets), "targets": targets, "skip": ("consume",),
        }  # fmt: skip
        first = 1 + sum(p.count for _ in self.loads)
        started = self.start(
            "executor", "scheduler", **(told | {"first": first} | (self.remedy.behaviour if self.remedy else {}) | more)
        )
        self.loads.append(started)
        return started

    def queues_of(self, worker: RunningService) -> tuple[Queue, ...]:
        """The queues of a worker that is ready."""
        return self.topology.worker_queues(worker.worker_id or 0)

    def queue_of(self, worker: RunningService) -> Queue:
        """The queue that a worker is dispatched to."""
        return self.queues_of(worker)[0]

    @property
    def executor(self) -> RunningService:
        """The executor that was started first. Raises `DrillRefused` where nothing here is for one to consume."""
        for service in self.services:
            if service.service == "executor" and service not in self.loads:
                return service
        raise DrillRefused(f"topology {self.topology.name!r} has no queue that an executor consumes")

    @property
    def requests_queue(self) -> str:
        """The queue in which requests for executions wait for the executor. Raises `DrillRefused` without one."""
        found = route(self.topology, "executor", "ExecutionRequested")
        for b in self.topology.base_bindings:
            if found and (b.source, b.routing_key) == (found.exchange, found.routing_key):
                return b.destination
        raise DrillRefused(f"topology {self.topology.name!r} has no queue for requests of executions")

    # faults

    def fault(self, text: str, mend: str = "", undo: Callable[[], object] | None = None) -> None:
        """Announces a fault and registers its undo; call it before the fault happens."""
        if undo is not None:
            self._mends.append((mend, undo))
        self.say(text, "fault")

    def kill(self, service: RunningService) -> None:
        """Kills a service (SIGKILL): nothing is cleaned up, the kernel closes its connections."""
        self.fault(f"{service.name} is killed (SIGKILL)")
        service.kill()

    def suspend(self, service: RunningService) -> None:
        """Stops a service in its tracks (SIGSTOP): its connections stay open and nothing answers."""
        self.fault(f"{service.name} hangs (SIGSTOP)", f"{service.name} goes on", service.resume)
        service.suspend()

    def stop(self, service: RunningService) -> None:
        """Stops a service cleanly (SIGTERM)."""
        self.say(f"{service.name} is stopped (SIGTERM)")
        service.stop()

    def relay(self, settings: Settings | None = None) -> tuple[Settings, Relay]:
        """A way to the broker whose packets can be dropped: settings that go by it, and the relay itself."""
        settings = settings or self.settings
        made = Relay((settings.amqp.host, settings.amqp.port))
        self._relays.append(made)
        amqp = msgspec.structs.replace(settings.amqp, host="127.0.0.1", port=made.port)
        return msgspec.structs.replace(settings, amqp=amqp), made

    def cut(self, relay: Relay, whose: str) -> None:
        """Drops all packets of a relay, both ways; nobody is told."""
        self.fault(f"the network of {whose} drops every packet", f"the network of {whose} is back", relay.heal)
        relay.cut()

    def set_policies(self, settings: Settings | None = None) -> None:
        """Sets the policies in the scratch virtual host, or on another broker; they go with it."""
        for p in self.policies:
            faults.put_policy(settings or self.settings, p)
            kind = "operator policy" if p.operator else "policy"
            self.say(f"{kind} {p.name}, priority {p.priority}, on {p.apply_to} {p.pattern}: {json.dumps(p.definition)}")

    def lost(self, queue: str, reason: str = DELETED) -> None:
        """Says that what was in a queue is lost, and why."""
        self.gone[queue] = reason

    # the drill's own broker

    @property
    def broker(self) -> Lab:
        """The drill's own broker."""
        if self.lab is None:
            raise ActionError("this drill breaks a node, and has no broker of its own")
        return self.lab

    def at(self, n: int) -> Settings:
        """The settings of who is connected to the nth node, counted from 0."""
        node = self.broker.state.nodes[n]
        amqp = msgspec.structs.replace(self.settings.amqp, port=node.amqp_port)
        management = msgspec.structs.replace(self.settings.management, port=node.management_port)
        return msgspec.structs.replace(self.settings, amqp=amqp, management=management)

    def kill_node(self, n: int) -> None:
        """Kills a node (SIGKILL), as a power cut does."""
        self._node(n, "is killed (SIGKILL)", "starts again", self.broker.start_node, self.broker.kill_node)

    def stop_node(self, n: int) -> None:
        """Stops a node cleanly."""
        self._node(n, "is stopped", "starts again", self.broker.start_node, self.broker.stop_node)

    def suspend_node(self, n: int) -> None:
        """Stops a node in its tracks (SIGSTOP): nothing is closed and nothing answers."""
        self._node(n, "hangs (SIGSTOP)", "goes on", self.broker.resume_node, self.broker.suspend_node)

    def _node(self, n: int, how: str, mend: str, undo: Callable[[str], object], do: Callable[[str], object]) -> None:
        name = self.broker.state.nodes[n].name
        self.fault(f"node {name} {how}", f"node {name} {mend}", lambda: undo(name))
        do(name)

    def second_broker(self) -> Settings:
        """Starts another broker of the drill's own and returns the settings that point at it."""
        from attune_ops.drills._place import own_lab, settings_of_lab

        self.say("a second broker is started")
        lab = own_lab(self.undo, 1, self.server, (), lambda text: None)
        there = settings_of_lab(lab.state)
        made = msgspec.structs.replace(self.settings, amqp=there.amqp, management=there.management)
        self.elsewhere.append(made)
        self.set_policies(made)
        return made

    def mend(self) -> None:
        """Undoes the faults in reverse order; what fails is told and the others go on."""
        while self._mends:
            text, undo = self._mends.pop()
            try:
                undo()
            except (AttuneOpsError, OSError) as e:
                text = f"undo failed: {text}: {e}"
            self.say(text, "undo")

    def close(self) -> None:
        """Ends all that looks at the broker or stands before it."""
        self.eye.close()
        for relay in self._relays:
            relay.close()
