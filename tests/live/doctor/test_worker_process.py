"""Worker processes that are gone or lost their queue: what the doctor says, and that the fix ends healthy.

A command cannot start a process: where only a person can, the test does what the finding says.
"""

from __future__ import annotations

import json
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from attune_ops.doctor.findings import Finding, Severity
from attune_ops.lab.postgres import Postgres
from attune_ops.model.errors import ConfigError
from attune_ops.startup.processes import RunningService, start_service, stop_all
from tests.conftest import lacking
from tests.live.doctor.broken import W1, W2
from tests.live.places import JANUARY, SEPTEMBER, Place, found
from tests.live.screen import copy, healthy, shows
from tests.postgres import SCHEMA, Server
from tests.world import Run, eventually

PERSON = ("Start the worker", "Restart the worker")


@contextmanager
def processes(p: Place, folder: Path, workers: int = 2) -> Iterator[dict[str, RunningService]]:
    """Every service as a process of its own, as in an installation."""
    names = [("executor", "executor"), ("sensor", "sensor"), ("api", "api")]
    names += [("worker", f"w{i}") for i in range(1, workers + 1)]
    if p.settings.topology.name == JANUARY:
        names.remove(("api", "api"))
    running: dict[str, RunningService] = {}
    try:
        for service, name in names:  # one after another, so that w1 gets id 1
            running[name] = start_service(p.settings, service, name, folder / f"{name}.log")
            running[name].wait_for("ready", timeout=60)
        p._registered_long_ago()
        eventually(lambda: not found(p.look(), Severity.ERROR), within=40, every=1)
        yield running
    finally:
        stop_all(running.values())


def one_error(p: Place, code: str, words: str, within: float = 40) -> Finding:
    """Waits until the doctor reports this error, with these words, and no other error."""

    errors: tuple[Finding, ...] = ()

    def seen() -> bool:
        nonlocal errors
        errors = p.look().at_least(Severity.ERROR)
        return [e.code for e in errors] == [code] and words in f"{errors[0].detail}; {errors[0].cause}"

    try:
        eventually(seen, within=within, every=1)
    except AssertionError:
        pytest.fail(f"found {[(e.code, e.detail) for e in errors]}")
    (finding,) = errors
    return finding


def silent_for(p: Place, seconds: int, *names: str) -> None:
    """Sets the last heartbeat of these workers; the test does not wait for as long."""
    for name in names:
        p.sql(f"UPDATE worker SET last_heartbeat = datetime('now', '-{seconds} seconds') WHERE name = '{name}'")


def processes_of(p: Place, run: Run, table: str) -> dict[str, Any]:
    """The column `process` of the workers in that table, by name."""
    rows = json.loads(run(table, "--format", "json", env=p.environment, status=0).stdout)["rows"]
    return {r["name" if table == "workers" else "worker"]: r["process"] for r in rows}


def no_errors(p: Place) -> bool:
    return not found(p.look(), Severity.ERROR)


@pytest.mark.parametrize("topology", [JANUARY, SEPTEMBER])
def test_a_killed_worker(topology: str, place: Callable[..., Place], run: Run, tmp_path: Path) -> None:
    """kill -9: its heartbeat is fresh at first, then old; the first finding is for a person, the second a command."""
    p = place(topology)
    with processes(p, tmp_path) as running:
        running["w2"].kill()
        finding = one_error(p, "AT401" if topology == JANUARY else "AT403", "no connection is listed yet")
        assert finding.remedy.startswith("Run the doctor again after 45 s")
        silent_for(p, 46, "w2")
        # January's queue went with its consumer, September's is durable.
        code = "AT401" if topology == JANUARY else "AT403"
        finding = one_error(p, code, "crashed: no connection")
        shows(p, run, code, "worker 2 (w2)", "crashed: no connection", "→ Start the worker's process again")
        assert finding.commands == ()
        assert finding.remedy.startswith(PERSON)
        assert p.look().findings[0].key == finding.key, "the first finding"
        eventually(lambda: (W2 in p.vhost.names("queues")) is (topology == SEPTEMBER))  # no command made it again

        p.sql("UPDATE worker SET last_heartbeat = datetime('now', '-20 minutes') WHERE name = 'w2'")
        finding = one_error(p, "AT409", "crashed: no connection")
        assert [str(c) for c in finding.commands] == ["attune-ops retire 2 --apply"]
        copy(shows(p, run, "AT409", "crashed: no connection"), "AT409", p, run)
        healthy(p, run)


def test_a_killed_worker_that_is_started_again(place: Callable[..., Place], tmp_path: Path) -> None:
    p = place(SEPTEMBER)
    with processes(p, tmp_path) as running:
        running["w1"].kill()
        one_error(p, "AT403", "worker 1 (w1) does not consume from")
        running["w1"].stop()
        running["w1"] = start_service(p.settings, "worker", "w1", tmp_path / "again.log")
        eventually(lambda: no_errors(p), within=40, every=1)


