"""A registry that nobody configured, or of another installation, harms no worker that runs."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from attune_ops.startup.service import Service
from tests.live.places import Place
from tests.world import Run, Vhost, eventually

QUEUE = "worker.1.executions"
ASKING = (["startup"], ["reap", "--grace", "0s", "--apply"], ["retire", "--apply"], ["orphans"])


@pytest.fixture
def running(vhost: Vhost, tmp_path: Path) -> Iterator[Service]:
    """Worker 1 of the real registry, at work."""
    with Service(vhost.settings(f"sqlite:///{tmp_path}/real.sqlite"), "worker", name="real") as service:
        assert service.start().ok
        eventually(lambda: vhost.api("GET", "consumers/{vhost}").json())
        yield service


def consumers(service: Service) -> int:
    return int(service.state.channel.queue_declare(QUEUE, passive=True).method.consumer_count)


@pytest.mark.parametrize("command", ASKING, ids=lambda c: c[0])
def test_no_registry_is_invented(run: Run, vhost: Vhost, running: Service, command: list[str]) -> None:
    done = run(*command, target=vhost, status=2)
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        "attune-ops: no worker registry is configured; give --database-url (ATTUNE_OPS_DATABASE_URL)"
    ]
    assert not list(run.folder.rglob("*.sqlite")) + list(Path(run.base["HOME"]).rglob("*.sqlite"))
    assert consumers(running) == 1


@pytest.mark.parametrize("command", ASKING, ids=lambda c: c[0])
@pytest.mark.parametrize("other", ["other ids", "stopped", "empty"])
def test_the_registry_of_another_installation_is_refused(
    run: Run, vhost: Vhost, running: Service, command: list[str], other: str, tmp_path: Path
) -> None:
    file = tmp_path / "other.sqlite"
    with (
        vhost.broker.vhost() as elsewhere,
        Service(elsewhere.settings(f"sqlite:///{file}"), "worker", name="w") as service,
    ):
        assert service.start().ok
    with sqlite3.connect(file) as connection:
        if other == "empty":
            connection.execute("DELETE FROM worker")
        elif other == "other ids":
            connection.execute("UPDATE worker SET id = 77, status = 'active'")
        else:  # what a start-up in a registry of our own left
            connection.execute("UPDATE worker SET last_heartbeat = '2026-01-01 00:00:00+00:00'")
        before = connection.execute("SELECT * FROM worker").fetchall()
    env = {"ATTUNE_OPS_DATABASE_URL": f"sqlite:///{file}"}
    done = run(*command, target=vhost, env=env, status=2)
    assert done.stdout == ""
    assert "check --database-url" in done.stderr
    assert consumers(running) == 1
    with sqlite3.connect(file) as connection:
        assert connection.execute("SELECT * FROM worker").fetchall() == before


def test_its_queue_is_refused_where_the_management_api_is_down(
    run: Run, vhost: Vhost, running: Service, tmp_path: Path
) -> None:
    env = {"ATTUNE_OPS_DATABASE_URL": f"sqlite:///{tmp_path}/other.sqlite"}
    down = ("--management-url", "http://127.0.0.1:1")
    done = run("startup", "--worker", "any", "--format", "json", *down, target=vhost, env=env, status=1)
    (failed,) = [s for s in json.loads(done.stdout)["steps"] if s["status"] == "failed"]
    assert failed["step"] == "register"
    assert f"queue '{QUEUE}' has 1 consumer" in failed["detail"]
    assert consumers(running) == 1
    with sqlite3.connect(tmp_path / "other.sqlite") as connection:
        assert connection.execute("SELECT name FROM sqlite_master WHERE name = 'worker'").fetchall() == []


def test_a_queue_with_a_consumer_is_refused_for_every_service(run: Run, place: Callable[..., Place]) -> None:
    p = place()
    p.start("executor")
    with p.vhost.channel() as channel:
        done = run("startup", "--service", "executor", env=p.environment, status=1)
        assert "queue 'attune.executions.queue' has 3 consumers" in done.stderr
        assert done.stdout == ""
        assert channel.queue_declare("attune.executions.queue", passive=True).method.consumer_count == 3


def test_the_registry_of_its_workers_is_accepted(run: Run, vhost: Vhost, running: Service, tmp_path: Path) -> None:
    env = {"ATTUNE_OPS_DATABASE_URL": f"sqlite:///{tmp_path}/real.sqlite"}
    run("orphans", target=vhost, env=env, status=0)
    run("startup", "--worker", "w2", target=vhost, env=env, status=0)
    assert consumers(running) == 1


@pytest.mark.parametrize(
    ("table", "says"),
    [("other (id INTEGER)", "no table worker"), ("worker (id INTEGER, colour TEXT)", "has no column")],
)
def test_a_database_that_is_not_attunes_is_not_to_be_started(
    run: Run, vhost: Vhost, tmp_path: Path, table: str, says: str
) -> None:
    """It answers: the fix is another database or schema."""
    with sqlite3.connect(tmp_path / "other.sqlite") as connection:
        connection.execute(f"CREATE TABLE {table}")
    env = {"ATTUNE_OPS_DATABASE_URL": f"sqlite:///{tmp_path}/other.sqlite"}
    done = run("doctor", "--only", "AT103", "--format", "json", target=vhost, env=env, status=3)
    (finding,) = json.loads(done.stdout)["findings"]
    assert says in finding["detail"]
    assert finding["remedy"].startswith("The database answers, but ")
