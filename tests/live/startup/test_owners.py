"""A service declares only what the release's own service declares, in its order; a refused set-up ends it, or not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from attune_ops.model.errors import ConfigError
from attune_ops.model.startup_progress import SERVICES, Step
from attune_ops.model.topologies import load
from attune_ops.model.topology import Binding, Exchange, Queue, Topology
from attune_ops.startup import steps
from attune_ops.startup.sequence import run_startup
from attune_ops.startup.service import Service
from attune_ops.startup.startup_report import StartupReport, StepStatus
from attune_ops.topology.apply import compare
from tests.live.places import Place
from tests.world import Run, Vhost

JANUARY, RELEASE_0_5, RELEASE_0_6 = "attune-2026-01", "attune-2026-09", "attune-0.6"
LATER = [RELEASE_0_5, RELEASE_0_6]

# What each service declares besides the five exchanges and the dead-letter queue, by ../facts/attune.md.
EXECUTOR = {
    "attune.executor.events.queue", "attune.enforcements.queue", "attune.execution.requests.queue",
    "attune.execution.status.queue", "attune.execution.completed.queue", "attune.inquiry.responses.queue",
    "attune.pack.tests.queue",
}  # fmt: skip
WORKER = {f"worker.1.{kind}" for kind in ("executions", "packs", "cancel", "packtests")}
OWN = {
    (RELEASE_0_5, "executor"): EXECUTOR,
    (RELEASE_0_6, "executor"): EXECUTOR,
    (RELEASE_0_5, "sensor"): {"attune.events.queue", "attune.rules.lifecycle.queue"},
    (RELEASE_0_6, "sensor"): {"attune.events.queue"},
    (RELEASE_0_5, "worker"): WORKER,
    (RELEASE_0_6, "worker"): WORKER,
}  # fmt: skip
REPLICAS = {
    (RELEASE_0_5, "executor"), (RELEASE_0_6, "executor"), (RELEASE_0_5, "worker"), (RELEASE_0_6, "worker"),
    (RELEASE_0_5, "api"), (RELEASE_0_6, "api"), (RELEASE_0_6, "sensor"),
}  # fmt: skip


def start(vhost: Vhost, folder: Path, topology: str, service: str = "worker", **options: Any) -> StartupReport:
    settings = vhost.settings(f"sqlite:///{folder}/registry.sqlite", topology)
    return run_startup(settings, service, "w1" if service == "worker" else None, **options)


@pytest.mark.parametrize("topology", LATER)
@pytest.mark.parametrize("service", ["executor", "sensor", "worker", "api", "supervisor"])
def test_a_service_declares_what_is_its_own(vhost: Vhost, tmp_path: Path, service: str, topology: str) -> None:
    wanted, seen = load(topology), dict[str, Any]()

    def look(running: Service, report: StartupReport) -> None:
        seen["queues"] = vhost.names("queues")
        seen["exchanges"] = {n for n in vhost.names("exchanges") if n.startswith("attune.")}
        bindings = vhost.api("GET", "bindings/{vhost}").json()
        seen["bound"] = {b["destination"] for b in bindings if b["source"]}

    assert start(vhost, tmp_path, topology, service, meanwhile=look).ok
    replicas = {q for q in seen["queues"] if q.startswith("amq.gen-")}
    assert seen["queues"] - replicas == {"attune.dlx.queue"} | OWN.get((topology, service), set())
    assert len(replicas) == ((topology, service) in REPLICAS)
    assert seen["exchanges"] == {e.name for e in wanted.exchanges}
    assert seen["bound"] == seen["queues"], "each is bound, and nothing else"


@pytest.mark.parametrize("topology", LATER)
def test_the_notifier_is_refused_before_anything_is_declared(vhost: Vhost, tmp_path: Path, topology: str) -> None:
    with pytest.raises(ConfigError, match="the notifier does not use RabbitMQ"):
        start(vhost, tmp_path, topology, "notifier")
    assert not vhost.names("queues")


@pytest.mark.parametrize("topology", [JANUARY, *LATER])
def test_all_services_together_declare_the_whole_topology(place: Callable[..., Place], topology: str) -> None:
    wanted = load(topology)
    made = place(topology)
    for service in SERVICES:
        if wanted.is_set_up_by(service):
            made.start(service, "w1" if service == "worker" else None)
    found = compare(made.settings)
    assert [d.name for d in found.differences if d.is_drift] == []


@pytest.mark.parametrize(
    ("topology", "service", "order"),
    [
        (JANUARY, "executor", "exchanges queues bindings"),
        (RELEASE_0_6, "executor", "exchanges common-queue common-binding own-queues own-bindings"),
        (RELEASE_0_6, "worker", "exchanges common-queue common-binding own-queues own-bindings"),
    ],
)
def test_in_the_order_of_the_service(
    vhost: Vhost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, topology: str, service: str, order: str
) -> None:
    made: list[str] = []

    def kind(item: Exchange | Queue | Binding) -> str:
        if isinstance(item, Exchange):
            return "exchanges"
        if topology == JANUARY:
            return "queues" if isinstance(item, Queue) else "bindings"
        common = "attune.dlx.queue" in (item.name if isinstance(item, Queue) else item.destination)
        if isinstance(item, Queue):
            return "common-queue" if common else "own-queues"
        return "common-binding" if common else "own-bindings"

    for name in ("declare_exchange", "declare_queue", "bind"):
        real = getattr(steps, name)

        def noting(channel: Any, item: Any, *more: Any, real: Any = real, **options: Any) -> Any:
            made.append(kind(item))
            return real(channel, item, *more, **options)

        monkeypatch.setattr(steps, name, noting)
    assert start(vhost, tmp_path, topology, service).ok
    assert " ".join(dict.fromkeys(made)) == order
    assert made == sorted(made, key=order.split().index)


@pytest.mark.parametrize("topology", LATER)
def test_a_step_that_was_skipped_is_said_to_be_the_owner_s(vhost: Vhost, tmp_path: Path, topology: str) -> None:
    report = start(vhost, tmp_path, topology, "executor", skip=["declare", "bind"])
    failed = report.failed
    assert failed is not None
    assert (failed.step, failed.error and failed.error.code) == (Step.CONSUME, 404)
    assert failed.error is not None
    assert "The executor declares 'attune.executor.events.queue': the declare step was skipped." in (
        failed.error.explanation
    )


def clash(vhost: Vhost, topology: Topology) -> None:
    """Makes the first exchange of the topology with another type, as another release has it."""
    first = topology.exchanges[0]
    with vhost.channel() as channel:
        channel.exchange_declare(first.name, "direct" if first.type == "topic" else "topic", durable=True)


@pytest.mark.parametrize("topology", [JANUARY, *LATER])
def test_a_refused_set_up_ends_the_start_up(vhost: Vhost, tmp_path: Path, topology: str) -> None:
    clash(vhost, load(topology))
    report = start(vhost, tmp_path, topology)
    assert not report.ok
    assert not report.runs
    assert [s.status for s in report.steps[1:]] == [StepStatus.FAILED, *[StepStatus.SKIPPED] * 5]
    failed = report.failed
    assert failed is not None
    assert failed.error is not None
    assert failed.error.code == 406
    assert f"declares '{load(topology).exchanges[0].name}' with type" in failed.error.explanation


@pytest.mark.parametrize("topology", [JANUARY, *LATER])
def test_like_attune_a_refused_set_up_fails_later(vhost: Vhost, tmp_path: Path, topology: str) -> None:
    """The set-up ends at its first object, so that the exchange of the worker's binding is missing."""
    clash(vhost, load(topology))
    report = start(vhost, tmp_path, topology, like_attune=True)
    failed = {s.step: s.error and s.error.code for s in report.steps if s.status is StepStatus.FAILED}
    assert failed == {Step.SETUP: 406, Step.BIND: 404}
    assert [s.step for s in report.steps if s.status is StepStatus.OK] == [Step.CONNECT, Step.REGISTER, Step.DECLARE]
    assert not report.runs


@pytest.mark.parametrize("topology", [JANUARY, *LATER])
def test_like_attune_a_service_runs_after_a_refused_set_up(run: Run, vhost: Vhost, topology: str) -> None:
    """Another service has made the rest before: the worker becomes ready, and the status still says refused."""
    wanted = load(topology)
    clash(vhost, wanted)
    with vhost.channel() as channel:
        for exchange in wanted.exchanges[1:]:
            channel.exchange_declare(exchange.name, exchange.type, durable=True)
    env = {"ATTUNE_OPS_DATABASE_URL": f"sqlite:///{run.folder}/r.sqlite", "ATTUNE_OPS_TOPOLOGY": topology}
    words = ("startup", "--worker", "w1", "--format", "table")
    assert "not reached: setup failed" in run(*words, target=vhost, env=env, status=1).stdout
    done = run(*words, "--like-attune", target=vhost, env=env, status=1)
    assert "is ready after" in done.stdout
    assert "but its set-up was refused" in done.stdout
