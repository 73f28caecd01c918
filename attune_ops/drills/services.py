"""The services of a drill: stand-ins that consume, workers, and the scheduler that sends messages."""

from __future__ import annotations

from typing import Any

from attune_ops.drills.parameters import Setup
from attune_ops.drills.sampler import DrillLog, Sampler
from attune_ops.installation.config.running_lab import start_time
from attune_ops.installation.config.settings import Settings
from attune_ops.model.errors import DrillRefused
from attune_ops.model.topology import Queue, Topology
from attune_ops.startup.processes import RunningService, start_service
from attune_ops.startup.standins.job import Behaviour
from attune_ops.startup.standins.publishing import route


class Services:
    """Starts and stops stand-ins; `all` are in the order of their start."""

    def __init__(self, setup: Setup, log: DrillLog, sampler: Sampler) -> None:
        self.all: list[RunningService] = []
        self.workers: list[RunningService] = []
        self.loads: list[RunningService] = []
        self._setup, self._log, self._sampler = setup, log, sampler

    def start(
        self, service: str, name: str, *, settings: Settings | None = None, wait: bool = True, **behaviour: Any
    ) -> RunningService:
        """Starts a stand-in, and waits until it is ready unless `wait` is False."""
        log = self._setup.folder / f"{len(self.all)}-{service}.jsonl"
        p = self._setup.parameters
        started = start_service(
            settings or self._setup.settings, service, name, log,
            Behaviour(**({"prefetch": p.prefetch, "seed": p.seed} | behaviour)), note=self._note,
        )  # fmt: skip
        self._log.add(f"worker {name} started" if service == "worker" else f"{name} started")
        if wait:
            started.wait_for("ready", timeout=30)
        return started

    def _note(self, started: RunningService) -> None:
        self.all.append(started)
        self._setup.undo.add("process", str(started.pid), start_time(started.pid) or "")

    def worker(self, name: str, **more: Any) -> RunningService:
        """Starts a worker and samples its queues."""
        started = self.start("worker", name, **more)
        self.workers.append(started)
        if started.worker_id is not None:
            self._sampler.watch(*(q.name for q in self.queues_of(started)))
        return started

    def load(self, *to: RunningService, ids: tuple[int, ...] = (), **more: Any) -> RunningService:
        """Starts the scheduler, which sends numbered executions to these workers, mandatory and with confirms."""
        p = self._setup.parameters
        targets = ids or tuple(w.worker_id for w in to if w.worker_id is not None)
        defaults: dict[str, Any] = {
            "rate": p.rate, "count": p.count, "padding": p.size, "transient": not p.durable,
            "direct": bool(targets), "targets": targets, "skip": ("consume",), "first": 1 + p.count * len(self.loads),
        }  # fmt: skip
        changed = self._setup.remedy.behaviour if self._setup.remedy else {}
        started = self.start("executor", "scheduler", **(defaults | changed | more))
        self.loads.append(started)
        return started

    def stop(self, service: RunningService) -> None:
        """Stops a service cleanly (SIGTERM)."""
        self._log.add(f"{service.name} is stopped (SIGTERM)")
        service.stop()

    def queues_of(self, worker: RunningService) -> tuple[Queue, ...]:
        """The queues of a worker that is ready."""
        return self._topology.worker_queues(worker.worker_id or 0)

    def queue_of(self, worker: RunningService) -> Queue:
        """The queue that a worker's executions are sent to."""
        return self.queues_of(worker)[0]

    @property
    def unused_worker_id(self) -> int:
        """The id after those of the workers, which the registry gives to the next new worker."""
        return 1 + max((w.worker_id or 0 for w in self.workers), default=0)

    @property
    def executor(self) -> RunningService:
        """The executor that was started first. Raises `DrillRefused` where the topology has nothing for it."""
        for service in self.all:
            if service.service == "executor" and service not in self.loads:
                return service
        raise DrillRefused(f"topology {self._topology.name!r} has no queue that an executor consumes")

    @property
    def requests_queue(self) -> str:
        """The queue in which execution requests wait for the executor. Raises `DrillRefused` without one."""
        found = route(self._topology, "executor", "ExecutionRequested")
        for b in self._topology.base_bindings:
            if found and (b.source, b.routing_key) == (found.exchange, found.routing_key):
                return b.destination
        raise DrillRefused(f"topology {self._topology.name!r} has no queue for execution requests")

    @property
    def _topology(self) -> Topology:
        return self._setup.settings.topology
