"""The doctor on the real broker: healthy installations are left in peace, and what it cannot see it says."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import msgspec
import psycopg
import pytest

from attune_ops.doctor.findings import CheckStatus, Report, Severity
from attune_ops.installation import broker_reading as reading
from attune_ops.installation.config import resolve
from attune_ops.ops import Ops
from attune_ops.topology.apply import apply_topology
from tests.live.doctor.broken import EVENTS, EXECUTIONS, W1, lost_binding, missing_worker_queue, nobody_reads
from tests.live.places import Place, found
from tests.live.printed import proves
from tests.world import Run, Users, Vhost, eventually


def status_of(report: Report, code: str) -> tuple[CheckStatus, str | None]:
    """How one check ended, and why it was skipped."""
    (result,) = [r for r in report.results if r.code == code]
    return result.status, result.reason


def seen_by(p: Place, user: Vhost) -> Report:
    """The report that another user gets of a place."""
    options = {"amqp_url": user.amqp_url, "management_url": user.management_url, "database_url": p.database}
    return Ops(resolve(options, {})).doctor()


def test_users_who_see_less_are_told_what_they_do_not_see(place: Callable[..., Place], user: Users) -> None:
    p = place().populate()
    monitoring = seen_by(p, user(p.vhost, tags="monitoring", configure="", write="", read=""))
    assert found(monitoring, Severity.ERROR) == set()
    assert monitoring.status == "degraded", monitoring.facts.missing
    assert status_of(monitoring, "AT105")[0] is CheckStatus.SKIPPED
    assert status_of(monitoring, "AT401")[0] is CheckStatus.PASSED
    assert status_of(monitoring, "AT110")[0] is CheckStatus.PASSED

    own = seen_by(p, user(p.vhost, tags="management"))
    assert found(own, Severity.ERROR) == set()
    assert own.status == "unknown"
    skipped, reason = status_of(own, "AT502")
    assert skipped is CheckStatus.SKIPPED
    assert "monitoring" in (reason or "")
    assert status_of(own, "AT401")[0] is status_of(own, "AT112")[0] is CheckStatus.PASSED
    assert any(f.code == "AT106" for f in own.findings)

    nothing = seen_by(p, user(p.vhost, tags="monitoring", configure=None))
    assert [f.code for f in nothing.at_least(Severity.ERROR)] == ["AT101"]
    assert status_of(nothing, "AT202")[0] is CheckStatus.SKIPPED


def test_what_the_next_version_makes_of_it(place: Callable[..., Place]) -> None:
    p = place().populate()
    now = p.vhost.broker.version
    if now < (4, 0):
        p.vhost.api("PUT", "policies/{vhost}/mirror", {"pattern": "^attune", "definition": {"ha-mode": "all"}})
    near = {"pattern": "^one$", "definition": {"queue-master-locator": "min-masters"}}
    p.vhost.api("PUT", "policies/{vhost}/near", near, ok=(201, 400))  # refused by 4.3
    with p.vhost.channel() as channel:
        channel.queue_declare("one", durable=True)
        channel.basic_qos(prefetch_count=1, global_qos=True)
        channel.basic_consume("one", lambda *_: None)
        expected = {("AT703", "transient_nonexcl_queues")} if now < (4, 3) else set()
        expected |= {("AT705", "mirror")} if now < (4, 0) else set()
        # RabbitMQ 4.0 lists no prefetch of a whole channel.
        expected |= {("AT704", "global_qos" if now < (4, 0) else "queue_master_locator")} if now < (4, 3) else set()

        def upgrade() -> set[tuple[str, str]]:
            return found(p.look(["upgrade"], target_version="4.3"), Severity.WARNING)

        eventually(lambda: upgrade() == expected, within=30)
        merely_noted = p.look(["upgrade"])
        assert found(merely_noted, Severity.WARNING) == set()
        if now >= (4, 0):
            eventually(lambda: transient_queues(p.look(["AT701"])), within=30)


def transient_queues(report: Report) -> bool:
    """Whether it is said which queues are transient, and who consumes from them."""
    (finding,) = [f for f in report.findings if f.subject.name == "transient_nonexcl_queues"]
    assert {W1, "worker.2.executions"} <= set(finding.evidence["queues"])
    return bool(finding.evidence["clients"])


def test_what_cannot_be_reached(place: Callable[..., Place], run: Run) -> None:
    p = place()
    nowhere = {"amqp_url": "amqp://a:b@127.0.0.1:1/", "management_url": "http://127.0.0.1:1"}
    p.settings = resolve(nowhere | {"database_url": "postgresql://a:b@127.0.0.1:1/a"}, {})
    report = p.look()
    assert {code for code, _ in found(report, Severity.ERROR)} == {"AT101", "AT102", "AT103"}
    proves("AT101 config show", p, report, run)
    proves("AT102 config show", p, report, run)
    proves("AT103 config show", p, report, run)


def test_a_node_that_is_full_and_queues_that_are_not_emptied(place: Callable[..., Place], run: Run) -> None:
    p = place().populate()
    p.judged(memory_percent=0, growth=1, redeliveries=0.1, redelivered_percent=1)
    done = threading.Event()
    keeps_returning = threading.Thread(target=fill_and_return, args=(p.vhost, done))
    keeps_returning.start()
    try:
        proves("AT113 queues", p, eventually(lambda: (r := p.look(["AT113"])).findings and r), run)
        proves("AT506 consumers", p, p.look(["AT506"], samples=2), run)
        storm = eventually(lambda: (r := p.look(["AT507"])).findings and r)
        proves("AT507 consumers", p, storm, run)
    finally:
        done.set()
        keeps_returning.join()


def test_growth_is_judged_by_what_the_consumer_processes(place: Callable[..., Place]) -> None:
    p = place()
    apply_topology(p.settings, write=True)
    with p.vhost.channel() as channel:
        for _ in range(500):
            channel.basic_publish("attune.events", "event.created", b"{}")
    done = threading.Event()
    # 20 messages a second come in; a consumer processes 5 of them, later as many as there are.
    slow, fast = threading.Event(), threading.Event()
    threads = [
        threading.Thread(target=publish, args=(p.vhost, done)),
        threading.Thread(target=consume, args=(p.vhost, 0.2, slow)),
    ]
    for thread in threads:
        thread.start()
    try:
        eventually(lambda: p.vhost.api("GET", "consumers/{vhost}").json())
        # On a busy machine the consumer may get nothing done between two samples, or less than it is paused for.
        (finding,) = eventually(
            lambda: [f for f in p.look(["AT506"], samples=2).findings if f.evidence["consumed_per_s"]], within=60
        )
        assert finding.evidence["after"] < 1000, "less than the growth that counts without the consumers' rate"
        assert "so it never drains" in finding.detail
        assert 0 < finding.evidence["consumed_per_s"] < 8
        slow.set()
        threads.append(threading.Thread(target=consume, args=(p.vhost, 0, fast)))
        threads[-1].start()
        eventually(lambda: not p.look(["AT506"], samples=2).findings, within=60)
    finally:
        for event in (done, slow, fast):
            event.set()
        for thread in threads:
            thread.join()


def publish(vhost: Vhost, done: threading.Event) -> None:
    """Publishes 20 messages a second."""
    with vhost.channel() as channel:
        while not done.wait(0.05):
            channel.basic_publish("attune.events", "event.created", b"{}")


def consume(vhost: Vhost, pause: float, done: threading.Event) -> None:
    """Acknowledges one message after the other, with a pause in s after each."""
    with vhost.channel() as channel:
        channel.basic_qos(prefetch_count=10)
        for method, _, _ in channel.consume(EVENTS, inactivity_timeout=0.1):
            if done.wait(pause):
                return
            if method is not None:
                channel.basic_ack(method.delivery_tag)


def fill_and_return(vhost: Vhost, done: threading.Event) -> None:
    """Takes a message and gives it back, for as long as it may; each time there is one more."""
    with vhost.channel() as channel:
        while not done.wait(0.05):
            channel.basic_publish("attune.events", "event.created", b"{}")
            method, _, _ = channel.basic_get(EVENTS)
            if method is not None:
                channel.basic_nack(method.delivery_tag, requeue=True)


def test_a_definitions_file(place: Callable[..., Place], run: Run, tmp_path: Path) -> None:
    p = place().populate()
    lost_binding(p)
    file = tmp_path / "definitions.json"
    file.write_text(p.vhost.api("GET", "definitions/{vhost}").text)
    done = run("doctor", "--from", file, "--format", "json", status=1)
    report = msgspec.json.decode(done.stdout)
    assert [f["code"] for f in report["findings"] if f["severity"] == "error"] == ["AT204"]
    reasons = {c["reason"] for c in report["checks"] if c["status"] == "skipped"}
    assert "a definitions file has no message counts" in reasons
    assert report["target"]["registry"] is None


def test_the_command(place: Callable[..., Place], run: Run, tmp_path: Path) -> None:
    p = place().populate()
    environment = {"ATTUNE_OPS_DATABASE_URL": p.database}
    p.beat()
    baseline = tmp_path / "baseline.json"
    baseline.write_text(run("doctor", "--format", "json", target=p.vhost, env=environment, status=0).stdout)
    run("doctor", "--fail-on", "warning", target=p.vhost, env=environment, status=1)
    done = run("doctor", "--fail-on", "warning", "--baseline", baseline, target=p.vhost, env=environment, status=0)
    assert done.stdout.splitlines()[-1].startswith("√ healthy: ")
    missing_worker_queue(p)
    p.beat()
    arguments = ("doctor", "--baseline", baseline, "--only", "workers,routes", "--wait", "1s")
    done = run(*arguments, target=p.vhost, env=environment, status=1)
    assert "waiting for AT401: worker." in done.stderr
    assert "ERROR    worker." in done.stdout
    assert "is missing: work for worker " in done.stdout
    run("doctor", "--skip", "AT401,AT402,AT301", "--only", "workers", target=p.vhost, env=environment, status=0)
    run("doctor", "--only", "nonsense", target=p.vhost, status=2)
    unreached = {"ATTUNE_OPS_AMQP_URL": "amqp://guest:guest@127.0.0.1:1/", "ATTUNE_OPS_MANAGEMENT_URL": ""}
    assert "AT101" in run("doctor", target=p.vhost, env=unreached, status=3).stdout


def test_executions_against_what_lies_in_the_queues(place: Callable[..., Place], database: str) -> None:
    p = place()
    p.use_registry(database)
    p.populate()
    with psycopg.connect(database, autocommit=True) as connection:
        for status, worker in (("scheduled", 1), ("requested", None), ("running", 2)):
            connection.execute(
                "INSERT INTO attune.execution (action_ref, status, worker, updated) "
                "VALUES ('core.echo', %s::attune.execution_status_enum, %s, now() - interval '1 hour')",
                (status, worker),
            )
    p.services["w2"].stop()
    # Its consumers are listed for some seconds more: it may work on its executions so long.
    report = eventually(lambda: ("AT414", "3") in found(r := p.look(), Severity.ERROR) and r)
    assert {("AT413", "1"), ("AT413", "2")} <= found(report, Severity.ERROR), report.findings
    p.publish("attune.executions", "worker.1", 11)  # one more than its prefetch: the message waits
    report = p.look()  # where the statistics have the messages already, AT505 explains it
    explained = {c.code for f in report.findings if f.code == "AT505" for c in f.consequences}
    assert ("AT413", "1") in found(report, Severity.WARNING) or "AT413" in explained


def test_the_number_of_requests_does_not_grow(
    place: Callable[..., Place], asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "MANY_QUEUES", 10**6)  # another test may have thousands on this broker now
    p = place().populate()
    p.look()
    few = sorted(asked)
    assert 10 < len(few) < 25
    queues = [
        {"name": f"other.{i}", "vhost": p.vhost.name, "durable": True, "auto_delete": False, "arguments": {}}
        for i in range(200)
    ]
    p.vhost.api("POST", "definitions", {"queues": queues})
    asked.clear()
    assert len(p.look().facts.actual.queues or ()) > 200
    assert sorted(asked) == few


def test_many_worker_queues_are_checked_without_their_rates(
    place: Callable[..., Place], monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    p = place().populate()
    monkeypatch.setattr(reading, "MANY_QUEUES", 1)
    report = eventually(lambda: (r := p.look()).facts.actual.queue_named[EXECUTIONS].memory is not None and r)
    assert report.facts.actual.statistics_left_out == 2
    assert found(report, Severity.ERROR) == found(report, Severity.WARNING) == set()
    assert [f.severity for f in report.findings if f.code == "AT115"] == [Severity.INFO]
    named = report.facts.actual.queue_named
    assert (named[W1].memory, named[W1].consumers) == (None, 1)
    proves("AT115 queues", p, report, run)
    nobody_reads(p)
    p.services["w1"].disconnect()
    eventually(lambda: found(p.look(), Severity.ERROR) == {("AT405", EXECUTIONS), ("AT401", W1)})
