"""The stand-in services as processes: their messages are accounted for, whatever happens to them."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from attune_ops.installation.management import open_management
from attune_ops.model.errors import ActionError
from attune_ops.model.startup_progress import Step
from attune_ops.model.topologies import load
from attune_ops.startup.processes import RunningService, start_service, stop_all
from attune_ops.startup.standins.job import Behaviour
from attune_ops.startup.steps import set_up
from tests.world import Users, Vhost, eventually

JANUARY, SEPTEMBER = "attune-2026-01", "attune-2026-09"

Start = Callable[..., RunningService]


@pytest.fixture
def start(vhost: Vhost, tmp_path: Path) -> Iterator[Start]:
    """Starts stand-ins in the virtual host with one registry, and stops them all."""
    running: list[RunningService] = []

    def make(
        service: str, name: str = "", topology: str = JANUARY, wait: bool = True, **behaviour: Any
    ) -> RunningService:
        settings = vhost.settings(f"sqlite:///{tmp_path}/registry.sqlite", topology)
        log = tmp_path / f"{len(running)}-{service}.jsonl"
        running.append(start_service(settings, service, name or service, log, Behaviour(**behaviour)))
        if wait:
            running[-1].wait_for("ready")
        return running[-1]

    try:
        yield make
    finally:
        stop_all(running)
        for service in running:
            assert service.log.with_suffix(".stderr").read_text() == "", "it wrote what it did not expect"


def count(service: RunningService, event: str) -> int:
    return Counter(e["event"] for e in service.events())[event]


def numbers(service: RunningService, event: str) -> list[int]:
    return sorted(e["number"] for e in service.events() if e["event"] == event and e["number"] is not None)


def stored(vhost: Vhost) -> int:
    """The messages in the workers' queues for executions, those without an acknowledgement too; counted now."""
    queues = [name for name in vhost.names("queues") if re.fullmatch(r"worker\.\d+\.executions", name)]
    assert queues
    with open_management(vhost.settings("")) as management:
        return sum((counts.messages or 0) for name in queues if (counts := management.live_counts(name)) is not None)


def status_of(tmp_path: Path, name: str) -> str:
    with sqlite3.connect(tmp_path / "registry.sqlite") as connection:
        (found,) = connection.execute("SELECT status FROM worker WHERE name = ?", [name]).fetchone()
        return str(found)


@pytest.mark.parametrize("topology", [JANUARY, SEPTEMBER])
def test_executions_reach_the_workers_and_are_acknowledged_once(start: Start, topology: str) -> None:
    workers = [start("worker", name, topology) for name in ("w1", "w2")]
    executor = start("executor", topology=topology, rate=200, count=40)
    eventually(lambda: sum(count(w, "acked") for w in workers) == 40)
    assert sorted(n for w in workers for n in numbers(w, "acked")) == list(range(1, 41))
    assert [count(w, "acked") for w in workers] == [20, 20], "they take turns"

    def dispatched() -> int:
        return sum(e["event"] == "confirmed" and "worker." in e["routing_key"] for e in executor.events())

    eventually(lambda: dispatched() >= 40)  # a worker may be done before the executor has noted its confirm
    assert dispatched() == 40
    eventually(lambda: count(executor, "attempted") == count(executor, "confirmed"))
    received = Counter(e["queue"] for e in executor.events() if e["event"] == "received")
    assert set(received) >= (
        {"attune.executions.queue"} if topology == JANUARY else {"attune.execution.requests.queue"}
    )


def test_an_event_becomes_an_execution_in_september(start: Start) -> None:
    worker, executor = start("worker", "w1", SEPTEMBER), start("executor", topology=SEPTEMBER)
    sensor = start("sensor", topology=SEPTEMBER, rate=100, count=5)
    eventually(lambda: count(worker, "acked") == 5)
    eventually(lambda: [e for e in executor.events() if e.get("message_type") == "ExecutionCompleted"])
    sent = {e["correlation_id"] for e in sensor.events() if e["event"] == "confirmed"}
    followed = {e["correlation_id"] for e in executor.events() if e["event"] == "confirmed"}
    assert sent == followed, "everything that follows from an event carries its correlation id"


def test_the_notifier_notifies_in_january_and_is_silent_in_september(start: Start) -> None:
    loud = start("notifier", rate=100, count=3)
    eventually(lambda: count(loud, "confirmed") == 3)
    loud.stop()


def test_three_consumers_of_the_executor_share_the_work(start: Start) -> None:
    start("worker", "w1")
    executor = start("executor", rate=200, count=30, prefetch=1)
    eventually(lambda: count(executor, "acked") == 30)
    tags = Counter(e["tag"] for e in executor.events() if e["event"] == "received")
    assert set(tags) == {"executor.enforcement", "executor.scheduler", "executor.manager"}