def test_a_closed_connection(place: Callable[..., Place], run: Run, tmp_path: Path) -> None:
    """The process exits without its connection (`reconnect` is off): a person starts it again."""
    p = place(SEPTEMBER)
    with processes(p, tmp_path) as running:
        eventually(lambda: "attune worker w1" in {c.client_name for c in p.look().facts.actual.connections or ()})
        run("connections", "close", "--apply", "attune worker w1", target=p.vhost, env=p.environment, status=0)
        eventually(lambda: running["w1"].status is not None, within=30)
        silent_for(p, 46, "w1")
        finding = one_error(p, "AT403", "crashed: no connection")
        assert finding.remedy.startswith(PERSON)
        shows(p, run, "AT403", "worker 1 (w1) does not consume from", "crashed: no connection", "→ Start the worker")
        running["w1"].stop()
        running["w1"] = start_service(p.settings, "worker", "w1", tmp_path / "again.log")
        healthy(p, run)


@pytest.mark.parametrize("topology", [JANUARY, SEPTEMBER])
def test_a_queue_deleted_under_a_live_worker(topology: str, place: Callable[..., Place], run: Run) -> None:
    p = place(topology).populate()
    eventually(lambda: no_errors(p), within=30, every=1)
    p.vhost.api("DELETE", f"queues/{{vhost}}/{W1}")
    finding = one_error(p, "AT401", "its queue was deleted under it")
    assert "connected (" in finding.cause
    assert finding.commands == ()
    assert finding.remedy.startswith("Restart the worker")
    (orphan,) = json.loads(run("orphans", "--format", "json", env=p.environment, status=0).stdout)["rows"]
    assert (orphan["queue"], orphan["process"]) == (W1, "connected")
    assert orphan["why"] == "the worker is connected, but its queue was deleted under it or never declared"
    shows(p, run, "AT401", "missing: work for worker 1 (w1)", "its queue was deleted under it", "→ Restart the worker")
    p.services["w1"].disconnect()
    p.start("worker", "w1")
    healthy(p, run)


def test_a_worker_whose_id_was_changed_in_the_registry(place: Callable[..., Place]) -> None:
    """It consumes under its old id: it is restarted, and nobody is told to stop or delete what is live."""
    p = place(SEPTEMBER).populate()
    eventually(lambda: no_errors(p), within=30, every=1)
    p.sql("UPDATE worker SET id = 77 WHERE name = 'w2'")
    finding = one_error(p, "AT401", "it consumes from")
    assert "worker.2.executions" in finding.cause
    assert "its id in the registry was changed" in finding.cause
    assert finding.remedy.startswith("Restart the worker")
    (orphan,) = (f for f in p.look().findings if f.code == "AT407")
    assert orphan.remedy.startswith("Restart the process that consumes from it")
    assert not orphan.commands


def test_heartbeats_in_the_future(place: Callable[..., Place]) -> None:
    """As a worker in another time zone writes them: such a worker appears live for hours after its end."""
    p = place(JANUARY)
    p.start("worker", "w1").disconnect()
    p.sql("UPDATE worker SET last_heartbeat = datetime('now', '+5 hours')")
    (finding,) = p.look(["AT107"]).findings
    assert finding.detail.startswith("the heartbeat of w1 is in the future, by up to ")
    assert 17_900 < finding.evidence["ahead_s"]["w1"] <= 18_000


def lines_of(p: Place, code: str) -> list[str]:
    """The commands that the findings of this check print as their fix."""
    return [str(c) for f in p.look().findings if f.code == code for c in f.commands]


def test_a_printed_fix_declares_no_queue_of_a_crashed_worker(place: Callable[..., Place], run: Run) -> None:
    """Beside it a binding is lost, then an exchange: what is printed for these makes no queue that nobody reads."""
    p = place(JANUARY).populate()
    eventually(lambda: no_errors(p), within=30, every=1)
    p.services["w2"].disconnect()
    eventually(lambda: W2 not in p.vhost.names("queues"))
    binding = f"bindings/{{vhost}}/e/attune.executions/q/{W1}/worker.1"
    for code, broken in (("AT402", binding), ("AT201", "exchanges/{vhost}/attune.executions")):
        p.vhost.api("DELETE", broken)
        lines = eventually(partial(lines_of, p, code), within=30, every=1)
        for line in lines:
            assert run.shell(line, p.environment).returncode == 0, line
        assert p.vhost.api("GET", binding).json(), "the live worker is bound again"
        assert W2 not in p.vhost.names("queues"), code


