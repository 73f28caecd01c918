"""The start-up of each service against a broker: whole, with each step skipped, and where something is in its way."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from attune_ops.doctor.explain import explain
from attune_ops.installation import registry_write
from attune_ops.installation.amqp_write import BrokerRefused
from attune_ops.installation.config import resolve
from attune_ops.model.errors import ActionError
from attune_ops.model.startup_progress import Step
from attune_ops.model.topologies import load
from attune_ops.model.topology import Exchange, Queue, Topology
from attune_ops.render import form
from attune_ops.startup.sequence import run_startup
from attune_ops.startup.service import Service
from attune_ops.startup.startup_report import StartupReport, StepStatus
from attune_ops.startup.steps import set_up, take_down
from tests import hostile
from tests.hostile import NAMES
from tests.world import Vhost, eventually

JANUARY, SEPTEMBER = "attune-2026-01", "attune-2026-09"

KEPT = "attune-ops.kept.worker.1.executions"

Start = Callable[..., StartupReport]


@pytest.fixture
def registry(tmp_path: Path) -> Path:
    """The file of a registry of the test's own."""
    return tmp_path / "registry.sqlite"


@pytest.fixture
def start(vhost: Vhost, registry: Path) -> Start:
    """Runs a start-up in the virtual host and stops it again."""

    def take(service: str = "worker", topology: str = JANUARY, **options: Any) -> StartupReport:
        settings = vhost.settings(f"sqlite:///{registry}", topology)
        return run_startup(settings, service, **{"worker": "w1"} | options)

    return take


def rows(registry: Path) -> list[tuple[Any, ...]]:
    """Id, name and status of every worker."""
    with sqlite3.connect(registry) as connection:
        return connection.execute("SELECT id, name, status FROM worker ORDER BY id").fetchall()


def statuses(report: StartupReport) -> str:
    """Each step with its status: `connect=ok setup=failed …`."""
    return " ".join(f"{s.step}={s.status}" for s in report.steps)


def failure(report: StartupReport) -> tuple[Step, int | None, str, str]:
    """The step that failed, with its code, text and explanation."""
    assert not report.ok
    assert report.failed is not None
    assert report.failed.error is not None
    error = report.failed.error
    return report.failed.step, error.code, error.text, error.explanation


@pytest.mark.parametrize("topology", [JANUARY, SEPTEMBER])
def test_a_worker_starts_and_stops(start: Start, vhost: Vhost, registry: Path, topology: str) -> None:
    seen: dict[str, Any] = {}

    def look(service: Service, report: StartupReport) -> None:
        seen["queues"] = vhost.names("queues")
        bindings = vhost.api("GET", "bindings/{vhost}").json()
        seen["bindings"] = {(b["source"], b["destination"], b["routing_key"]) for b in bindings if b["source"]}
        seen["registry"] = rows(registry)

    report = start(topology=topology, meanwhile=look)
    assert statuses(report) == " ".join(f"{s}=ok" for s in Step)
    assert (report.worker and report.worker.id, report.worker and report.worker.name) == (1, "w1")
    wanted = load(topology)
    assert {q.name for q in (*wanted.common_queues, *wanted.worker_queues(1))} <= seen["queues"]
    assert {(b.source, b.destination, b.routing_key) for b in wanted.worker_bindings(1)} <= seen["bindings"]
    assert seen["registry"] == [(1, "w1", "active")]
    ready = report.result(Step.READY)
    assert ready is not None
    assert ready.detail.startswith("1 consumer on ")

    assert rows(registry) == [], "it gives back what it made"
    assert vhost.names("queues") == {q.name for q in wanted.common_queues}
    assert report.ending is not None
    for queue in wanted.worker_queues(1):
        assert any(queue.name in line for line in report.ending.stopped), (queue.name, report.ending)


@pytest.mark.parametrize("service", ["executor", "sensor", "notifier"])
def test_the_other_services_start_and_stop(start: Start, vhost: Vhost, registry: Path, service: str) -> None:
    report = start(service, JANUARY)
    assert report.ok
    assert report.worker is None
    assert not registry.exists()
    assert vhost.names("queues") == {q.name for q in load(JANUARY).base_queues}


def test_the_executor_s_three_consumers_compete(start: Start) -> None:
    report = start("executor")
    ready = report.result(Step.READY)
    assert ready is not None
    assert ready.detail == "3 consumers on attune.executions.queue"


