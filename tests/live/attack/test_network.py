"""A network that turns hostile in the middle: each command ends in time and says so, and no message is lost.

One moment a command and fault by default; `ATTUNE_OPS_TEST_FAULTS=30` for the nightly run.
"""

from __future__ import annotations

import os
import re
import shlex
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from tests.live.attack.proxy import Fault, Spent, between, margin, points, spend
from tests.live.messages.ledger import SEED, fill, in_file, in_queue
from tests.live.messages.site import connect, depth
from tests.live.messages.test_round_trip import declare
from tests.world import Vhost, eventually

pytestmark = pytest.mark.slow

MOMENTS = int(os.environ.get("ATTUNE_OPS_TEST_FAULTS", "1"))
COUNT = 1500
TIMEOUT_S = 2
MOST_KB = 300 << 10
OLD = "2026-01-01 00:00:00+00:00"

AT_ONCE = {  # runs that do not disturb each other
    "doctor": "doctor",
    "queues": "queues",
    "policy": "policy show",
    "explain": "explain \"NOT_FOUND - no queue 'worker.1.executions' in vhost '/'\"",
    "health": "health broker",
    "topology": "topology diff",
    "canary": "route work job.1 --canary",
    "peek": "messages peek q",
    "retire, dry run": "retire",
    "apply": "topology apply --apply --topology attune-2026-01",
    "startup": "startup --worker w-{number} --topology attune-2026-01",
}
CHANGE = {
    "reap": "reap --grace 0s --apply",
    "retire": "retire --apply",
}


@pytest.fixture
def site(vhost: Vhost, database: str) -> Vhost:
    """Queues and an exchange, a queue of a worker that is gone with a message in it, and two dead workers."""
    declare(vhost, "q", "other")
    vhost.api("PUT", "exchanges/{vhost}/work", {"type": "topic", "durable": True})
    vhost.api("POST", "bindings/{vhost}/e/work/q/q", {"routing_key": "job.#"})
    dead(vhost, database)
    return vhost


