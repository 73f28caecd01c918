"""Health of workers, broker and routes on a real broker, through the command, and how long a look takes."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pika
import pytest

import attune_ops
from attune_ops.model.topologies import load
from attune_ops.model.topology import Topology
from tests.world import COMMAND, Run, Users, Vhost, eventually

QUEUE = "worker.1.executions"


@dataclass(frozen=True)
class Worker:
    """Worker 1 as a running process leaves it on the broker and in the registry, with nothing but pika."""

    run: Run
    vhost: Vhost
    topology: Topology
    registry: Path
    connection: pika.BlockingConnection

    @property
    def env(self) -> dict[str, str]:
        """What points the command here."""
        return {"ATTUNE_OPS_DATABASE_URL": f"sqlite:///{self.registry}", "ATTUNE_OPS_TOPOLOGY": self.topology.name}

    def health(self, *options: str, status: int, who: str = "w1") -> str:
        """What `health worker` says, in its one line."""
        done = self.run("health", "worker", who, *options, target=self.vhost, env=self.env, status=status)
        said = done.stdout or done.stderr
        assert said.count("\n") == 1, said
        return said

    def sick(self, who: str = "w1") -> str:
        """Why it is not healthy."""
        return self.health(status=1, who=who).removeprefix("not healthy: worker ")

    def until(self, words: str) -> None:
        """Looks until these words are said: statistics take up to 10 s."""
        command = ("health", "worker", "1")
        eventually(lambda: words in self.run(*command, target=self.vhost, env=self.env).stdout, within=25)

    def update(self, **columns: object) -> None:
        """Changes the row in the registry."""
        with contextlib.closing(sqlite3.connect(self.registry)) as connection, connection:
            sets = ", ".join(f"{column} = ?" for column in columns)
            connection.execute(f"UPDATE worker SET {sets}", tuple(columns.values()))


def beat(age: float = 0) -> str:
    return (datetime.now(UTC) - timedelta(seconds=age)).isoformat()


@contextlib.contextmanager
def working(run: Run, vhost: Vhost, name: str, registry: Path) -> Iterator[Worker]:
    topology = load(name)
    connection = pika.BlockingConnection(pika.URLParameters(vhost.amqp_url))
    channel = connection.channel()
    for exchange in topology.exchanges:
        channel.exchange_declare(exchange.name, exchange.type, durable=exchange.durable)
    for queue in topology.worker_queues(1):
        channel.queue_declare(
            queue.name, durable=queue.durable, auto_delete=queue.auto_delete, arguments=dict(queue.arguments)
        )
    for binding in topology.worker_bindings(1):
        channel.queue_bind(binding.destination, binding.source, binding.routing_key)
    for consumer in topology.worker_consumers(1):
        channel.basic_consume(consumer.queue, lambda *_: None, consumer_tag=consumer.tag)
    with contextlib.closing(sqlite3.connect(registry)) as made, made:
        made.execute(
            "CREATE TABLE worker (id INTEGER PRIMARY KEY, name TEXT, worker_role TEXT, status TEXT, "
            "last_heartbeat TEXT, cordoned INTEGER, updated TEXT)"
        )
        made.execute("INSERT INTO worker VALUES (1, 'w1', 'action', 'active', ?, 0, NULL)", (beat(),))
    try:
        yield Worker(run, vhost, topology, registry, connection)
    finally:
        if connection.is_open:
            connection.close()


@pytest.fixture
def worker(run: Run, vhost: Vhost, tmp_path: Path) -> Iterator[Worker]:
    """A healthy worker of the January topology."""
    with working(run, vhost, "attune-2026-01", tmp_path / "registry.sqlite") as made:
        yield made


@pytest.mark.parametrize("name", ["attune-2026-01", "attune-2026-09"])
def test_healthy(run: Run, vhost: Vhost, tmp_path: Path, name: str) -> None:
    with working(run, vhost, name, tmp_path / "r.sqlite") as worker:
        said = worker.health("--wait", "30s", status=0)
        assert said.startswith("healthy: worker 1 (w1): heartbeat ")
        for queue in worker.topology.worker_queues(1):
            assert f"{queue.name} bound (" in said
        for consumer in worker.topology.worker_consumers(1):
            assert f"consumer {consumer.tag}" in said
        assert worker.health(status=0, who="1").startswith("healthy: worker 1 (w1)")
        found = json.loads(run("health", "worker", "1", "--format", "json", target=vhost, env=worker.env).stdout)
        assert (found["schema"], found["healthy"], found["reasons"]) == ("attune-ops/health/1", True, [])
        ops = attune_ops.connect(
            amqp_url=vhost.amqp_url, management_url=vhost.management_url,
            database_url=worker.env["ATTUNE_OPS_DATABASE_URL"], topology=name,
        )  # fmt: skip
        assert list(ops.health.worker("w1").seen[1:]) == found["seen"][1:]
        assert ops.health.broker().healthy
        assert ops.health.route("attune.executions", "worker.none").reasons
        assert not ops.health.worker("w9", wait=0.1).healthy


def test_each_way_to_be_sick(worker: Worker) -> None:
    """One worker, broken and mended step by step: a worker's statistics take up to 10 s to appear."""
    worker.health("--wait", "30s", status=0)

    worker.update(last_heartbeat=beat(600))
    assert re.search(r"heartbeat 10 min( \d s)? ago \(stale: more than 90 s\)", worker.sick())
    worker.update(last_heartbeat=None)
    assert "heartbeat never sent" in worker.sick()
    worker.update(last_heartbeat=beat(), status="inactive", updated=beat(60))
    assert "status is inactive, but it consumes and sends heartbeats (last " in worker.sick()
    worker.update(last_heartbeat=beat(20), updated=beat())  # its consumer is listed for up to 10 s more
    assert "status is inactive (stopped cleanly)" in worker.sick()
    worker.update(last_heartbeat=beat(1200), updated=beat(1100))
    assert "status is inactive (crashed: its heartbeat stopped)" in worker.sick()
    worker.update(last_heartbeat=beat())
    worker.update(status="active", cordoned=1)
    assert "cordoned: it receives no new work" in worker.health(status=0)
    assert "not registered (registry sqlite:///" in worker.sick(who="w2")

    channel = worker.connection.channel()
    channel.queue_unbind(QUEUE, "attune.executions", "worker.1")
    assert f"{QUEUE} is not bound: attune.executions / worker.1" in worker.sick()
    channel.queue_bind(QUEUE, "attune.executions", "worker.1")
    worker.health(status=0)

    channel.basic_consume(QUEUE, lambda *_: None, consumer_tag="intruder")
    worker.until("2 consumers (intruder, worker-1) instead of 1")
    channel.basic_cancel("intruder")

    worker.vhost.api("DELETE", f"queues/{{vhost}}/{QUEUE}")
    assert worker.sick().endswith(f"queue {QUEUE} is missing\n")


