"""The doctor on the real broker: broken states are found with the right subject, healthy ones are left in peace.

Statistics are up to 10 s old, so the broken states are all built first, each in a virtual host of its own, and
then looked at until each is seen as it is.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import psycopg
import pytest

from attune_ops.actions import broker as act
from attune_ops.actions.processes import start_service, stop_all
from attune_ops.actions.services.job import Behaviour
from attune_ops.config import resolve
from attune_ops.differences import binding_name
from attune_ops.findings import CheckStatus, Report, Severity
from attune_ops.ops import Ops
from attune_ops.sources import broker as reading
from attune_ops.sources.http import Answer
from attune_ops.sources.pooled_http import PooledHttp
from attune_ops.steps import Step
from attune_ops.topology import Binding, Exchange, Queue
from tests.live.places import JANUARY, SEPTEMBER, Place, found
from tests.world import Broker, Run, Users, Vhost, eventually

EVENTS, EXECUTIONS, NOTIFICATIONS = "attune.events.queue", "attune.executions.queue", "attune.notifications.queue"
W1, W2, W3 = (f"worker.{i}.executions" for i in (1, 2, 3))
DLX = {"x-dead-letter-exchange": "attune.dlx"}


class State(NamedTuple):
    """A way to break a place, and all that the doctor must find of severity error, and of warning."""

    breaks: Callable[[Place], None]
    errors: set[tuple[str, str]]
    warnings: Collection[tuple[str, str]] = ()


def worker_binding(key: str = "worker.1") -> Binding:
    return Binding("attune.executions", W1, key)


def missing_queue(p: Place) -> None:
    p.vhost.api("DELETE", f"queues/{{vhost}}/{EXECUTIONS}")


def missing_worker_queue(p: Place) -> None:
    p.vhost.api("DELETE", f"queues/{{vhost}}/{W1}")


def incident(p: Place) -> None:
    p.start("worker", "w3", ok=False, skip={Step.DECLARE, Step.BIND}).disconnect()


def wrong_key(p: Place) -> None:
    with p.vhost.channel() as channel:
        act.unbind(channel, worker_binding())
        act.bind(channel, worker_binding("worker.l"))


def lost_binding(p: Place) -> None:
    with p.vhost.channel() as channel:
        act.unbind(channel, Binding("attune.executions", EXECUTIONS, "execution"))


def lost_exchange(p: Place) -> None:
    with p.vhost.channel() as channel:
        act.delete_exchange(channel, "attune.executions")


def wrong_type(p: Place) -> None:
    with p.vhost.channel() as channel:
        act.delete_exchange(channel, "attune.notifications")
        act.declare_exchange(channel, Exchange("attune.notifications", "direct"))
        act.bind(channel, Binding("attune.notifications", NOTIFICATIONS, ""))


def wrong_argument(p: Place) -> None:
    with p.vhost.channel() as channel:
        act.delete_queue(channel, NOTIFICATIONS)
        act.declare_queue(channel, Queue(NOTIFICATIONS))
        act.bind(channel, Binding("attune.notifications", NOTIFICATIONS, ""))


def hiding_policy(p: Place) -> None:
    p.vhost.api("PUT", "policies/{vhost}/ttl", {"pattern": "^attune", "definition": {"message-ttl": 60_000}})
    p.vhost.api("PUT", "policies/{vhost}/cap", {"pattern": "", "priority": 9, "definition": {"max-length": 100_000}})


def orphan(p: Place) -> None:
    with p.vhost.channel() as channel:
        act.declare_queue(channel, Queue("worker.99.executions", durable=False, auto_delete=True))
        act.bind(channel, Binding("attune.executions", "worker.99.executions", "worker.99"))
    p.publish("attune.executions", "worker.99", 2)


def nobody_reads(p: Place) -> None:
    p.services["executor"].disconnect()
    p.publish("attune.executions", "execution", 3)


def held(p: Place) -> None:
    p.judged(held_s=1)
    p.publish("attune.executions", "worker.1", 2)


def stuck(p: Place) -> None:
    p.judged(stuck_consumer_s=1)
    p.publish("attune.executions", "worker.1", 14)


def two_processes(p: Place) -> None:
    p.start("worker", "w1")


def died(p: Place) -> None:
    p.services["w2"].disconnect()
    p.sql("UPDATE worker SET last_heartbeat = '2026-01-01 00:00:00' WHERE id = 2")


def heartbeat_lost(p: Place) -> None:
    p.sql("UPDATE worker SET last_heartbeat = '2026-01-01 00:00:00' WHERE id = 2")


def stops_before_consume(p: Place) -> None:
    p.start("worker", "w3", skip={Step.CONSUME})


def dead_letter_loop(p: Place) -> None:
    with p.vhost.channel() as channel:
        act.bind(channel, Binding("attune.dlx", EVENTS, "event.created"))


def other_release(p: Place) -> None:
    with p.vhost.channel() as channel:
        act.declare_queue(channel, Queue("attune.enforcements.queue", arguments=dict(DLX)))
        act.bind(channel, Binding("attune.executions", "attune.enforcements.queue", "enforcement"))


def small_prefetch(p: Place) -> None:
    p.start("worker", "w3", prefetch=1)


def unconsumed(p: Place) -> None:
    worker = p.services["w1"]
    act.cancel(worker.attached[0].channel, worker.attached[0].tag)


def stopped_worker(p: Place) -> None:
    p.services["w2"].stop()
    p.publish("attune.events", "pack.registered", 2)


STATES = {
    "missing queue": State(missing_queue, {("AT202", EXECUTIONS)}),
    "missing worker queue": State(missing_worker_queue, {("AT401", W1)}),
    "the incident": State(incident, {("AT401", W3)}),
    "wrong key": State(wrong_key, {("AT402", binding_name("attune.executions", W1, "worker.1"))}),
    "lost binding": State(lost_binding, {("AT204", binding_name("attune.executions", EXECUTIONS, "execution"))}),
    "lost exchange": State(lost_exchange, {("AT201", "attune.executions")}),
    "wrong type": State(wrong_type, {("AT205", "attune.notifications")}),
    "wrong argument": State(wrong_argument, {("AT206", NOTIFICATIONS)}),
    "hiding policy": State(hiding_policy, set(), {("AT211", "cap")}),
    "orphan": State(orphan, {("AT408", "worker.99.executions")}),
    "nobody reads": State(nobody_reads, {("AT405", EXECUTIONS)}),
    "held": State(held, set(), {("AT502", W1)}),
    "stuck": State(stuck, {("AT505", W1)}),
    "two processes": State(two_processes, {("AT404", "w1")}),
    "died": State(died, {("AT409", "w2")}),
    "heartbeat lost": State(heartbeat_lost, set(), {("AT410", "w2")}),
    "stops before consume": State(stops_before_consume, {("AT403", W3)}),
    "dead-letter loop": State(
        dead_letter_loop, set(), {("AT207", binding_name("attune.dlx", EVENTS, "event.created"))}
    ),
    "other release": State(other_release, set(), {("AT412", "attune.enforcements.queue")}),
    "small prefetch": State(small_prefetch, set(), {("AT406", "worker-3")}),
    "unconsumed, September": State(unconsumed, {("AT503", "worker-1")}),
    "stopped worker, September": State(stopped_worker, {("AT407", "worker.2.executions")}),
}


@pytest.fixture
def place(broker: Broker, tmp_path: Path) -> Iterator[Callable[..., Place]]:
    """`place(topology)` makes a virtual host of its own in which the topology's services can run."""
    with ExitStack() as stack:

        def make(topology: str = JANUARY) -> Place:
            made = Place(stack.enter_context(broker.vhost()), tmp_path, topology)
            stack.callback(made.close)
            return made

        yield make