def dead(vhost: Vhost, database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("DELETE FROM attune.worker")
        for id, status in ((1, "active"), (2, "inactive"), (3, "active")):
            connection.execute(
                "INSERT INTO attune.worker (id, name, status, last_heartbeat) VALUES (%s, %s, %s, %s)",
                (id, f"w{id}", status, OLD),
            )
    with vhost.channel() as channel:
        for id in (1, 2, 3):
            channel.queue_declare(f"worker.{id}.executions", durable=True)
        channel.basic_publish("", "worker.2.executions", b"kept")


def ends_in_time(done: Spent, base: float) -> None:
    assert "a bug" not in done.said
    assert "Traceback" not in done.said
    assert done.seconds < TIMEOUT_S + base + margin(), done
    assert done.memory < MOST_KB


def was_told_all(done: Spent, base: Spent) -> bool:
    """Whether the fault came after the last answer that the command needed, for example while it disconnected."""
    letters, expected = (re.sub(r"[^a-z]+", " ", spent.said) for spent in (done, base))
    return (done.status, letters) == (base.status, expected)


FAULTS: tuple[Fault, ...] = ("silent", "cut", "drip")


def measured(site: Vhost, database: str, folder: Path, line: list[str]) -> tuple[Spent, list[tuple[Fault, int]]]:
    """How long it takes without a fault, and the faults to make: each at some moments, given in bytes."""
    with between(site, database=database) as (proxy, environment):
        base = spend(folder, environment, *line)
    assert base.status in (0, 1), base
    return base, [(f, at) for n, f in enumerate(FAULTS) for at in points(proxy.bytes, MOMENTS, SEED + n)]


@pytest.mark.parametrize("command", AT_ONCE)
def test_each_command_ends_in_time(command: str, site: Vhost, database: str, tmp_path: Path) -> None:
    line = [*shlex.split(AT_ONCE[command]), "--timeout", f"{TIMEOUT_S}s"]
    base, faults = measured(site, database, tmp_path, [word.format(number=9) for word in line])

    def run(fault: Fault, after: int) -> tuple[bool, Spent]:
        with between(site, fault, after, database) as (proxy, environment):
            done = spend(tmp_path, environment, *(word.format(number=FAULTS.index(fault)) for word in line))
            return proxy.fault == fault, done

    with ThreadPoolExecutor(len(FAULTS)) as pool:
        for (fault, _), (begun, done) in zip(faults, pool.map(run, *zip(*faults, strict=True)), strict=True):
            ends_in_time(done, base.seconds)
            if begun and fault != "cut":  # where the registry alone is lost, some commands show what they have
                assert done.status == 3 or was_told_all(done, base), done


@pytest.mark.parametrize("command", CHANGE)
def test_changing_ends_in_time(command: str, site: Vhost, database: str, tmp_path: Path) -> None:
    line = [*shlex.split(CHANGE[command]), "--timeout", f"{TIMEOUT_S}s"]
    base, faults = measured(site, database, tmp_path, line)
    for fault, after in faults:
        dead(site, database)
        with between(site, fault, after, database) as (proxy, environment):
            done = spend(tmp_path, environment, *line)
            begun = proxy.fault == fault
        ends_in_time(done, base.seconds)
        if begun and fault != "cut":
            in_the_middle = done.status == 1 and "failed: " in done.said  # of the queues one by one
            assert done.status == 3 or in_the_middle or was_told_all(done, base), done
        if command == "reap":
            # What it held is ready again once the broker has closed its channel.
            eventually(lambda: saved(tmp_path) + waiting(site, "worker.2.executions") >= 1)


def saved(folder: Path) -> int:
    """The messages of worker 2 that reap has saved."""
    return sum(len(f.read_bytes().splitlines()) - 1 for f in (folder / "state").rglob("*worker.2*.jsonl"))


def waiting(vhost: Vhost, queue: str) -> int:
    """The ready messages of the queue, 0 where it is gone."""
    return depth(vhost, queue) if queue in vhost.names("queues") else 0


def test_late_packets_change_nothing(site: Vhost, database: str, tmp_path: Path) -> None:
    for line in ("doctor --fail-on never", "messages drain q --to f --apply"):
        fill(connect(site).settings, "q", 100)
        with between(site, "delay", 0, database) as (_, environment):
            done = spend(tmp_path, environment, *shlex.split(line), "--timeout", "5s")
        assert done.status == 0, done


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("what", ["drain", "restore", "move"])
def test_nothing_is_lost(what: str, fault: Fault, site: Vhost, tmp_path: Path) -> None:
    settings = connect(site).settings
    ids, file = fill(settings, "q", COUNT), tmp_path / "kept"
    order = {
        "drain": "messages drain q --to kept --apply",
        "restore": "messages restore kept --apply --exchange= --routing-key=other",
        "move": "messages move q other --apply",
    }
    run: Callable[..., Spent] = lambda environment, what: spend(  # noqa: E731
        tmp_path, environment, *shlex.split(order[what]), "--timeout", f"{TIMEOUT_S}s"
    )
    if what == "restore":
        assert run(site.environment, "drain").status == 0
    for after in points({"drain": 300_000, "restore": 200_000, "move": 500_000}[what], MOMENTS, SEED):
        with between(site, fault, after) as (proxy, environment):
            done = run(environment, what)
            begun = proxy.fault == fault
        ends_in_time(done, 2.0)
        if not begun:
            break
        assert done.status == 3, done
        if what == "drain" and file.exists() and " safe in 'kept'" in done.said:
            assert "the rest is on the broker; run it again to resume" in done.said
    last = run(site.environment, what)
    assert last.status == 0, last
    found: Counter[str] = in_queue(settings, "q") + in_queue(settings, "other")
    if what == "drain":
        found += in_file(file)
    assert set(found) == ids, "lost"


def test_by_default_after_15_s(site: Vhost, tmp_path: Path) -> None:
    fill(connect(site).settings, "q", COUNT)
    with between(site, "silent", 100_000) as (_, environment):
        done = spend(tmp_path, environment, "messages", "drain", "q", "--to", "kept", "--apply")
    assert done.status == 3, done
    assert 14 < done.seconds < 15 + margin()