@pytest.mark.parametrize(
    ("left_out", "failed", "code", "says"),
    [
        ("connect", Step.SETUP, None, "the connect step was skipped"),
        ("setup", Step.BIND, 404, "Set-up declares 'attune.executions': the setup step was skipped."),
        ("register", Step.DECLARE, None, "the register step was skipped"),
        ("declare", Step.BIND, 404, "It is the queue of worker 1: the declare step was skipped."),
    ],
)
def test_leaving_a_step_out_fails_where_it_is_missed(
    start: Start, vhost: Vhost, left_out: str, failed: Step, code: int | None, says: str
) -> None:
    report = start(skip=[left_out])
    step, found, text, explanation = failure(report)
    assert (step, found) == (failed, code)
    assert says in text + explanation
    assert report.steps[list(Step).index(Step(left_out))].status is StepStatus.SKIPPED
    assert "worker.1.executions" not in vhost.names("queues")


@pytest.mark.parametrize("left_out", ["bind", "consume", "ready"])
def test_leaving_a_later_step_out_leaves_a_worker_that_seems_ready(start: Start, vhost: Vhost, left_out: str) -> None:
    report = start(skip=[left_out])
    assert report.ok
    assert "worker.1.executions" not in vhost.names("queues"), "a queue that nothing consumed would stay for ever"


def test_the_incident_is_worded_as_the_broker_words_it(start: Start, vhost: Vhost) -> None:
    report = start(skip=["declare", "bind"])
    step, code, text, explanation = failure(report)
    assert (step, code) == (Step.CONSUME, 404)
    assert text == f"NOT_FOUND - no queue 'worker.1.executions' in vhost '{vhost.name}'"
    assert explanation.startswith("It is the queue of worker 1: the declare step was skipped.")


def test_what_a_worker_is_given_meanwhile_is_not_lost(start: Start, vhost: Vhost) -> None:
    def dispatch(service: Service, report: StartupReport) -> None:
        with vhost.channel() as channel:
            channel.basic_publish("attune.executions", "execution.dispatch.worker.1", b"x", mandatory=True)
        service.serve(0.5)

    report = start(topology=SEPTEMBER, meanwhile=dispatch)
    assert report.ending is not None
    assert "queue worker.1.executions (durable, 1 ready message)" in report.ending.left


DIFFERENT: dict[str, tuple[Exchange | Queue, Exchange | Queue]] = {
    "type": (Exchange("x", "topic"), Exchange("x", "direct")),
    "exchange durable": (Exchange("x", "direct"), Exchange("x", "direct", durable=False)),
    "exchange auto_delete": (Exchange("x", "direct"), Exchange("x", "direct", auto_delete=True)),
    "internal": (Exchange("x", "direct"), Exchange("x", "direct", internal=True)),
    "alternate-exchange": (Exchange("x", "direct", arguments={"alternate-exchange": "y"}), Exchange("x", "direct")),
    "queue durable": (Queue("q"), Queue("q", durable=False, exclusive=True)),
    "queue auto_delete": (Queue("q"), Queue("q", auto_delete=True)),
    "x-message-ttl": (Queue("q", arguments={"x-message-ttl": 5}), Queue("q", arguments={"x-message-ttl": 7})),
    "x-dead-letter-exchange": (Queue("q", arguments={"x-dead-letter-exchange": "attune.dlx"}), Queue("q")),
    "x-max-length": (Queue("q"), Queue("q", arguments={"x-max-length": 10})),
    "x-queue-type": (Queue("q", arguments={"x-queue-type": "quorum"}), Queue("q")),
    "exclusive": (Queue("q"), Queue("q", exclusive=True)),
}


@pytest.mark.parametrize("attribute", DIFFERENT)
def test_an_unequal_object_names_the_attribute_what_was_asked_and_what_is_there(vhost: Vhost, attribute: str) -> None:
    asked, there = (_topology(side) for side in DIFFERENT[attribute])
    with vhost.channel() as holder:
        set_up(holder, there)  # on a connection that stays open: what is exclusive goes with its connection
        with vhost.channel() as other, pytest.raises(BrokerRefused) as refused:
            set_up(other, asked)
    assert "may already exist" not in str(refused.value)
    if attribute in ("exclusive", "queue durable"):
        assert refused.value.code == 405
        return
    assert refused.value.code == 406
    told = next(iter(explain(refused.value.text)))
    assert told.argument == attribute.split()[-1]
    assert told.wanted
    assert told.found
    assert told.wanted != told.found
    assert f"406 {refused.value.text}" in str(refused.value)


def _topology(item: Exchange | Queue) -> Topology:
    return Topology("t", (item,) if isinstance(item, Exchange) else (), (item,) if isinstance(item, Queue) else ())


