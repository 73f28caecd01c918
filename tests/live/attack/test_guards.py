"""Guards that no other test missed when they were taken out: what each protects, at the very moment that it does."""

from __future__ import annotations

import itertools
import os
import sqlite3
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from attune_ops.cleanup import reap
from attune_ops.installation.amqp_write import delete_queue
from attune_ops.installation.config import resolve
from attune_ops.messages.queue_reader import QueueReader
from attune_ops.startup.processes import start_service
from attune_ops.topology.apply import apply_topology
from tests.live.cleanup.test_reap import LONG_AGO, NOW_GRACE, declare, ops, register, saved, send
from tests.live.messages.site import connect, declare_work, depth, envelope
from tests.live.messages.site import send as send_work
from tests.world import Vhost, eventually

__all__ = ["ops"]  # a fixture


class Meanwhile:
    """Does something once, after reap has saved and looked, and just before the broker is told to delete."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, happens: Any) -> None:
        self._delete, self._happens, self.calls = delete_queue, happens, 0
        monkeypatch.setattr(reap, "delete_queue", self)

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        self.calls += 1
        if self.calls == 1:
            self._happens()
        return self._delete(*arguments, **options)


def test_a_message_that_arrives_before_the_deletion_is_saved(
    ops: Any, vhost: Vhost, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`if_empty`: without it the message is deleted with the queue, unsaved."""
    register(database, 7, "inactive", LONG_AGO)
    with vhost.channel() as channel:
        queue = declare(ops, channel, 7)
        sent = send(channel, queue, 2)
        late = set[str]()
        meanwhile = Meanwhile(monkeypatch, lambda: late.update(send(channel, queue, 1)))
        (done,) = ops.reap(queue, grace=NOW_GRACE, save_to=tmp_path / "saved", apply=True).candidates
    assert meanwhile.calls == 2
    assert done.verdict == "deleted"
    assert set(saved(tmp_path / "saved")) == sent | late


def test_a_consumer_that_arrives_before_the_deletion_keeps_the_queue(
    ops: Any, vhost: Vhost, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`if_unused`: without it the worker that came back loses its queue."""
    register(database, 7, "inactive", LONG_AGO)
    with vhost.channel() as channel:
        queue = declare(ops, channel, 7)
        Meanwhile(monkeypatch, lambda: channel.basic_consume(queue, lambda *_: None))
        (done,) = ops.reap(queue, grace=NOW_GRACE, save_to=tmp_path / "saved", apply=True).candidates
        assert (done.verdict, done.reason) == ("kept", "it has a consumer again")
        assert channel.queue_declare(queue, passive=True).method.consumer_count == 1


def test_a_message_is_on_disk_before_it_is_acknowledged(
    vhost: Vhost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`fsync`: without it a power cut after the acknowledgement loses the message."""
    declare_work(vhost)
    send_work(connect(vhost), *(envelope(n=n) for n in range(1_200)))  # more than one batch
    file, safe, acknowledged = tmp_path / "f", [0], [0]
    fsync, acknowledge = os.fsync, QueueReader.acknowledge

    def synced(descriptor: int) -> None:
        fsync(descriptor)
        if (
            os.path.sameopenfile(descriptor, descriptor)
            and file.exists()
            and os.path.samestat(os.fstat(descriptor), file.stat())
        ):
            safe.append(file.read_bytes().count(b"\n") - 1)

    def acknowledging(self: QueueReader, tags: list[int]) -> None:
        acknowledged.append(acknowledged[-1] + len(tags))
        assert safe[-1] >= acknowledged[-1], f"{acknowledged[-1]} acknowledged, {safe[-1]} on disk"
        acknowledge(self, tags)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(QueueReader, "acknowledge", acknowledging)
    done = connect(vhost).messages.drain("work", file, apply=True)
    assert done.count("drained") == acknowledged[-1] == 1_200
    assert len(acknowledged) > 2
    assert depth(vhost, "work") == 0


def test_messages_for_a_stopped_worker_are_an_error(vhost: Vhost, database: str) -> None:
    """A stopped worker's empty queue may wait for it; messages in it are consumed by nobody."""
    import attune_ops

    made = attune_ops.connect(None, False, amqp_url=vhost.amqp_url, management_url=vhost.management_url,
                              database_url=database, topology="attune-2026-09")  # fmt: skip
    apply_topology(made.settings, write=True)
    register(database, 7, "inactive", datetime.now(UTC))
    with vhost.channel() as channel:
        for queue in made.settings.topology.worker_queues(7):
            channel.queue_declare(queue.name, durable=queue.durable, auto_delete=queue.auto_delete)
        name = made.settings.topology.worker_queues(7)[0].name
        assert severities(made) == {"info"}
        send(channel, name, 3)
        eventually(lambda: severities(made) == {"error"}, every=0.5)


def severities(made: Any) -> set[str]:
    return {str(f.severity) for f in made.doctor(only=["AT407"]).findings}


def test_heartbeats_are_sent_at_the_configured_interval(vhost: Vhost, tmp_path: Path) -> None:
    """`heartbeat_interval` of the configuration file, down to the times in the registry."""
    registry, config = tmp_path / "registry.sqlite", tmp_path / "attune-ops.toml"
    config.touch(0o600)
    config.write_text(
        f'default_env = "x"\n[env.x]\namqp_url = "{vhost.amqp_url}"\nmanagement_url = "{vhost.management_url}"\n'
        f'database_url = "sqlite:///{registry}"\nheartbeat_interval = 0.5\n'
    )
    settings = resolve({"config": str(config)}, {})
    assert settings.heartbeat_interval == 0.5
    seen = list[datetime]()
    with start_service(settings, "worker", "w1", tmp_path / "w1.jsonl") as worker:
        worker.wait_for("ready")
        end = time.monotonic() + 5
        while time.monotonic() < end:
            with sqlite3.connect(registry) as connection:
                at = datetime.fromisoformat(connection.execute("SELECT last_heartbeat FROM worker").fetchone()[0])
            seen += [at] if at not in seen else []
            time.sleep(0.05)
    apart = [(b - a).total_seconds() for a, b in itertools.pairwise(seen[1:])]
    assert len(apart) >= 4, seen
    assert min(apart) >= 0.45, apart