def test_a_clean_stop(start: Start, vhost: Vhost, tmp_path: Path) -> None:
    worker = start("worker", "w1")
    assert worker.stop() == 0
    assert [e["event"] for e in worker.events()][-3:] == ["stopping", "stopped", "ended"]
    assert status_of(tmp_path, "w1") == "inactive"
    assert "worker.1.executions" not in vhost.names("queues")


def test_a_kill_leaves_the_row_active_and_every_line_of_the_log(start: Start, vhost: Vhost, tmp_path: Path) -> None:
    worker = start("worker", "w1")
    assert worker.kill() == -signal.SIGKILL
    assert status_of(tmp_path, "w1") == "active"
    assert worker.events()[-1]["event"] == "ready"
    eventually(lambda: "worker.1.executions" not in vhost.names("queues"))


@pytest.mark.parametrize("step", [Step.REGISTER, Step.DECLARE])
def test_a_crash_between_two_steps(start: Start, vhost: Vhost, tmp_path: Path, step: Step) -> None:
    worker = start("worker", "w1", wait=False, crash_after=step)
    with pytest.raises(ActionError, match="before it exited with status -9"):
        worker.wait_for("ready")
    assert status_of(tmp_path, "w1") == "active"
    assert ("worker.1.executions" in vhost.names("queues")) is (step is Step.DECLARE), "nothing had consumed it"


def test_a_start_up_that_fails_says_why_and_leaves_what_a_crash_leaves(start: Start, tmp_path: Path) -> None:
    worker = start("worker", "w1", wait=False, skip=(Step.DECLARE,))
    with pytest.raises(ActionError, match=r"bind failed: .*404 NOT_FOUND - no queue 'worker.1.executions'"):
        worker.wait_for("ready")
    assert worker.status == 1
    assert status_of(tmp_path, "w1") == "active"


@pytest.mark.parametrize(
    ("outcome", "event"), [("reject", "rejected"), ("requeue", "requeued"), ("lose", "acked"), ("hold", "received")]
)
def test_a_misbehaving_worker_misbehaves_with_the_named_messages_only(start: Start, outcome: str, event: str) -> None:
    worker = start("worker", "w1", SEPTEMBER, outcome=outcome, only=(2,))
    start("executor", topology=SEPTEMBER, rate=100, count=3, direct=True)
    eventually(lambda: 2 in numbers(worker, event) and {1, 3} <= set(numbers(worker, "acked")))
    eventually(lambda: {1, 3} <= set(numbers(worker, "handled")))  # noted after the acknowledgement
    if outcome in ("lose", "hold"):
        assert 2 not in numbers(worker, "handled")


def test_what_does_not_decode_is_rejected(start: Start, vhost: Vhost) -> None:
    worker = start("worker", "w1")
    with vhost.channel() as channel:
        channel.basic_publish("attune.executions", "worker.1", b"no envelope", mandatory=True)
    worker.wait_for("rejected")
    assert count(worker, "undecodable") == 1


def test_a_dispatch_to_a_worker_that_does_not_exist_comes_back(start: Start, vhost: Vhost) -> None:
    executor = start("executor", rate=100, count=2, targets=(99,))
    eventually(lambda: count(executor, "returned") == 2)
    assert count(executor, "acked") == 2


def test_a_dispatch_that_comes_back_goes_to_the_next_worker(start: Start) -> None:
    worker = start("worker", "w1")
    executor = start("executor", rate=100, count=4, direct=True, targets=(99, 1), redispatch=True)
    eventually(lambda: numbers(worker, "acked") == [1, 2, 3, 4])
    assert count(executor, "returned") > 0


def test_without_a_worker_an_execution_is_rejected(start: Start) -> None:
    executor = start("executor", rate=100, count=1)
    executor.wait_for("rejected")
    assert count(executor, "no_worker") == 1


def test_the_same_seed_gives_the_same_messages(start: Start) -> None:
    def ids(seed: int) -> list[str]:
        sensor = start("sensor", rate=100, count=5, seed=seed)
        eventually(lambda: count(sensor, "confirmed") == 5)
        sensor.stop()
        return [e["message_id"] for e in sensor.events() if e["event"] == "confirmed"]

    assert ids(1) == ids(1)
    assert not set(ids(1)) & set(ids(2))