def test_an_inactive_worker_whose_next_heartbeat_sets_it_active(run: Run, vhost: Vhost, tmp_path: Path) -> None:
    """It stops: its consumer is listed for up to 10 s more."""
    with working(run, vhost, "attune-0.6", tmp_path / "r.sqlite") as worker:
        worker.health("--wait", "30s", status=0)
        worker.update(last_heartbeat=beat(), status="inactive", updated=beat(60))
        assert "status is inactive, last heartbeat " in worker.sick()
        closed = worker.env | {"ATTUNE_OPS_MANAGEMENT_URL": "http://127.0.0.1:1"}
        said = worker.run("health", "worker", "1", target=vhost, env=closed, status=1).stdout
        assert "status is inactive, last heartbeat " in said


def test_wrong_tag_and_no_consumer(run: Run, vhost: Vhost, tmp_path: Path) -> None:
    with working(run, vhost, "attune-2026-09", tmp_path / "r.sqlite") as worker:
        worker.health("--wait", "30s", status=0)
        worker.connection.close()
        assert f"{QUEUE} has no consumer" in worker.health("--wait", "0s", status=1)
        with vhost.channel() as channel:
            channel.basic_consume(QUEUE, lambda *_: None, consumer_tag="someone-else")
            worker.until(f"{QUEUE} has consumer someone-else instead of worker-1")


def test_this_hosts_own_worker(worker: Worker) -> None:
    env = worker.env | {"ATTUNE__WORKER__NAME": "w1"}
    said = worker.run("health", "worker", "--wait", "30s", target=worker.vhost, env=env, status=0).stdout
    assert said.startswith("healthy: worker 1 (w1)")
    said = worker.run("health", "worker", target=worker.vhost, env=worker.env, status=1).stdout
    assert said.startswith(f"not healthy: worker worker-{socket.gethostname()}: not registered")


def test_a_sensor_has_no_queues(worker: Worker) -> None:
    worker.update(worker_role="sensor")
    worker.vhost.api("DELETE", f"queues/{{vhost}}/{QUEUE}")
    assert worker.health(status=0).count(";") == 0