@pytest.mark.parametrize("topology", [JANUARY, SEPTEMBER])
def test_a_second_set_up_changes_nothing_and_taking_down_leaves_nothing(vhost: Vhost, topology: str) -> None:
    wanted = load(topology)
    exports: list[bytes] = []
    with vhost.channel() as channel:
        for _ in range(2):
            made = set_up(channel, wanted)
            exports.append(vhost.api("GET", "definitions/{vhost}").content)
        assert exports[0] == exports[1]
        assert made.queues == len(wanted.common_queues)
        take_down(channel, wanted)
    assert vhost.names("queues") == set()
    assert not {e.name for e in wanted.exchanges} & vhost.names("exchanges")


def test_an_unequal_set_up_fails_the_step_and_says_which_side_is_wrong(start: Start, vhost: Vhost) -> None:
    with vhost.channel() as channel:
        channel.exchange_declare("attune.executions", "topic", durable=True)
    step, code, text, explanation = failure(start())
    assert (step, code) == (Step.SETUP, 406)
    assert "inequivalent arg 'type' for exchange 'attune.executions'" in text
    assert "declares 'attune.executions' with type = direct" in explanation


def test_a_database_that_is_down_leaves_no_queue(vhost: Vhost) -> None:
    settings = vhost.settings("postgresql://u:p@127.0.0.1:1/attune")
    report = run_startup(settings, "worker", "w1")
    assert statuses(report).startswith("connect=ok setup=ok register=failed declare=skipped")
    assert report.failed is not None
    assert report.failed.error is not None
    assert report.failed.error.unreachable
    assert "127.0.0.1:1" in report.failed.error.text
    assert not any(q.startswith("worker.") for q in vhost.names("queues"))


def test_a_broker_that_is_down_fails_the_first_step(registry: Path) -> None:
    settings = resolve({"amqp_url": "amqp://u:hush@127.0.0.1:1/", "database_url": f"sqlite:///{registry}"}, {})
    report = run_startup(settings, "worker", "w1")
    step, _, text, _ = failure(report)
    assert step is Step.CONNECT
    assert "hush" not in msgspec.json.encode(report).decode()
    assert "connection refused" in text
    assert not registry.exists()


def test_hostile_names_of_workers(start: Start, registry: Path) -> None:
    names = [name for name in NAMES if name]  # an empty one means the default name
    for number, name in enumerate(names, 1):
        report = start(worker=name)
        assert report.ok, failure(report)
        assert (report.worker and report.worker.id, report.worker and report.worker.name) == (number, name)
        assert hostile.is_safe(form(report, "text"))
    assert rows(registry) == []


def test_a_user_without_the_configure_right(start: Start, vhost: Vhost, user: Any, registry: Path) -> None:
    limited = user(vhost, configure="^$")
    report = run_startup(limited.settings(f"sqlite:///{registry}"), "worker", "w1")
    step, code, text, explanation = failure(report)
    assert (step, code) == (Step.SETUP, 403)
    assert limited.user in text
    assert "configure" in explanation