def test_broken_states(place: Callable[..., Place], run: Run) -> None:
    """Each broken state gives its findings and no other of severity error or warning; printed commands cure it."""
    places = {name: place(SEPTEMBER if "September" in name else JANUARY).populate() for name in STATES}
    for name, p in places.items():
        STATES[name].breaks(p)
    unseen = dict(STATES)

    def all_seen() -> bool:
        for name, state in list(unseen.items()):
            report = places[name].look()
            if found(report, Severity.ERROR) == state.errors and found(report, Severity.WARNING) == set(state.warnings):
                del unseen[name]
        return not unseen

    try:
        eventually(all_seen, within=45, every=1)
    except AssertionError:
        said = {n: (found(r, Severity.ERROR), found(r, Severity.WARNING)) for n in unseen if (r := places[n].look())}
        pytest.fail(f"found otherwise: {said}")
    for name, p in places.items():
        cure(p, p.look(), STATES[name].errors, run)


def cure(p: Place, report: Report, causes: set[tuple[str, str]], run: Run) -> None:
    """Runs every command that the findings print, as printed, and looks whether these findings are gone."""
    cured = {(f.code, f.subject.name): f.commands for f in report.findings if f.commands}
    assert set(cured) <= causes
    environment = {"ATTUNE_OPS_DATABASE_URL": p.database, "ATTUNE_OPS_TOPOLOGY": p.settings.topology.name}
    for commands in cured.values():
        for command in commands:
            program, *arguments = shlex.split(command)
            assert program == "attune-ops"
            run(*arguments, target=p.vhost, env=environment)
    if cured:
        eventually(lambda: not set(cured) & found(p.look(), Severity.ERROR))


def share(vhost: Vhost) -> None:
    """Puts somebody else's objects into the virtual host: a backlog nobody reads, an idle exchange, a tap."""
    with vhost.channel() as channel:
        for name in ("shop.orders", "shop.unused"):
            channel.exchange_declare(name, "topic", durable=True)
        channel.queue_declare("shop.orders", durable=True, arguments={"x-dead-letter-exchange": "shop.nowhere"})
        channel.queue_bind("shop.orders", "shop.orders", "#")
        channel.queue_declare("shop.tap", durable=True)
        channel.queue_bind("shop.tap", "attune.events", "event.*")
        for _ in range(20):
            channel.basic_publish("shop.orders", "new", b"{}")
    vhost.api("PUT", "policies/{vhost}/shop", {"pattern": "^shop", "definition": {"max-length": 50}})


