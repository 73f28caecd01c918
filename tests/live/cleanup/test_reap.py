"""Reap beside workers that come and go never deletes a queue with a consumer, nor a message that is not saved.

By default some rounds; `ATTUNE_OPS_TEST_REAPS=1000` is the full run (with -s to see the numbers).
"""

from __future__ import annotations

import json
import os
import random
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pika
import psycopg
import pytest

import attune_ops
from attune_ops.installation import audit
from attune_ops.messages.message import Message
from attune_ops.messages.message_file import decode_messages
from attune_ops.model.errors import ConfigError
from attune_ops.ops import Ops
from attune_ops.topology.apply import apply_topology
from tests.live.messages.ledger import SEED, say
from tests.world import Run, Vhost

ROUNDS = int(os.environ.get("ATTUNE_OPS_TEST_REAPS", "40"))
BOUNDED_S = 40.0 if "ATTUNE_OPS_TEST_REAPS" not in os.environ else float("inf")
NOW_GRACE = timedelta()


@pytest.fixture
def ops(vhost: Vhost, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ops:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    made = attune_ops.connect(amqp_url=vhost.amqp_url, management_url=vhost.management_url, database_url=database)
    apply_topology(made.settings, write=True, force=True)
    return made


def register(database: str, worker: int, status: str, heartbeat: datetime) -> None:
    """What the worker itself, or its crash, leaves in the registry."""
    sql = """
        INSERT INTO attune.worker (id, name, status, last_heartbeat) VALUES (%s, %s, %s, %s)
        ON CONFLICT (id) DO UPDATE SET status = EXCLUDED.status, last_heartbeat = EXCLUDED.last_heartbeat
    """
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(sql, (worker, f"w{worker}", status, heartbeat))


def declare(ops: Ops, channel: Any, worker: int) -> str:
    """A worker's own queue, as the worker declares and binds it; its name."""
    (queue,) = ops.settings.topology.worker_queues(worker)
    channel.queue_declare(queue.name, durable=queue.durable, auto_delete=queue.auto_delete)
    for b in ops.settings.topology.worker_bindings(worker):
        channel.queue_bind(queue.name, b.source, b.routing_key)
    return queue.name


def send(channel: Any, queue: str, count: int) -> set[str]:
    ids = {str(uuid.uuid4()) for _ in range(count)}
    for i in ids:
        channel.basic_publish("", queue, json.dumps({"message_id": i}).encode())
    return ids


def saved(folder: Path) -> Counter[str]:
    found: Counter[str] = Counter()
    for file in folder.rglob("*.jsonl"):
        if file.name != audit.FILE:
            with file.open("rb") as lines:
                next(lines)
                found.update(m.data["message_id"] for m in decode_messages(lines) if isinstance(m, Message))
    return found


LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


class Returning(threading.Thread):
    """A worker that comes back at a random moment: registers, declares, binds, consumes; and tells what it got.

    Where its queue is deleted between declare and consume (404), it starts again, as a supervised one does.
    """

    def __init__(self, ops: Ops, vhost: Vhost, database: str, worker: int, delay: float) -> None:
        super().__init__()
        self.got: list[str] = []
        self.cancelled = False  # the queue was deleted although it had this consumer
        self.restarts = 0
        self.consuming = threading.Event()
        self.leave = threading.Event()
        self._ops, self._vhost, self._database, self._worker, self._delay = ops, vhost, database, worker, delay

    def run(self) -> None:
        time.sleep(self._delay)
        while not self._life():
            self.restarts += 1

    def _life(self) -> bool:
        with self._vhost.channel() as channel:
            register(self._database, self._worker, "active", datetime.now(UTC))
            try:
                queue = declare(self._ops, channel, self._worker)
                channel.add_on_cancel_callback(lambda _: setattr(self, "cancelled", True))
                channel.basic_consume(queue, self._on_message)
            except pika.exceptions.ChannelClosedByBroker:
                return False
            self.consuming.set()
            while not self.leave.is_set():
                channel.connection.process_data_events(time_limit=0.02)
        return True

    def _on_message(self, channel: Any, method: Any, properties: Any, body: bytes) -> None:
        self.got.append(json.loads(body)["message_id"])
        channel.basic_ack(method.delivery_tag)


@contextmanager
def returning(*of: Any) -> Iterator[Returning]:
    made = Returning(*of)
    made.start()
    try:
        yield made
    finally:
        made.leave.set()
        made.join(30)


@pytest.mark.slow
def test_beside_workers_that_come_and_go(ops: Ops, vhost: Vhost, database: str, tmp_path: Path) -> None:
    random.seed(SEED)
    began, verdicts, restarts, rounds = time.monotonic(), Counter[str](), 0, 0
    while rounds < ROUNDS and (rounds < 5 or time.monotonic() - began < BOUNDED_S):
        rounds += 1
        worker, folder = rounds, tmp_path / f"saved-{rounds}"
        register(database, worker, "active", LONG_AGO)
        with vhost.channel() as channel:
            queue = declare(ops, channel, worker)
            sent = send(channel, queue, random.choice([0, 0, 1, 3]))
        with returning(ops, vhost, database, worker, random.uniform(0, 0.35)) as other:
            result = ops.reap(queue, grace=NOW_GRACE, save_to=folder, apply=True)
            verdicts.update(c.verdict for c in result.candidates)
            assert other.consuming.wait(30), "the worker could not start"
            with vhost.channel() as channel:
                sent |= send(channel, queue, 2)  # goes to the worker, or there is no queue: returned, and it fails
                assert channel.queue_declare(queue, passive=True).method.consumer_count == 1
            deadline = time.monotonic() + 20
            while len(other.got) + saved(folder).total() < len(sent) and time.monotonic() < deadline:
                time.sleep(0.02)
            found = Counter(other.got) + saved(folder)
            assert set(found) == sent, f"round {rounds}, seed {SEED}: lost"
            assert not other.cancelled, f"round {rounds}, seed {SEED}: its queue was deleted under its consumer"
            restarts += other.restarts
    say(f"reap: {rounds} rounds, {dict(verdicts)}, {restarts} workers had to start again (seed {SEED})")


def test_a_queue_that_is_not_seen_twice_stays(ops: Ops, vhost: Vhost, database: str, run: Run) -> None:
    register(database, 7, "inactive", LONG_AGO)
    with vhost.channel() as channel:
        queue = declare(ops, channel, 7)
    first = ops.reap(grace=timedelta(seconds=0.5), apply=True)
    assert [c.verdict for c in first.candidates] == ["waits"]
    assert (
        "nothing was deleted yet"
        in run("--database-url", database, "reap", "--grace", "1h", "--apply", target=vhost).stderr
    )
    time.sleep(0.6)
    second = ops.reap(grace=timedelta(seconds=0.5), apply=True)
    assert [(c.queue, c.verdict) for c in second.candidates] == [(queue, "deleted")]
    assert ops.reap().candidates == ()


def test_a_message_that_somebody_holds_keeps_the_queue(ops: Ops, vhost: Vhost, database: str) -> None:
    """The broker's if-empty does not count what was delivered and not acknowledged."""
    register(database, 7, "inactive", LONG_AGO)
    with vhost.channel() as channel:
        queue = declare(ops, channel, 7)
        send(channel, queue, 1)
        channel.basic_get(queue)
        done = ops.reap(grace=NOW_GRACE, apply=True)
        assert [c.verdict for c in done.candidates] == ["kept"]
    assert vhost.api("GET", f"queues/{{vhost}}/{queue}").json()["name"] == queue


def test_without_a_registry_nothing_is_deleted(vhost: Vhost, run: Run) -> None:
    done = run("reap", "--grace", "0s", "--apply", target=vhost, status=2)
    assert "no worker registry is configured" in done.stderr
    none = {"ATTUNE_OPS_DATABASE_URL": f"sqlite:///{run.folder}/none.sqlite"}
    done = run("reap", "--grace", "0s", "--apply", target=vhost, env=none, status=3)
    assert "no worker has registered" in done.stderr


def test_a_protected_environment(ops: Ops, vhost: Vhost, database: str) -> None:
    import msgspec

    guarded = Ops(msgspec.structs.replace(ops.settings, env="prod", protected=True))
    with pytest.raises(ConfigError, match="protected"):
        guarded.reap(apply=True)
    with pytest.raises(ConfigError, match="no worker registry"):
        attune_ops.connect(amqp_url=vhost.amqp_url, management_url=vhost.management_url).reap()
    assert guarded.reap(apply=True, confirm="prod").candidates == ()
