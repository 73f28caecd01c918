"""A virtual host in which Attune's services run for real, to be broken by a test of the doctor."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Collection
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import msgspec
import pika
from pika.exceptions import AMQPError

from attune_ops.doctor.findings import Report, Severity
from attune_ops.installation import registry_write
from attune_ops.installation.amqp import close
from attune_ops.installation.config import Settings, resolve
from attune_ops.ops import Ops
from attune_ops.startup.service import Service
from tests.world import Vhost

JANUARY, SEPTEMBER = "attune-2026-01", "attune-2026-09"


def found(report: Report, severity: Severity) -> set[tuple[str, str]]:
    """Code and subject of what is of that severity and not a flaw of the topology itself."""
    return {(f.code, f.subject.name) for f in report.findings if f.severity is severity and f.group != "design"}


def stopped_worker(settings: Settings, name: str) -> None:
    """Makes the registry, with a worker that has stopped cleanly."""
    assert settings.database is not None
    worker = registry_write.register(settings.database, name)
    registry_write.deactivate(settings.database, worker.id)


class Place:
    """A virtual host in which an executor and two workers run by January's topology, or another."""

    def __init__(self, vhost: Vhost, folder: Path, topology: str = JANUARY) -> None:
        self.vhost = vhost
        self._topology = topology
        self.services: dict[str, Service] = {}
        self.more_environment: dict[str, str] = {}
        self._stack = ExitStack()
        file = folder / f"{vhost.name.replace('/', '_')}.sqlite"
        self.use_registry(f"sqlite:///{file}")

    def use_registry(self, url: str) -> None:
        """Takes another database as the registry; only before a service starts."""
        options = {"amqp_url": self.vhost.amqp_url, "management_url": self.vhost.management_url}
        options |= {"topology": self._topology, "database_url": url}
        # So that no heartbeat gets stale but the one that a test makes so.
        self.settings = msgspec.structs.replace(resolve(options, {}), stale_after=600.0)
        self.database = url

    def start(self, service: str, name: str | None = None, ok: bool = True, **options: object) -> Service:
        """Starts a service; `options` are those of `Service`."""
        made = self._stack.enter_context(Service(self.settings, service, name=name, amqp_heartbeat=0, **options))  # type: ignore[arg-type]
        assert made.start().ok is ok
        self.services[name or service] = made
        self._registered_long_ago()
        return made

    def populate(self) -> Place:
        """Starts an executor, a sensor, an API where it consumes, and the workers w1 and w2."""
        own = [("api", None)] if self.settings.topology.replica_queues("api") else []
        for service, name in (("executor", None), ("sensor", None), *own, ("worker", "w1"), ("worker", "w2")):
            self.start(service, name)
        return self

    def _registered_long_ago(self) -> None:
        """Sets the workers to be registered since a year: one of the last minutes would count as starting."""
        if not self.database.startswith("sqlite"):
            import psycopg

            with psycopg.connect(self.database, autocommit=True) as connection:
                connection.execute("UPDATE attune.worker SET created = now() - interval '1 year'")
        elif self.settings.database is not None and self.settings.database.file.exists():
            self.sql("UPDATE worker SET created = '2025-01-01 00:00:00'")

    def beat(self) -> None:
        """Sends the heartbeats that the workers here would send every 30 s; a stale one stays stale."""
        running = {name: s.state.amqp for name, s in self.services.items()}
        connected = ", ".join(f"'{name}'" for name, amqp in running.items() if amqp is not None and amqp.is_open)
        if connected and Path(self.database.removeprefix("sqlite:///")).is_file():
            self.sql(
                "UPDATE worker SET last_heartbeat = datetime('now'), updated = datetime('now') WHERE status = 'active' "
                f"AND last_heartbeat > datetime('now', '-10 minutes') AND name IN ({connected})"
            )

    def consume(
        self, queue: str, tag: str, *, requeue: bool = False, reject: bool = False, auto_ack: bool = False
    ) -> None:
        """A client that consumes from a queue, and holds what it gets, gives it back without a delay or rejects it.

        With `auto_ack` the broker deletes each message when it sends it.
        """
        ready = threading.Event()

        def answer(channel: Any, method: Any, *_: object) -> None:
            if requeue or reject:
                channel.basic_nack(method.delivery_tag, requeue=requeue)

        def serve() -> None:
            connection = pika.BlockingConnection(pika.URLParameters(self.vhost.amqp_url))
            channel = connection.channel()
            channel.basic_qos(prefetch_count=10)
            channel.basic_consume(queue, answer, consumer_tag=tag, auto_ack=auto_ack)

            def stop() -> None:
                with suppress(AMQPError):  # a test may have closed it
                    connection.add_callback_threadsafe(channel.stop_consuming)

            self._stack.callback(thread.join)
            self._stack.callback(stop)
            ready.set()
            with suppress(AMQPError):
                channel.start_consuming()
            close(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        assert ready.wait(20)

    def judged(self, **thresholds: float) -> None:
        """Changes thresholds of the doctor."""
        self.settings = msgspec.structs.replace(self.settings, thresholds={**self.settings.thresholds, **thresholds})

    def look(self, only: Collection[str] = (), **options: Any) -> Report:
        """What the doctor says now."""
        return Ops(self.settings).doctor(only, **options)

    def publish(self, exchange: str, key: str, count: int) -> None:
        """Publishes messages, each confirmed."""
        with self.vhost.channel() as channel:
            for _ in range(count):
                channel.basic_publish(exchange, key, b"{}")

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables that point the command here."""
        named = {"ATTUNE_OPS_DATABASE_URL": self.database, "ATTUNE_OPS_TOPOLOGY": self.settings.topology.name}
        return self.vhost.environment | named | self.more_environment

    def sql(self, statement: str) -> None:
        """Changes the registry."""
        with sqlite3.connect(self.database.removeprefix("sqlite:///")) as connection:
            connection.execute(statement)

    def close(self) -> None:
        """Stops every service."""
        self._stack.close()