def test_could_not_look(worker: Worker, user: Users) -> None:
    untagged = user(worker.vhost, tags="")
    closed = worker.env | {"ATTUNE_OPS_AMQP_URL": "amqp://guest:guest@127.0.0.1:1/"}  # else AMQP answers
    done = worker.run("health", "worker", "1", target=untagged, env=closed, status=3)
    assert done.stdout == ""
    assert "has no management tag" in done.stderr
    worker.registry.unlink()
    assert "the file does not exist" in worker.health(status=3)


def test_a_monitor_without_rights_may_look(worker: Worker, user: Users) -> None:
    lesser = user(worker.vhost, tags="management", configure="^$", write="^$", read="^$")
    worker.run("health", "worker", "1", "--wait", "30s", target=lesser, env=worker.env, status=0)


def test_registry_in_postgresql(worker: Worker, database: str) -> None:
    import psycopg

    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("INSERT INTO attune.worker (name, status, last_heartbeat) VALUES ('w1', 'active', now())")
    env = worker.env | {"ATTUNE_OPS_DATABASE_URL": database}
    worker.run("health", "worker", "w1", "--wait", "30s", target=worker.vhost, env=env, status=0)


def test_wait_looks_until_it_is_healthy(worker: Worker) -> None:
    worker.update(status="inactive")
    command = ("health", "worker", "1", "--wait", "40s")
    with worker.run.start(*command, target=worker.vhost, env=worker.env) as waiting:
        assert waiting.stderr is not None
        assert re.match(r"waiting for up to \d+ s: ", waiting.stderr.readline())
        worker.update(status="active", last_heartbeat=beat())
        out, _ = waiting.communicate(timeout=60)
    assert waiting.returncode == 0
    assert out.startswith("healthy: ")


def test_wait_ends(worker: Worker) -> None:
    worker.update(status="error")
    started = time.monotonic()
    said = worker.run("health", "worker", "w9", "--wait", "1500ms", target=worker.vhost, env=worker.env, status=1)
    first, *more = said.stderr.splitlines()
    assert re.fullmatch(r"waiting for up to \d s: not registered \(registry .*\)", first)
    assert more == []
    assert time.monotonic() - started >= 1.4


def test_broker(run: Run, vhost: Vhost) -> None:
    said = run("health", "broker", target=vhost, status=0).stdout
    address = vhost.broker.amqp_address
    assert said == f"healthy: broker {address}: AMQP responds; no alarms; virtual host '{vhost.name}' is up\n"


def test_route(run: Run, vhost: Vhost) -> None:
    with vhost.channel() as channel:
        channel.exchange_declare("x y", "topic")
        channel.queue_declare("q")
        channel.queue_bind("q", "x y", "a.*")
        channel.exchange_declare("inner", "fanout", internal=True)
        assert "routed to q\n" in run("health", "route", "x y", "a.b", target=vhost, status=0).stdout
        assert "routed to no queue" in run("health", "route", "x y", "b", target=vhost, status=1).stdout
        assert "404 NOT_FOUND - no exchange 'z'" in run("health", "route", "z", "b", target=vhost, status=1).stdout
        assert "403 ACCESS_REFUSED" in run("health", "route", "inner", "", target=vhost, status=1).stdout


@pytest.mark.parametrize("wait", ["soon", "-1s", "5 m 3", ""])
def test_a_time_that_is_none(run: Run, wait: str) -> None:
    assert "is not a duration; use for example" in run("health", "broker", f"--wait={wait}", status=2).stderr


HEAVY = ("secrets", "requests", "pika", "sqlalchemy", "rich", "http.client", "ssl", "platformdirs", "yaml", "pandas")


def test_a_look_loads_nothing_heavy(worker: Worker) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", str(COMMAND), "health", "worker", "1"],
        cwd=worker.run.folder,
        env=worker.run.environment(worker.vhost, env=worker.env),
        capture_output=True,
        text=True,
        check=False,
    )
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "attune_ops.doctor.health" in loaded
    assert not loaded & set(HEAVY)


def test_a_look_costs_at_most_ten_starts_of_python(worker: Worker) -> None:
    """In processor time: the median of pairs, since what runs beside them changes how fast the processor is."""
    worker.health("--wait", "30s", status=0)
    command = [str(COMMAND), "health", "worker", "1"]
    env = worker.run.environment(worker.vhost, env=worker.env)
    ratios = []
    for _ in range(15):
        start = cost([sys.executable, "-c", "pass"], env, worker.run.folder)
        ratios.append(cost(command, env, worker.run.folder) / start)
    assert statistics.median(ratios) <= 10, ratios


def cost(command: list[str], env: dict[str, str], folder: Path) -> float:
    """The processor time of a process, in s."""
    import os

    process = subprocess.Popen(command, env=env, cwd=folder, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_utime + usage.ru_stime