@pytest.mark.parametrize("topology", [JANUARY, SEPTEMBER])
def test_healthy_under_load_and_beside_others(place: Callable[..., Place], topology: str, tmp_path: Path) -> None:
    p = place(topology)
    services = [
        start_service(p.settings, service, name, tmp_path / f"{name}.log", behaviour)
        for service, name, behaviour in (
            ("executor", "executor", Behaviour(rate=20)),
            ("sensor", "sensor", Behaviour(rate=20)),
            ("worker", "w1", Behaviour(handler_s=0.01)),
            ("worker", "w2", Behaviour(handler_s=0.01)),
        )
    ]
    try:
        for service in services:
            service.wait_for("ready", timeout=30)
        share(p.vhost)
        for _ in range(8):
            report = p.look()
            assert (found(report, Severity.ERROR), found(report, Severity.WARNING)) == (set(), set())
            assert report.status == "degraded"
            assert "nothing on the broker is amiss" in report.verdict
        grows = Ops(p.settings).doctor(samples=2)
        assert found(grows, Severity.ERROR) == set()
    finally:
        stop_all(services)


def status_of(report: Report, code: str) -> tuple[CheckStatus, str | None]:
    """How one check ended, and why it could not look."""
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


def test_a_definitions_file(place: Callable[..., Place], run: Run, tmp_path: Path) -> None:
    p = place().populate()
    lost_binding(p)
    file = tmp_path / "definitions.json"
    file.write_text(p.vhost.api("GET", "definitions/{vhost}").text)
    done = run("doctor", "--from", file, "--format", "json", status=1)
    report = msgspec.json.decode(done.stdout)
    assert [f["code"] for f in report["findings"] if f["severity"] == "error"] == ["AT204"]
    reasons = {c["reason"] for c in report["checks"] if c["status"] == "skipped"}
    assert "a definitions file holds no message counts" in reasons
    assert report["target"]["registry"] is None


def test_the_command(place: Callable[..., Place], run: Run, tmp_path: Path) -> None:
    p = place().populate()
    environment = {"ATTUNE_OPS_DATABASE_URL": p.database}
    baseline = tmp_path / "baseline.json"
    baseline.write_text(run("doctor", "--format", "json", target=p.vhost, env=environment, status=0).stdout)
    run("doctor", "--fail-on", "warning", target=p.vhost, env=environment, status=1)
    done = run("doctor", "--fail-on", "warning", "--baseline", baseline, target=p.vhost, env=environment, status=0)
    assert done.stdout.splitlines()[-1].startswith("√ healthy: ")
    missing_worker_queue(p)
    arguments = ("doctor", "--baseline", baseline, "--only", "workers,routes", "--wait", "1s")
    done = run(*arguments, target=p.vhost, env=environment, status=1)
    assert "waiting for AT401 every live worker has its queues" in done.stderr
    assert "× error   AT401" in done.stdout
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
        connection.execute("UPDATE attune.worker SET status = 'inactive' WHERE id = 2")
    report = p.look()
    assert {("AT413", "1"), ("AT413", "2"), ("AT414", "3")} <= found(report, Severity.ERROR)
    p.publish("attune.executions", "worker.1", 11)  # one more than its prefetch: the message waits
    assert ("AT413", "1") in found(p.look(), Severity.WARNING)


def test_the_number_of_requests_does_not_grow(place: Callable[..., Place], monkeypatch: pytest.MonkeyPatch) -> None:
    p, asked = place().populate(), list[str]()
    request = PooledHttp.request

    def counted(self: PooledHttp, method: str, path: str, *more: Any, **options: Any) -> Answer:
        asked.append(path)
        return request(self, method, path, *more, **options)

    monkeypatch.setattr(PooledHttp, "request", counted)
    p.look()
    few = sorted(asked)
    assert 10 < len(few) < 20
    queues = [
        {"name": f"other.{i}", "vhost": p.vhost.name, "durable": True, "auto_delete": False, "arguments": {}}
        for i in range(200)
    ]
    p.vhost.api("POST", "definitions", {"queues": queues})
    asked.clear()
    assert len(p.look().facts.seen.queues or ()) > 200
    assert sorted(asked) == few


def test_a_crowd_of_workers_is_judged_without_their_rates(
    place: Callable[..., Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    p = place().populate()
    monkeypatch.setattr(reading, "CROWD", 1)
    report = eventually(lambda: (r := p.look()).facts.seen.queue_named[EXECUTIONS].memory is not None and r)
    assert report.facts.seen.statistics_left_out == 2
    assert found(report, Severity.ERROR) == found(report, Severity.WARNING) == set()
    assert [f.severity for f in report.findings if f.code == "AT115"] == [Severity.INFO]
    named = report.facts.seen.queue_named
    assert (named[W1].memory, named[W1].consumers) == (None, 1)
    nobody_reads(p)
    p.services["w1"].disconnect()
    eventually(lambda: found(p.look(), Severity.ERROR) == {("AT405", EXECUTIONS), ("AT401", W1)})
