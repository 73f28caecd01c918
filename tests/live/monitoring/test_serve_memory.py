"""The memory of `serve` with 10,000 workers on a real broker: bounded, and the same after many scrapes.

By default 150 scrapes; `ATTUNE_OPS_TEST_SCRAPES=1000` is the full run. `scripts/bench serve` does 1,000 as well.
"""

from __future__ import annotations

import os
import re
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from attune_ops.lab import Lab
from attune_ops.model.topologies import load
from attune_ops.ops import connect
from tests.live.monitoring.test_serve import Server, serving_with
from tests.live.places import stopped_worker
from tests.world import Broker, Run, Vhost, eventually

WORKERS, MOST_MB = 10_000, 200
SCRAPES = int(os.environ.get("ATTUNE_OPS_TEST_SCRAPES", "150"))
POLL_S = 0.5  # less than the second between two readings; each question is a scrape
GROWTH_MB = 35  # readings differ by 20 MB; a scrape is 6 MB, so that a few that are kept show


@pytest.mark.slow
@pytest.mark.nightly
def test_memory_with_ten_thousand_workers(module_lab: Lab, run: Run, tmp_path: Path) -> None:
    broker = Broker(module_lab.state.amqp_url, module_lab.state.management_url)
    vhost = Vhost(broker, "/", broker.user, broker.password)  # which goes with the lab: to delete all takes 10 s
    populate(vhost, tmp_path / "registry.sqlite")
    env = {"ATTUNE_OPS_DATABASE_URL": f"sqlite:///{tmp_path / 'registry.sqlite'}"}
    with serving_with(run.environment(vhost, env=env), "--max-workers", str(WORKERS)) as server:
        eventually(lambda: readings(server) >= 3, within=200, every=POLL_S)
        assert number(server, "workers_without_series") == 0
        with closing(HTTPConnection(urlsplit(server.url).netloc, timeout=60)) as connection:
            scrape(connection, SCRAPES // 10)
        before = at_rest(server)
        with closing(HTTPConnection(urlsplit(server.url).netloc, timeout=60)) as connection:
            scrape(connection, SCRAPES - SCRAPES // 10)
        after = at_rest(server)
        for _ in range(2):  # the report, while there are readings
            assert f"of {WORKERS:,} rows" in server.get("/").text
            at_rest(server)
        assert memory(server, "VmHWM") <= MOST_MB, "also while it reads"
        assert after <= before + GROWTH_MB, f"{before:.0f} MB before, {after:.0f} MB after"


def at_rest(server: Server) -> float:
    """The memory between two readings: the least during two of them."""
    seen, first = [memory(server, "VmRSS")], readings(server)

    def two_later() -> bool:
        seen.append(memory(server, "VmRSS"))
        return readings(server) >= first + 2

    eventually(two_later, within=200, every=POLL_S)
    return min(seen)


def populate(vhost: Vhost, registry: Path) -> None:
    """The workers with their queues, by one import of definitions and one transaction."""
    topology = load("attune-2026-01")
    ops = connect(amqp_url=vhost.amqp_url, management_url=vhost.management_url, database_url=f"sqlite:///{registry}")
    stopped_worker(ops.settings, "w1")
    now = datetime.now(UTC).isoformat()
    with sqlite3.connect(registry) as connection:
        rows = [(i, f"w{i}", "active", now) for i in range(2, WORKERS + 1)]
        connection.executemany("INSERT INTO worker (id, name, status, last_heartbeat) VALUES (?, ?, ?, ?)", rows)
    ids = range(1, WORKERS + 1)
    queues = [
        {"name": q.name, "durable": q.durable, "auto_delete": q.auto_delete, "arguments": q.arguments}
        for q in (*topology.base_queues, *(q for i in ids for q in topology.worker_queues(i)))
    ]
    bindings = [
        {"source": b.source, "destination": b.destination, "destination_type": "queue", "routing_key": b.routing_key,
         "arguments": {}}
        for i in ids for b in topology.worker_bindings(i)
    ]  # fmt: skip
    exchanges = [
        {"name": e.name, "type": e.type, "durable": e.durable, "auto_delete": False, "internal": False, "arguments": {}}
        for e in topology.exchanges
    ]
    for kind, listed in (("exchanges", exchanges), ("queues", queues), ("bindings", bindings)):
        for at in range(0, len(listed), 2_000):  # in one piece it can take more than the 60 s of a request
            vhost.api("POST", f"definitions/{vhost.quoted}", {kind: listed[at : at + 2_000]})


def scrape(connection: HTTPConnection, times: int) -> None:
    for _ in range(times):
        connection.request("GET", "/metrics")
        assert connection.getresponse().read().count(b"\nattune_ops_worker_ready{") == WORKERS


def readings(server: Server) -> float:
    return number(server, "readings_total")


def number(server: Server, name: str) -> float:
    """The value of a metric without labels; the whole text is too large to be parsed again and again."""
    found = re.search(rf"^attune_ops_{name} (\S+)$", server.get("/metrics").text, re.MULTILINE)
    assert found is not None
    return float(found[1])


def memory(server: Server, name: str) -> float:
    """In MB: VmRSS now, VmHWM at most."""
    found = re.search(rf"^{name}:\s+(\d+) kB$", Path(f"/proc/{server.process.pid}/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024 / 1e6
