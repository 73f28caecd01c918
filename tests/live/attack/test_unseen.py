"""What cannot be seen is neither retired nor reaped: status 3, and nothing was changed."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import psycopg
import pytest

from tests.live.attack.proxy import Proxy
from tests.servers import server
from tests.world import Run, Users, Vhost

OLD = "2026-01-01 00:00:00+00:00"
COMMANDS = (["retire", "--apply"], ["retire"], ["reap", "--grace", "0s", "--apply"])


@contextmanager
def cutting(address: str, path: bytes) -> Iterator[int]:
    """A proxy for HTTP that closes the connection in the middle of the answer to a request for this path; its port."""
    host, _, port = address.partition(":")

    def serve(client: socket.socket) -> None:
        cut = False
        client.settimeout(10)
        with socket.create_connection((host, int(port)), 10) as broker:
            while asked := client.recv(65536):
                cut = cut or path in asked.split(b"\r\n", 1)[0]
                broker.sendall(asked)
                broker.settimeout(10)
                answer = broker.recv(65536)
                if cut:
                    client.sendall(answer[: len(answer) - 5])
                    return
                while answer:
                    client.sendall(answer)
                    broker.settimeout(0.2)
                    try:
                        answer = broker.recv(65536)
                    except TimeoutError:
                        answer = b""

    with server(serve) as front:
        yield front


@pytest.fixture
def state(vhost: Vhost, database: str) -> Iterator[Callable[[], object]]:
    """Worker 1 consumes with a stale heartbeat, worker 2's queue is orphaned; what registry and broker have."""
    sql = "INSERT INTO attune.worker (id, name, status, last_heartbeat) VALUES (%s, %s, %s, %s)"
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(sql, (1, "w1", "active", OLD))
        connection.execute(sql, (2, "w2", "inactive", OLD))
        connection.execute(sql, (3, "w3", "active", OLD))
    with vhost.channel() as channel:
        for name in ("worker.1.executions", "worker.2.executions", "worker.3.executions"):
            channel.queue_declare(name, durable=True)
        channel.basic_consume("worker.1.executions", lambda *_: None, consumer_tag="another tag")

        def now() -> object:
            with psycopg.connect(database) as connection:
                rows = connection.execute("SELECT id, status, last_heartbeat FROM attune.worker ORDER BY id").fetchall()
            return rows, vhost.names("queues")

        yield now


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("how", ["down", "cut off", "cut off at queues", "no tag", "without monitoring"])
def test_what_is_not_seen_stays(
    run: Run, vhost: Vhost, user: Users, database: str, state: Callable[[], object], command: list[str], how: str
) -> None:
    before = state()
    env = {"ATTUNE_OPS_DATABASE_URL": database, "ATTUNE_OPS_TOPOLOGY": "attune-2026-09"}
    with contextlib.ExitStack() as stack:
        target = vhost
        if how == "down":
            env["ATTUNE_OPS_MANAGEMENT_URL"] = "http://127.0.0.1:1"
        elif how.startswith("cut"):
            path = b"/api/queues" if how.endswith("queues") else b"/api/consumers"
            port = stack.enter_context(cutting(vhost.broker.management_address, path))
            account = vhost.management_url.removeprefix("http://").rpartition("@")[0]
            env["ATTUNE_OPS_MANAGEMENT_URL"] = f"http://{account}@127.0.0.1:{port}"
        else:
            target = user(vhost, tags="" if how == "no tag" else "management")
        done = run(*command, target=target, env=env, status=3)
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert state() == before


def test_what_is_seen_is_retired_and_a_worker_that_consumes_is_kept(
    run: Run, vhost: Vhost, database: str, state: Callable[[], object]
) -> None:
    env = {"ATTUNE_OPS_DATABASE_URL": database, "ATTUNE_OPS_TOPOLOGY": "attune-2026-09"}
    done = run("retire", "--apply", "--format", "csv", target=vhost, env=env, status=0)
    verdicts = {line.split(",")[1]: line.split(",")[4] for line in done.stdout.splitlines()[1:]}
    assert verdicts == {"w1": "kept", "w3": "retired"}


@pytest.mark.parametrize("share", [0.0, 0.5, 0.9])
def test_queues_are_listed_without_a_registry_that_is_lost(run: Run, vhost: Vhost, database: str, share: float) -> None:
    place = urlsplit(database)
    at = f"{place.hostname}:{place.port}"

    def queues(proxy: Proxy, status: int) -> subprocess.CompletedProcess[str]:
        env = {"ATTUNE_OPS_DATABASE_URL": database.replace(at, f"127.0.0.1:{proxy.port(at)}")}
        try:
            return run("queues", "--format", "json", target=vhost, env=env, status=status)
        finally:
            proxy.close()

    vhost.api("PUT", "queues/{vhost}/q", {"durable": True})
    whole = Proxy()
    assert "not seen" not in queues(whole, 0).stderr
    done = queues(Proxy("cut", int(whole.bytes * share)), 3)
    assert [row["name"] for row in json.loads(done.stdout)["rows"]] == ["q"]
    assert "attune-ops: not seen: registry postgresql://" in done.stderr
