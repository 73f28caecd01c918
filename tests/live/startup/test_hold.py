"""`startup --hold`: a dry run first, without work from the scheduler, and nothing lost however it ends."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pika.exceptions
import psycopg
import pytest

from attune_ops.installation import registry_write
from attune_ops.installation.config import resolve
from attune_ops.lab import Lab
from attune_ops.model.topologies import load
from attune_ops.startup.processes import start_service
from attune_ops.startup.standins.job import Behaviour
from tests import postgres as pg
from tests.migrations import JANUARY as JANUARY_TABLES
from tests.migrations import RELEASE_0_6 as RELEASE_0_6_TABLES
from tests.world import Run, Vhost, eventually

JANUARY, RELEASE_0_6 = "attune-2026-01", "attune-0.6"
TOPOLOGIES = [JANUARY, "attune-2026-09", RELEASE_0_6]
QUEUE, KEPT = "worker.1.executions", "attune-ops.kept.worker.1.executions"
HOLD = ("startup", "--worker", "w1", "--hold", "--apply")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The file of a registry of the test's own."""
    return tmp_path / "registry.sqlite"


def environment(file: Path, topology: str) -> dict[str, str]:
    return {"ATTUNE_OPS_DATABASE_URL": f"sqlite:///{file}", "ATTUNE_OPS_TOPOLOGY": topology}


def rows(file: Path, columns: str = "id, name, status") -> list[tuple[Any, ...]]:
    with contextlib.closing(sqlite3.connect(file)) as connection:
        return connection.execute(f"SELECT {columns} FROM worker ORDER BY id").fetchall()


def wait_until_held(process: subprocess.Popen[str]) -> None:
    """Reads what it prints until it holds."""
    assert process.stderr is not None
    line = process.stderr.readline()
    assert "running until Ctrl-C" in line, line + process.stderr.read()


class Sender(threading.Thread):
    """Sends numbered messages to worker 1, mandatory and confirmed, until it is stopped; counts each outcome."""

    def __init__(self, vhost: Vhost, topology: str) -> None:
        super().__init__(daemon=True)
        self._vhost, self._ends = vhost, threading.Event()
        to_worker = [
            p for p, i in load(topology).publishes_of((1,)) if i == 1 and p.message_type == "ExecutionRequested"
        ]
        self.exchange, self.key = to_worker[0].exchange, to_worker[0].routing_key
        self.confirmed: list[str] = []
        self.nacked: list[str] = []  # as RabbitMQ 4 answers where one of the two queues is deleted under a message
        self.returned = 0

    def run(self) -> None:
        properties = pika.BasicProperties(delivery_mode=2)
        with self._vhost.channel() as channel:
            number = 0
            while not self._ends.is_set():
                number += 1
                try:
                    channel.basic_publish(self.exchange, self.key, str(number).encode(), properties, mandatory=True)
                    self.confirmed.append(str(number))
                except pika.exceptions.NackError:
                    self.nacked.append(str(number))
                except pika.exceptions.UnroutableError:
                    self.returned += 1
                time.sleep(0.005)

    def __enter__(self) -> Sender:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ends.set()
        self.join(20)


def drained(vhost: Vhost) -> Iterator[tuple[str, str]]:
    """Queue and body of every message in the virtual host."""
    for queue in sorted(vhost.names("queues")):
        with vhost.channel() as channel:
            while True:
                method, _, body = channel.basic_get(queue, auto_ack=True)
                if method is None:
                    break
                yield queue, body.decode()


@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_it_is_a_dry_run_until_apply(run: Run, vhost: Vhost, file: Path, topology: str) -> None:
    env = environment(file, topology)
    done = run(*HOLD[:4], target=vhost, env=env, status=0)
    assert "dry run: nothing was changed" in done.stderr
    assert "dry run: would register" in done.stdout or "dry run: would add a row" in done.stdout
    assert "worker.?.executions" in done.stdout
    assert vhost.names("queues") == set()
    assert not [n for n in vhost.names("exchanges") if n.startswith("attune")]
    assert not file.exists()
    planned = run(*HOLD[:4], "--format", "json", target=vhost, env=env, status=0)
    assert '"status": "ok"' in planned.stdout, "the connect step is taken"


def test_a_dry_run_refuses_what_would_do_harm(run: Run, vhost: Vhost, file: Path) -> None:
    env = environment(file, JANUARY)
    with run.start(*HOLD, target=vhost, env=env) as process:
        wait_until_held(process)
        done = run(*HOLD[:4], target=vhost, env=env, status=1)
    assert "worker 'w1' is running" in done.stderr
    down = {"ATTUNE_OPS_AMQP_URL": "amqp://u@127.0.0.1:1/", "ATTUNE_OPS_MANAGEMENT_URL": "http://127.0.0.1:1"}
    assert "connection refused" in run(*HOLD[:4], env=env | down, status=3).stdout