def test_a_connection_closed_by_an_operator(start: Start, vhost: Vhost, tmp_path: Path) -> None:
    names = {"fragile": start("worker", "fragile"), "tough": start("worker", "tough", reconnect=True)}
    names["sensor"] = start("sensor", rate=50, reconnect=True)
    ids = {name: service.worker_id for name, service in names.items()}

    def connections() -> list[str]:
        found = vhost.api("GET", "vhosts/{vhost}/connections").json()
        return [c["name"] for c in found if c.get("client_properties", {}).get("connection_name", "")]

    eventually(lambda: len(connections()) == 3)
    for name in connections():
        vhost.api("DELETE", f"connections/{quote(name, safe='')}")
    lost = names["fragile"].wait_for("lost")
    assert lost["code"] == 320
    assert eventually(lambda: names["fragile"].status) == 1
    assert status_of(tmp_path, "fragile") == "active", "nobody set it inactive"
    eventually(lambda: count(names["tough"], "ready") == 2)
    assert names["tough"].worker_id == ids["tough"], "it keeps its id"
    assert f"worker.{ids['tough']}.executions" in vhost.names("queues")
    eventually(lambda: count(names["sensor"], "ready") == 2)
    sent = count(names["sensor"], "confirmed")
    eventually(lambda: count(names["sensor"], "confirmed") > sent + 5)
    attempted = [e["message_id"] for e in names["sensor"].events() if e["event"] == "attempted"]
    assert len(attempted) == len(set(attempted)), "no message id is used twice"


def test_a_consumer_that_the_broker_cancelled(start: Start, vhost: Vhost) -> None:
    worker = start("worker", "w1", reconnect=True)
    with vhost.channel() as channel:
        channel.queue_delete("worker.1.executions")
    worker.wait_for("cancelled")
    eventually(lambda: count(worker, "ready") == 2)
    assert "worker.1.executions" in vhost.names("queues")


def test_a_suspended_worker_goes_on_where_it_was(start: Start) -> None:
    worker = start("worker", "w1")
    worker.suspend()
    executor = start("executor", rate=100, count=3, direct=True)
    eventually(lambda: count(executor, "confirmed") == 3)
    assert count(worker, "received") == 0
    worker.resume()
    eventually(lambda: numbers(worker, "acked") == [1, 2, 3])


def test_heartbeats_reach_the_registry_and_their_failure_the_log(vhost: Vhost, tmp_path: Path) -> None:
    import msgspec

    file = tmp_path / "registry.sqlite"
    settings = msgspec.structs.replace(vhost.settings(f"sqlite:///{file}"), heartbeat_interval=0.2)

    def beat() -> str:
        with sqlite3.connect(file) as connection:
            return str(connection.execute("SELECT last_heartbeat FROM worker").fetchone()[0])

    with start_service(settings, "worker", "w1", tmp_path / "w1.jsonl") as worker:
        worker.wait_for("ready")
        first = beat()
        eventually(lambda: beat() > first)
        file.rename(tmp_path / "away")
        worker.wait_for("heartbeat_failed")
        (tmp_path / "away").rename(file)
    assert status_of(tmp_path, "w1") == "inactive"