def test_every_statement_says_whether_the_process_is_connected(place: Callable[..., Place], run: Run) -> None:
    """Two processes of one name, a wrong prefetch, cordoned workers; then one of them is gone."""
    p = place(SEPTEMBER).populate()
    p.start("worker", "w3", prefetch=1)
    first = p.services["w1"]
    p.start("worker", "w1")
    p.sql("UPDATE worker SET cordoned = 1")
    codes = ("AT404", "AT406", "AT411", "AT416")

    def seen() -> dict[str, list[Finding]]:
        there = [f for f in p.look(codes).findings if "unknown" not in f.detail]
        found = {code: [f for f in there if f.code == code] for code in codes}
        return found if all(found.values()) and len(found["AT411"]) == 3 else {}

    found = eventually(seen, within=40, every=1)
    assert {f.evidence["process"] for f in found["AT404"]} == {"connected by 2 connections"}
    assert found["AT404"][0].detail.endswith("; connected by 2 connections")
    assert {f.subject.name for f in found["AT406"] if f.detail.endswith(")")} >= {"worker-3"}
    assert all("; connected (127.0.0.1:" in f.detail for f in (*found["AT406"], *found["AT411"]))
    assert found["AT416"][0].detail.endswith("; 3 connected")
    assert processes_of(p, run, "workers") == dict.fromkeys(("w1", "w2", "w3"), "connected")

    p.services["w2"].disconnect()
    first.disconnect()
    silent_for(p, 46, "w2")

    def gone() -> bool:
        silent_for(p, 46, "w2")
        counts = p.look(("AT416",)).findings[0].evidence["processes"]
        return bool(counts == {"connected": 2, "crashed: no connection": 1})

    eventually(gone, within=40, every=1)
    (cordoned,) = (f for f in p.look(("AT411",)).findings if f.subject.name == "w2")
    assert cordoned.detail.endswith("; crashed: no connection")
    assert processes_of(p, run, "workers")["w2"] == "crashed: no connection"
    p.sql("UPDATE worker SET status = 'inactive' WHERE name = 'w2'")
    assert processes_of(p, run, "orphans")["w2"] in ("crashed: no connection", "no connection")


def test_a_worker_that_reconnects(place: Callable[..., Place]) -> None:
    """Its last heartbeat is 25 s old and its connection is away: it is not called crashed, and nothing restarts it."""
    p = place(SEPTEMBER).populate()
    eventually(lambda: no_errors(p), within=30, every=1)
    key = "execution.dispatch.worker.1"
    p.services["w1"].disconnect()
    p.vhost.api("DELETE", f"bindings/{{vhost}}/e/attune.executions/q/{W1}/{key}")
    silent_for(p, 25, "w1")

    def seen() -> dict[str, Finding]:
        silent_for(p, 25, "w1")
        found = {f.code: f for f in p.look().at_least(Severity.ERROR)}
        return found if {"AT402", "AT403"} <= set(found) else {}

    for finding in eventually(seen, within=30, every=1).values():
        assert "crashed" not in finding.detail + finding.cause
        if finding.code in ("AT402", "AT403"):
            assert "no connection is listed yet" in finding.detail
            assert finding.remedy.startswith("Run the doctor again")
            assert finding.commands == (), "nobody would read what is bound"
    silent_for(p, 46, "w1")
    report = p.look()
    (unbound,) = (f for f in report.findings if f.code == "AT402")
    assert "crashed: no connection" in unbound.detail
    assert unbound.remedy.startswith("Start the worker's process again")
    assert unbound.commands == ()
    p.start("worker", "w1")
    eventually(lambda: no_errors(p), within=30, every=1)


def test_the_registry_is_gone(place: Callable[..., Place], run: Run, tmp_path: Path) -> None:
    """Named first, with what to do; what needs it is skipped and not fine. PostgreSQL is started, as it says there."""
    folder = Path(tempfile.gettempdir(), f"attune-ops-registry-{secrets.token_hex(6)}")
    try:
        server = Postgres(folder)
    except ConfigError as e:
        lacking(f"no PostgreSQL to stop: {e}")
    try:
        server.make()
        server.start()
        with Server(server.url).database(SCHEMA) as url:
            p = place(JANUARY)
            p.use_registry(url)
            p.populate()
            server.stop()
            report = p.look()
            assert report.findings[0].code == "AT103"
            assert {r.code for r in report.not_run} >= {"AT401", "AT403", "AT409"}
            shows(p, run, "AT103", "connection refused", "→ Start the database", status=3)
            server.start()
            healthy(p, run)
            p.close()
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def test_many_killed_workers_are_one_finding(place: Callable[..., Place], run: Run, tmp_path: Path) -> None:
    p = place(JANUARY)
    with processes(p, tmp_path, workers=6) as running:
        for name in ("w1", "w2", "w3", "w4", "w5"):
            running[name].kill()
        silent_for(p, 46, "w1", "w2", "w3", "w4", "w5")
        finding = one_error(p, "AT401", "5 workers have no queues (crashed: no connection): ")
        assert len(finding.subjects) == 5
        p.sql("UPDATE worker SET last_heartbeat = datetime('now', '-20 minutes') WHERE name < 'w6'")
        finding = one_error(p, "AT409", "5 workers are registered as running")
        copy(shows(p, run, "AT409", "5 workers are registered as running"), "AT409", p, run)
        healthy(p, run)