@pytest.mark.slow
def test_on_a_lab_it_holds_at_once(run: Run, own_lab: Lab) -> None:
    env = {"XDG_STATE_HOME": os.environ["XDG_STATE_HOME"]}
    with run.start(*HOLD[:4], "--lab", own_lab.name, env=env) as process:
        wait_until_held(process)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_what_it_made_is_gone_afterwards(
    run: Run, vhost: Vhost, file: Path, topology: str, number: signal.Signals
) -> None:
    with run.start(*HOLD, target=vhost, env=environment(file, topology)) as process:
        wait_until_held(process)
        assert {q.name for q in load(topology).worker_queues(1)} <= vhost.names("queues")
        process.send_signal(number)
        out, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "its new row is deleted" in out
    assert rows(file) == []
    assert vhost.names("queues") == {q.name for q in load(topology).common_queues}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_every_message_outlives_it(run: Run, vhost: Vhost, file: Path, topology: str, number: signal.Signals) -> None:
    """A sender that does not care for the cordon: each message that the broker confirmed is in a queue afterwards."""
    auto_delete = load(topology).worker_queues(1)[0].auto_delete
    with run.start(*HOLD, target=vhost, env=environment(file, topology)) as process:
        wait_until_held(process)
        with Sender(vhost, topology) as sender:
            eventually(lambda: len(sender.confirmed) > 50)
            process.send_signal(number)
            out, said = process.communicate(timeout=60)
            time.sleep(0.3)
    assert process.returncode == (-number if number == signal.SIGKILL else 130), said
    found = Counter(drained(vhost))
    kept = KEPT if auto_delete else QUEUE
    nacked = {(kept, body) for body in sender.nacked}
    assert Counter({m: n for m, n in found.items() if m not in nacked}) == Counter((kept, b) for b in sender.confirmed)
    assert len(nacked) <= 1
    if number == signal.SIGKILL:
        return
    assert f"queue {kept}" in out
    assert "To delete it when they are handled: DELETE FROM worker WHERE id = 1" in out
    assert rows(file, "status, cordoned") == [("inactive", 1)]
    if auto_delete:
        assert sender.returned, "the worker is gone, and nothing collects for it any more"


@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_what_a_kill_left_is_cleaned_by_the_next_start_up(run: Run, vhost: Vhost, file: Path, topology: str) -> None:
    env = environment(file, topology)
    with run.start(*HOLD, target=vhost, env=env) as process:
        wait_until_held(process)
        process.kill()
        process.communicate(timeout=60)
    assert rows(file) == [(1, "w1", "active")]
    with sqlite3.connect(file) as connection:  # 90 s later
        connection.execute("UPDATE worker SET last_heartbeat = ?", (str(datetime.now(UTC) - timedelta(seconds=91)),))
    eventually(lambda: not vhost.api("GET", "consumers/{vhost}").json())
    run("startup", "--worker", "w1", target=vhost, env=env, status=0)
    assert rows(file) == []
    assert vhost.names("queues") == {q.name for q in load(topology).common_queues}


def test_a_known_row_that_an_earlier_release_left_cordoned(run: Run, vhost: Vhost, file: Path) -> None:
    """An earlier release of attune-ops wrote to known rows, so a killed run of it left the worker cordoned."""
    database = resolve({"database_url": f"sqlite:///{file}", "amqp_url": "amqp://u@127.0.0.1"}, {}).registry
    registry_write.deactivate(database, registry_write.register(database, "w1", host="node-7", concurrency=32).id)
    with sqlite3.connect(file) as connection:
        connection.execute(
            "UPDATE worker SET status = 'active', cordoned = 1, cordon_reason = 'attune-ops startup', "
            "last_heartbeat = '2026-01-01 00:00:00+00:00'"
        )
    run("startup", "--worker", "w1", target=vhost, env=environment(file, RELEASE_0_6), status=0)
    assert rows(file, "id, host, status, cordoned, cordon_reason") == [(1, "node-7", "inactive", 0, None)]


@pytest.mark.parametrize("topology", [JANUARY, RELEASE_0_6])
def test_the_scheduler_sends_it_nothing(run: Run, vhost: Vhost, file: Path, tmp_path: Path, topology: str) -> None:
    settings = vhost.settings(f"sqlite:///{file}", topology)
    with run.start(*HOLD, target=vhost, env=environment(file, topology)) as process:
        wait_until_held(process)
        behaviour = Behaviour(rate=50, count=20)
        with start_service(settings, "executor", "executor", tmp_path / "executor.jsonl", behaviour) as executor:
            eventually(lambda: [e for e in executor.events() if e["event"] == "no_worker"])
        assert not [e for e in executor.events() if ".worker." in str(e.get("routing_key"))]
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=60)
    assert "its new row is deleted" in out


@pytest.mark.parametrize(
    ("tables", "held"),
    [(JANUARY_TABLES, ("inactive", None)), (RELEASE_0_6_TABLES, ("active", True))],
    ids=["january", "0.6"],
)
def test_on_each_release_s_tables(
    run: Run, vhost: Vhost, postgres: pg.Server, tables: str, held: tuple[str, bool | None]
) -> None:
    """January cannot cordon: the row is inactive instead, and stays so with each heartbeat."""
    with postgres.database(tables) as url:
        config = run.folder / "attune-ops.toml"
        config.touch(0o600)
        config.write_text(
            f'default_env = "x"\n[env.x]\namqp_url = "{vhost.amqp_url}"\nmanagement_url = "{vhost.management_url}"\n'
            f'database_url = "{url}"\nheartbeat_interval = 0.3\ntopology = "{JANUARY}"\n'
        )
        cordoned = "NULL::boolean" if held[1] is None else "cordoned"
        with psycopg.connect(url, autocommit=True) as connection:
            with run.start(*HOLD) as process:
                wait_until_held(process)
                sql = f"SELECT status, {cordoned}, last_heartbeat FROM attune.worker"
                first = connection.execute(sql).fetchone()
                assert first is not None
                later = eventually(lambda: [r for r in connection.execute(sql).fetchall() if r[2] > first[2]])
                assert later[0][:2] == first[:2] == held
                process.send_signal(signal.SIGTERM)
                _, said = process.communicate(timeout=60)
            assert process.returncode == 130, said
            assert connection.execute("SELECT count(*) FROM attune.worker").fetchone() == (0,)