def test_a_stand_in_does_not_outlive_who_started_it(vhost: Vhost, tmp_path: Path) -> None:
    code = f"""
import os, sys
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from attune_ops.installation.config import resolve
from attune_ops.startup.processes import start_service
settings = resolve({{"database_url": "sqlite:///{tmp_path}/registry.sqlite"}})
service = start_service(settings, "worker", "w1", Path("{tmp_path}/w1.jsonl"))
service.wait_for("ready")
print(service.pid, flush=True)
os.kill(os.getpid(), 9)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | vhost.environment, capture_output=True, text=True, check=False
    )
    pid = int(done.stdout)
    eventually(lambda: '"ended"' in (tmp_path / "w1.jsonl").read_text())
    eventually(lambda: not _runs(pid))
    assert status_of(tmp_path, "w1") == "inactive"


def test_an_interrupt_during_the_start_leaves_none_behind(
    vhost: Vhost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = vhost.settings(f"sqlite:///{tmp_path}/registry.sqlite")
    started: Any = subprocess.Popen

    def interrupted(*arguments: Any, **options: Any) -> Any:
        process = started(*arguments, **options)
        os.kill(os.getpid(), signal.SIGINT)
        return process

    monkeypatch.setattr(subprocess, "Popen", interrupted)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    noted: list[RunningService] = []
    try:
        with pytest.raises(KeyboardInterrupt):
            start_service(settings, "worker", "w1", tmp_path / "w1.jsonl", note=noted.append)
    finally:
        signal.signal(signal.SIGINT, before)
    stop_all(noted)
    assert [service.status is not None for service in noted] == [True]


def test_no_password_is_in_the_list_of_processes(
    vhost: Vhost, user: Users, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = user(vhost)
    monkeypatch.setenv("ATTUNE_OPS_AMQP_URL", secret.amqp_url)
    settings = secret.settings(f"sqlite:///{tmp_path}/registry.sqlite")
    with start_service(settings, "worker", "w1", tmp_path / "w1.jsonl") as worker:
        worker.wait_for("ready")
        for file in ("cmdline", "environ"):
            assert secret.password.encode() not in Path(f"/proc/{worker.pid}/{file}").read_bytes()
    assert secret.password not in worker.log.read_text()


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_worker_without_a_binding_gets_nothing(start: Start, vhost: Vhost) -> None:
    with vhost.channel() as channel:
        set_up(channel, load(JANUARY))
    start("worker", "w1", skip=(Step.BIND,))
    executor = start("executor", rate=100, count=1, direct=True)
    executor.wait_for("returned")


RELEASES = [JANUARY, SEPTEMBER, "attune-0.6"]


def lives(worker: RunningService) -> dict[int, list[str]]:
    """The events of each message, in order."""
    found: dict[int, list[str]] = {}
    for e in worker.events():
        if e["event"] in ("received", "handled", "acked") and str(e["queue"]).endswith(".executions"):
            found.setdefault(e["number"], []).append(e["event"])
    return found


def dispatch(start: Start, topology: str, count: int) -> RunningService:
    """Sends executions to worker 1 at once."""
    made = start(
        "executor", "scheduler", topology, rate=1000, count=count, direct=True, targets=(1,), skip=("consume",)
    )
    eventually(lambda: len(numbers(made, "confirmed")) == count)
    return made


@pytest.mark.parametrize("topology", RELEASES)
def test_a_worker_acknowledges_as_its_release_does(start: Start, topology: str) -> None:
    """January: one at a time, after handling; later: as many as it may at once, before handling."""
    start("sensor", topology=topology)
    start("executor", topology=topology)
    worker = start("worker", "w1", topology, handler_s=0.3, concurrency=4)
    dispatch(start, topology, 4)
    eventually(lambda: sum(life[-1] in ("acked", "handled") and len(life) == 3 for life in lives(worker).values()) == 4)
    orders = {tuple(life) for life in lives(worker).values()}
    busy, most = 0, 0
    for e in worker.events():
        begins = "acked" if topology != JANUARY else "received"
        busy += (e["event"] == begins) - (e["event"] == "handled")
        most = max(most, busy)
    if topology == JANUARY:
        assert orders == {("received", "handled", "acked")}
        at = [e["at"] for e in worker.events() if e["event"] == "handled"]
        took = [(datetime.fromisoformat(b) - datetime.fromisoformat(a)).total_seconds() for a, b in pairwise(at)]
        assert min(took) > 0.25, "one at a time"
    else:
        assert orders == {("received", "acked", "handled")}
        assert most == 4, "its concurrency at once"


@pytest.mark.parametrize("topology", RELEASES[1:])
def test_what_a_killed_worker_was_handling_is_not_delivered_again(start: Start, vhost: Vhost, topology: str) -> None:
    for service in ("executor", "sensor"):
        start(service, topology=topology)
    worker = start("worker", "w1", topology, handler_s=30, concurrency=3)
    dispatch(start, topology, 10)
    eventually(lambda: count(worker, "acked") == 3)
    eventually(lambda: stored(vhost) == 7)  # its acknowledgements have reached the broker
    worker.kill()
    gone = set(numbers(worker, "acked"))
    again = start("worker", "w1", topology, concurrency=20)
    eventually(lambda: len(numbers(again, "handled")) == 7)
    time.sleep(0.5)
    assert set(numbers(again, "received")) == set(range(1, 11)) - gone


def close_connections(vhost: Vhost, name: str) -> None:
    """Closes the connections of a client."""

    def there() -> list[Any]:
        found = vhost.api("GET", "vhosts/{vhost}/connections").json()
        return [c for c in found if c.get("client_properties", {}).get("connection_name") == name]

    for connection in eventually(there, within=30):
        vhost.api("DELETE", f"connections/{quote(connection['name'], safe='')}")


@pytest.mark.parametrize("topology", RELEASES[1:])
@pytest.mark.parametrize("how", ["connection lost", "clean stop"])
def test_what_was_acknowledged_is_handled_to_its_end(start: Start, vhost: Vhost, topology: str, how: str) -> None:
    for service in ("executor", "sensor"):
        start(service, topology=topology)
    handler_s = 1.0 if how == "clean stop" else 20.0  # the management API lists a connection some seconds late
    worker = start("worker", "w1", topology, handler_s=handler_s, concurrency=2, reconnect=True)
    dispatch(start, topology, 2)
    eventually(lambda: count(worker, "acked") == 2)
    eventually(lambda: stored(vhost) == 0)  # its acknowledgements have reached the broker
    if how == "clean stop":
        assert worker.stop() == 0
    else:
        close_connections(vhost, f"attune worker {worker.name}")
        worker.wait_for("lost")
        assert count(worker, "handled") == 0
        eventually(lambda: count(worker, "handled") == 2, within=30)
    assert numbers(worker, "handled") == [1, 2]
    assert all(life.count("received") == 1 for life in lives(worker).values())
