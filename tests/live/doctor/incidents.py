"""The incidents of real installations as broken states in release 0.6, beside those of `broken`."""

from __future__ import annotations

import pika
import pytest
from pika.exceptions import ChannelClosedByBroker, ConnectionClosedByBroker

from attune_ops.installation import amqp_write as act
from attune_ops.model.topology import Binding, Exchange, Queue
from tests.live.doctor.broken import DLX, W1, W2, State, executor_down
from tests.live.places import Place

STATUS = "attune.execution.status.queue"
LIFECYCLE = "attune.rules.lifecycle.queue"
SIX = "attune-0.6"
STATUS_KEY = "execution.status.changed"


def wrong_queue_and_reused_tag(p: Place) -> None:
    """The executor's start fails with 404, and that of the next release with 530: nobody consumes."""
    executor_down(p)
    for queues, code in (("executor.main",), 404), ((STATUS, STATUS), 530):
        connection = pika.BlockingConnection(pika.URLParameters(p.vhost.amqp_url))
        channel = connection.channel()
        for queue in queues:  # sent as they are: pika itself refuses to use a tag twice
            channel._impl._send_method(pika.spec.Basic.Consume(queue=queue, consumer_tag="executor"))
        with pytest.raises((ChannelClosedByBroker, ConnectionClosedByBroker)) as refused:
            channel.basic_qos()
        assert refused.value.args[0] == code
        if connection.is_open:
            connection.close()


def three_kinds(p: Place) -> None:
    for tag in ("executor.completion", "executor.enforcement"):
        p.consume(STATUS, tag)


def sensor_lost(p: Place) -> None:
    """It has no queue but one that the broker named, which goes with it."""
    p.services["sensor"].disconnect()


def api_lost(p: Place) -> None:
    p.services["api"].disconnect()


def stopped_with_scheduled(p: Place) -> None:
    p.services["w2"].stop()
    p.sql("CREATE TABLE execution (id INTEGER, action_ref TEXT, status TEXT, worker INTEGER, updated TEXT)")
    p.sql("INSERT INTO execution VALUES (1, 'a', 'scheduled', 2, datetime('now', '-2 minutes'))")


def thirty_dead(p: Place) -> None:
    for number in range(30):
        p.sql(
            f"INSERT INTO worker (name, status, last_heartbeat) VALUES ('d{number}', 'active', '2026-01-01 00:00:00')"
        )


def without_ttl(p: Place) -> None:
    """The queue is of the release before 2026-02-09; the worker of the next one cannot declare it."""
    p.services["w1"].stop()
    with p.vhost.channel() as channel:
        act.delete_queue(channel, W1)
        act.declare_queue(channel, Queue(W1, arguments=dict(DLX)))
        act.bind(channel, Binding("attune.executions", W1, "execution.dispatch.worker.1"))
    p.start("worker", "w1", ok=False).disconnect()


def still_direct(p: Place) -> None:
    with p.vhost.channel() as channel:
        act.delete_exchange(channel, "attune.executions")
        act.declare_exchange(channel, Exchange("attune.executions", "direct"))
        topology = p.settings.topology
        for b in (*topology.base_bindings, *topology.worker_bindings(1), *topology.worker_bindings(2)):
            if b.source == "attune.executions":
                act.bind(channel, b)
    p.start("worker", "w3", ok=False).disconnect()


def requeued_without_delay(p: Place) -> None:
    executor_down(p)
    p.consume(STATUS, "executor.manager", requeue=True)
    p.publish("attune.executions", STATUS_KEY, 1)


def lost_session(p: Place) -> None:
    """The heartbeats go on."""
    p.services["w2"].disconnect()


def lifecycle_queue(p: Place) -> None:
    with p.vhost.channel() as channel:
        act.declare_queue(channel, Queue(LIFECYCLE))
        for key in ("rule.created", "rule.enabled", "rule.disabled", "rule.deleted", "pack.registered"):
            act.bind(channel, Binding("attune.events", LIFECYCLE, key))
    p.publish("attune.events", "rule.created", 3)


def rolled_out(p: Place) -> None:
    """Two pods of the last roll-out: their rows are deleted after 30 days, their queues stay."""
    for name in ("w3", "w4"):
        p.start("worker", name).stop()
        p.sql(f"DELETE FROM worker WHERE name = '{name}'")


def parked(p: Place) -> None:
    p.sql("CREATE TABLE execution (id INTEGER, action_ref TEXT, status TEXT, worker INTEGER, updated TEXT)")
    p.sql("INSERT INTO execution VALUES (1, 'a', 'requested', NULL, '2026-01-01 00:00:00')")
    p.sql("CREATE TABLE execution_admission_entry (execution_id INTEGER, status TEXT)")
    p.sql("INSERT INTO execution_admission_entry VALUES (1, 'queued')")


INCIDENTS = {
    "404 executor.main, 530 reused tag": State(wrong_queue_and_reused_tag, {("AT405", "executor")}, topology=SIX),
    "three kinds on one queue": State(three_kinds, {("AT417", STATUS)}, prints={"AT417 consumers"}, topology=SIX),
    "stopped, executions scheduled": State(
        stopped_with_scheduled, {("AT414", "1")}, prints={"AT414 workers"}, topology=SIX
    ),
    "thirty dead": State(thirty_dead, {("AT409", "d0")}, prints={"AT409 retire"}, topology=SIX),
    "406 after TTL": State(without_ttl, {("AT206", W1)}, prints={"AT206 topology diff"}, topology=SIX),
    "406 after direct": State(still_direct, {("AT205", "attune.executions")}, topology=SIX),
    "requeued without delay": State(
        requeued_without_delay, warnings={("AT507", STATUS)}, prints={"AT507 consumers"}, only=("AT507",), topology=SIX
    ),
    "lost session": State(lost_session, {("AT403", W2)}, prints={"AT403 consumers"}, topology=SIX),
    "lifecycle queue": State(lifecycle_queue, warnings={("AT412", LIFECYCLE)}, topology=SIX),
    "rolled out": State(
        rolled_out,
        warnings={("AT407", "worker.3.executions"), ("AT407", "worker.4.executions")},
        prints={"AT407 reap"},
        topology=SIX,
    ),
    "parked": State(parked, topology=SIX),
    "sensor lost": State(sensor_lost, {("AT405", "sensor")}, prints={"AT405 consumers"}, topology=SIX),
    "API lost": State(api_lost, {("AT405", "api")}, prints={"AT405 consumers"}, topology=SIX),
}
