"""The seven steps of a worker against the same calls in bare pika and sqlite3."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pika

from attune_ops.installation.config import Settings
from attune_ops.model.topology import Per
from attune_ops.startup.service import Service
from benches import Result, Site, side_by_side

RUNS = 40
WRITTEN = ("status", "host", "port", "capabilities", "last_heartbeat", "updated")
LIMIT = 1.1


def measure(site: Site) -> Iterator[Result]:
    """Both topologies; each side has a registry of its own and registers a name that it knows."""
    for topology in ("attune-2026-01", "attune-2026-09"):
        settings = site.settings(topology, f"ours-{topology}")
        bare = site.settings(topology, f"bare-{topology}")
        for side, at in ((ours, settings), (without, bare)):
            side(at)  # the first time differs: later ones find everything declared, and compare it
        first, second = side_by_side(lambda s=settings: ours(s), lambda s=bare: without(s), RUNS)
        yield Result(f"worker start-up, {topology}", "the same calls in bare pika", first, second, LIMIT, RUNS)
        take_down(settings)


def ours(settings: Settings) -> float:
    with Service(settings, "worker", name="ours") as service:
        began = time.perf_counter()
        assert service.start().ok
        return (time.perf_counter() - began) * 1000


def without(settings: Settings) -> float:
    """What `Service.start` asks of broker and registry, and nothing else."""
    amqp = settings.amqp
    credentials = pika.PlainCredentials(amqp.user, amqp.password.reveal())
    assert settings.database is not None
    file = settings.database.file
    began = time.perf_counter()
    connection = pika.BlockingConnection(pika.ConnectionParameters(amqp.host, amqp.port, amqp.path, credentials))
    channel = connection.channel()
    declare_base(channel, settings)
    worker = register(file)
    consumed = declare_own(connection, channel, settings, worker)
    for queue in consumed:
        assert channel.queue_declare(queue, passive=True).method.consumer_count
    took = (time.perf_counter() - began) * 1000
    connection.close()
    return took


def declare_base(channel: pika.channel.Channel, settings: Settings) -> None:
    topology = settings.topology
    for x in topology.exchanges:
        channel.exchange_declare(x.name, x.type, durable=x.durable)
    for q in topology.common_queues:
        channel.queue_declare(q.name, durable=q.durable, auto_delete=q.auto_delete, arguments=q.arguments)
    for b in topology.common_bindings:
        channel.queue_bind(b.destination, b.source, b.routing_key)
    for x in topology.exchanges:  # the start-up confirms what it has declared
        channel.exchange_declare(x.name, passive=True)
    for q in topology.common_queues:
        channel.queue_declare(q.name, passive=True)


def declare_own(
    connection: pika.BlockingConnection, channel: pika.channel.Channel, settings: Settings, worker: int
) -> list[str]:
    topology = settings.topology
    names = {}
    for q in (*topology.queues_of("worker"), *topology.worker_queues(worker), *topology.replica_queues("worker")):
        asked = "" if q.per is Per.REPLICA else q.name
        made = channel.queue_declare(
            asked, durable=q.durable, exclusive=q.exclusive, auto_delete=q.auto_delete, arguments=q.arguments
        )
        names[q.name] = made.method.queue
    for name in names.values():
        channel.queue_declare(name, passive=True)
    bindings = [
        *(b for q in topology.queues_of("worker") for b in topology.bindings_to(q.name)),
        *topology.worker_bindings(worker),
        *(b for b in topology.bindings if b.destination == "worker.metadata"),
    ]
    for b in bindings:
        channel.queue_bind(names[b.destination], b.source, b.routing_key)
    consumers = [*topology.worker_consumers(worker), *(c for c in topology.consumers if c.queue == "worker.metadata")]
    for c in consumers:
        own = connection.channel()
        own.basic_qos(prefetch_count=c.prefetch_at(8))
        own.basic_consume(names[c.queue], lambda *message: None, consumer_tag=c.tag or None)
    return [names[c.queue] for c in consumers]


def register(file: Path) -> int:
    """The statements of a registration: the newest row of the name is looked up, and updated or inserted."""
    now = datetime.now(UTC).isoformat()
    connection = sqlite3.connect(file, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    connection.execute(
        "CREATE TABLE IF NOT EXISTS worker (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT, status TEXT, host TEXT, "
        "port INTEGER, capabilities TEXT, last_heartbeat TEXT, updated TEXT)"
    )
    found = connection.execute("SELECT id FROM worker WHERE name = ? ORDER BY id DESC LIMIT 1", ["bare"]).fetchall()
    values = ("active", "host", None, json.dumps({"max_concurrent_executions": 8}), now, now)
    if found:
        worker = int(found[0][0])
        assignments = ", ".join(f"{name} = ?" for name in WRITTEN)
        connection.execute(f"UPDATE worker SET {assignments} WHERE id = ?", (*values, worker))
    else:
        sql = f"INSERT INTO worker (name, {', '.join(WRITTEN)}) VALUES (?, ?, ?, ?, ?, ?, ?)"
        worker = int(connection.execute(sql, ("bare", *values)).lastrowid or 0)
    connection.commit()
    connection.close()
    return worker


def take_down(settings: Settings) -> None:
    """Makes room for the next topology, whose exchanges have other types and whose workers' queues differ."""
    from attune_ops.installation.amqp import open_connection
    from attune_ops.installation.amqp_write import delete_queue
    from attune_ops.startup.steps import take_down

    connection = open_connection(settings.amqp, name="bench")
    channel = connection.channel()
    for queue in settings.topology.worker_queues(1):
        delete_queue(channel, queue.name)
    take_down(channel, settings.topology)
    connection.close()
