"""The dry run of a start-up: the broker is reached, harm is looked for, and each step says what it would do."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from attune_ops.installation.config.settings import Settings
from attune_ops.model.startup_progress import Step
from attune_ops.model.topology import ID, Topology
from attune_ops.startup.sequence import explained, refuse_harm, release_of
from attune_ops.startup.service import OnStep, Service, ignore
from attune_ops.startup.startup_report import StartupReport, StepError, StepResult, StepStatus, WorkerRef
from attune_ops.startup.steps import few


def plan_startup(
    settings: Settings,
    service: str = "worker",
    worker: str | None = None,
    skip: Collection[str] = (),
    *,
    on_step: OnStep = ignore,
) -> StartupReport:
    """Connects, and says for every other step of `run_startup` what it would do; changes nothing.

    Raises what `run_startup` raises where the start-up would do harm. A broker or registry that is not reached is a
    failed step.
    """
    steps = [Step.named(s) for s in skip]
    settings = release_of(settings, steps)
    planned = Service(settings, service, name=worker, skip=steps, explain=explained)
    _, known, unread = refuse_harm(planned)
    results: list[StepResult] = []
    try:
        for step in planned.steps:
            failed = next((r for r in results if r.status is StepStatus.FAILED), None)
            if step is Step.REGISTER and unread and failed is None and step not in planned.skip:
                error = StepError(None, unread, "", unreachable=True)
                results.append(StepResult(step, StepStatus.FAILED, 0.0, unread, error))
            elif step is Step.CONNECT or failed is not None or step in planned.skip:
                results.append(planned.run_step(step, failed))
            else:
                detail = PLANS[step](settings.topology, service, "?" if known is None else str(known.id))
                detail = f"{detail} ({planned.state.name!r})" if step is Step.REGISTER else detail
                results.append(StepResult(step, StepStatus.SKIPPED, 0.0, f"dry run: {detail}"))
            on_step(results[-1])
    finally:
        planned.disconnect()
    failed = next((r for r in results if r.status is StepStatus.FAILED), None)
    return StartupReport(
        service=service,
        worker=WorkerRef(known.id, known.name) if known else None,
        ok=failed is None,
        duration_ms=sum(r.duration_ms for r in results),
        steps=tuple(results),
    )


def _setup(topology: Topology, service: str, worker_id: str) -> str:
    names = [*(e.name for e in topology.exchanges), *(q.name for q in topology.common_queues)]
    return f"would declare what is missing of {few(names)}, and bind the queues"


def _register(topology: Topology, service: str, worker_id: str) -> str:
    if worker_id == "?":
        return "would add a row that gets no work, and delete it at the end"
    return f"would register worker {worker_id}, and roll that back: its row is left as it is"


def _declare(topology: Topology, service: str, worker_id: str) -> str:
    return f"would declare {few(_own_queues(topology, service, worker_id))}"


def _bind(topology: Topology, service: str, worker_id: str) -> str:
    labels = {q.name for q in topology.queues_of(service)} | {q.name for q in topology.replica_queues(service)}
    own = {q.name for q in topology.worker_queues(0)} if service == "worker" else set()
    bound = [b for b in topology.bindings if b.destination in labels]
    bound += [b for b in topology.worker_bindings(0) if b.destination in own]
    return f"would make {len(bound)} bindings"


def _consume(topology: Topology, service: str, worker_id: str) -> str:
    consumers = [c for c in topology.consumers if c.service == service]
    return f"would consume {few([c.queue.replace(ID, worker_id) for c in consumers])}"


def _ready(topology: Topology, service: str, worker_id: str) -> str:
    return "would count the consumers"


def _own_queues(topology: Topology, service: str, worker_id: str) -> list[str]:
    """The names of the service's own queues; the broker chooses those of a replica."""
    queues = [*topology.queues_of(service), *topology.replica_queues(service)]
    if service == "worker":
        queues = [*(q for q in topology.queues if ID in q.name), *queues]
    return [q.name.replace(ID, worker_id) for q in queues]


PLANS: Mapping[Step, Callable[[Topology, str, str], str]] = {
    Step.SETUP: _setup,
    Step.REGISTER: _register,
    Step.DECLARE: _declare,
    Step.BIND: _bind,
    Step.CONSUME: _consume,
    Step.READY: _ready,
}