def test_many_at_once(vhost: Vhost, registry: Path) -> None:
    """Four set-ups and registrations at the same time, two of them of one name, of which one is refused."""
    settings = vhost.settings(f"sqlite:///{registry}")
    reports: list[StartupReport] = []
    refused: list[str] = []
    together = threading.Barrier(4)

    def stay(service: Service, report: StartupReport) -> None:
        together.wait(20)

    def take(name: str) -> None:
        together.wait(20)
        try:
            reports.append(run_startup(settings, "worker", name, meanwhile=stay))
        except ActionError as e:  # the other one was registered already
            refused.append(str(e))
            together.wait(20)

    threads = [threading.Thread(target=take, args=(name,)) for name in ("a", "b", "c", "c")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    refused += [r.failed.detail for r in reports if r.failed]
    assert [r.ok for r in reports].count(True) == 3
    assert len(refused) == 1
    assert "worker 'c' is running" in refused[0]
    ids = {r.worker.name: r.worker.id for r in reports if r.worker}
    assert sorted(ids) == ["a", "b", "c"]
    assert len(set(ids.values())) == 3
    assert rows(registry) == []
    assert not any(q.startswith("worker.") for q in vhost.names("queues"))


def test_a_second_process_under_one_id_is_noticed(vhost: Vhost, registry: Path) -> None:
    settings = vhost.settings(f"sqlite:///{registry}")
    with Service(settings, "worker", name="w1") as first, Service(settings, "worker", name="w1") as second:
        first.start()
        report = second.start()
    declare, ready = report.result(Step.DECLARE), report.result(Step.READY)
    assert declare is not None
    assert "another process uses this worker id" in declare.detail
    assert ready is not None
    assert ready.detail == "2 consumers on worker.1.executions"


def test_a_worker_that_runs_is_left_alone(start: Start, vhost: Vhost, registry: Path) -> None:
    with Service(vhost.settings(f"sqlite:///{registry}"), "worker", name="w1") as running:
        running.start()
        with pytest.raises(ActionError, match=r"worker .w1. is running: it is active, and its heartbeat is .* old"):
            start()
        with sqlite3.connect(registry) as connection:
            connection.execute("UPDATE worker SET last_heartbeat = '2026-01-01 00:00:00+00:00'")
        with pytest.raises(ActionError, match=r"queue .worker\.1\.executions. has 1 consumer: the service"):
            start()
        assert rows(registry) == [(1, "w1", "active")]
        assert start(worker="another").ok


def test_a_worker_without_a_consumer_is_not_ready(vhost: Vhost, registry: Path) -> None:
    with Service(vhost.settings(f"sqlite:///{registry}", SEPTEMBER), "worker", name="w1") as service:
        for step in service.steps[:-1]:
            assert service.run_step(step, None).status is StepStatus.OK
        consumer = service.state.consumers[0]
        consumer.channel.basic_cancel(consumer.tag)
        result = service.run_step(Step.READY, None)
    assert result.status is StepStatus.FAILED
    assert "counts no consumer on worker.1.executions, although it accepted one" in result.detail


def test_a_queue_that_is_refused_hides_no_consumer_of_another(start: Start, vhost: Vhost, registry: Path) -> None:
    known(registry)
    with vhost.channel() as channel:
        channel.queue_declare("worker.1.executions")
        channel.basic_consume("worker.1.executions", lambda *delivery: None)
        channel.queue_declare("worker.1.packs", exclusive=True)
        with pytest.raises(ActionError, match=r"queue .worker\.1\.executions. has 1 consumer: the service"):
            start(topology=SEPTEMBER, skip=["declare", "bind"])


def known(registry: Path) -> None:
    """Registers the worker w1 as id 1, stopped long ago."""
    database = resolve({"database_url": f"sqlite:///{registry}", "amqp_url": "amqp://u@127.0.0.1"}, {}).registry
    registry_write.deactivate(database, registry_write.register(database, "w1").id)


def test_messages_that_wait_are_not_lost_with_the_queue(start: Start, vhost: Vhost, registry: Path) -> None:
    left_out = ["consume"]
    known(registry)
    assert start("executor").ok  # sets the base infrastructure up
    with vhost.channel() as channel:
        channel.queue_declare("worker.1.executions", auto_delete=True)
        channel.queue_bind("worker.1.executions", "attune.executions", "worker.1")
        for _ in range(3):
            channel.basic_publish("attune.executions", "worker.1", b"x", mandatory=True)
        with pytest.raises(ActionError, match=r"queue 'worker\.1\.executions' has 3 messages"):
            start()
        assert start(skip=left_out).ok
        assert channel.queue_declare("worker.1.executions", passive=True).method.message_count == 3


def test_a_queue_that_cannot_be_looked_at_is_left_to_the_steps(start: Start, vhost: Vhost, registry: Path) -> None:
    known(registry)
    with vhost.channel() as channel:
        channel.queue_declare("worker.1.executions", exclusive=True)
        step, code, _, _ = failure(start())
    assert (step, code) == (Step.DECLARE, 405)


def test_what_it_is_sent_outlives_its_auto_delete_queue(start: Start, vhost: Vhost, registry: Path) -> None:
    def dispatch(service: Service, report: StartupReport) -> None:
        with vhost.channel() as channel:
            for _ in range(15):  # more than its prefetch
                channel.basic_publish("attune.executions", "worker.1", b"x", mandatory=True)

        def full() -> bool:
            service.serve(0.1)
            return sum(service.state.held.values()) == 10

        eventually(full)

    report = start(meanwhile=dispatch)
    assert report.ending is not None
    assert vhost.names("queues") == {q.name for q in load(JANUARY).base_queues} | {KEPT}
    assert any(line.startswith(f"queue {KEPT}: 15 messages") for line in report.ending.left)
    assert rows(registry) == [(1, "w1", "inactive")]
    with vhost.channel() as channel:
        assert channel.queue_declare(KEPT, passive=True).method.message_count == 15
    bindings = vhost.api("GET", "bindings/{vhost}").json()
    assert not [b for b in bindings if b["destination"] == KEPT and b["source"]], "it collects no more"


def test_a_virtual_host_that_is_full_is_explained(start: Start, vhost: Vhost) -> None:
    vhost.api("PUT", "vhost-limits/{vhost}/max-queues", {"value": 1})
    step, code, text, explanation = failure(start("executor"))
    assert (step, code) == (Step.SETUP, 406)
    assert "queue limit in vhost" in text
    assert "has reached its limit of 1 queue" in explanation
