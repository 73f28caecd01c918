"""Health of one worker, of the broker or of one route, for probes: one look, one line, fast to start.

Asks for nothing but what the answer needs, over the light HTTP transport and, for a SQLite registry, the
standard library: no requests, pika, SQLAlchemy or rich is loaded.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from attune_ops.doctor.health_result import Health, Kind
from attune_ops.installation import registry_read
from attune_ops.installation.config.settings import Settings
from attune_ops.installation.management import Management, open_management
from attune_ops.installation.operations import Operations, operation
from attune_ops.model import units
from attune_ops.model.errors import SourceError
from attune_ops.model.registry import Worker, WorkerStatus
from attune_ops.model.topology import Binding, Consumer
from attune_ops.model.waiting import wait_until

BETWEEN_LOOKS_S = 1.0


class Look:
    """Collects what one look finds."""

    def __init__(self, kind: Kind, name: str) -> None:
        self._kind, self.name = kind, name
        self._reasons: list[str] = []
        self._seen: list[str] = []
        self._started = time.perf_counter()

    def expect(self, good: bool, seen: str, reason: str) -> None:
        """Notes what was seen, or what speaks against health."""
        (self._seen if good else self._reasons).append(seen if good else reason)

    def health(self) -> Health:
        """The outcome."""
        spent = (time.perf_counter() - self._started) * 1000
        return Health(self._kind, self.name, tuple(self._reasons), tuple(self._seen), datetime.now(UTC), spent)


def worker_health(settings: Settings, worker: str | None = None, *, wait: float = 0.0) -> Health:
    """Looks whether a worker can get work: registered and fresh, its queues there, bound, each with its one consumer.

    Needs tag management and any permission in the virtual host, changes nothing. Raises `SourceError` where
    registry or management API cannot be read.
    """
    return _until_healthy(lambda: _worker(settings, worker or settings.own_worker), wait)


def _worker(settings: Settings, id_or_name: str) -> Health:
    look = Look("worker", id_or_name)
    worker = _registered(settings, id_or_name)
    if worker is None:
        shown = settings.database.shown if settings.database else "none"
        look.expect(False, "", f"it is not registered (registry {shown})")
        return look.health()
    look.name = f"{worker.id} ({worker.name})"
    _heartbeat(look, worker, timedelta(seconds=settings.heartbeat_interval))
    if worker.has_queues:
        with open_management(settings, light=True) as management:
            _queues(look, management, settings, worker.id)
    return look.health()


def broker_health(settings: Settings, *, wait: float = 0.0) -> Health:
    """Looks whether services can use the broker: it speaks AMQP, no alarm blocks publishers, the virtual host is up.

    Needs tag management and any permission in the virtual host, changes nothing. Raises `SourceError` where
    AMQP port or management API cannot be reached.
    """
    return _until_healthy(lambda: _broker(settings), wait)


def _broker(settings: Settings) -> Health:
    from attune_ops.installation import amqp

    look = Look("broker", settings.amqp.address)
    amqp.greet(settings.amqp, timeout=settings.timeout, ca_file=settings.ca_file)
    with open_management(settings, light=True) as management:
        management.exchanges()
        alarms = management.alarms()
        down = settings.vhost in management.virtual_hosts_down()
    look.expect(True, "it speaks AMQP", "")
    look.expect(not alarms, "no alarms", f"publishers are blocked: {', '.join(alarms)}")
    look.expect(not down, f"virtual host {settings.vhost!r} is up", f"virtual host {settings.vhost!r} is down")
    return look.health()


def route_health(settings: Settings, exchange: str, routing_key: str, *, wait: float = 0.0) -> Health:
    """Looks whether a message published there would reach a queue, by the bindings as the broker lists them.

    Needs tag management and any permission in the virtual host, publishes nothing. Raises `SourceError`.
    """
    return _until_healthy(lambda: _route(settings, exchange, routing_key), wait)


def _route(settings: Settings, exchange: str, routing_key: str) -> Health:
    from attune_ops.model.snapshot import BrokerSnapshot
    from attune_ops.routing import Router

    look = Look("route", f"{exchange!r} {routing_key!r}")
    with open_management(settings, light=True) as management:
        broker = BrokerSnapshot(
            settings.vhost,
            datetime.now(UTC),
            version=management.overview().rabbitmq_version,
            exchanges=management.exchanges(),
            queues=management.queues(statistics=False),
            bindings=management.bindings(),
            policies=management.policies(),
        )
    route = Router.from_snapshot(broker).route(exchange, routing_key)
    if route.error is not None:
        look.expect(False, "", f"the broker would refuse it: {route.error.code} {route.error.text}")
    else:
        reached = route.queues or route.possible
        look.expect(bool(reached), f"reaches {', '.join(reached)}", "reaches no queue; such a message is dropped")
    return look.health()


def _until_healthy(look: Callable[[], Health], seconds: float) -> Health:
    """Repeats a probe every second until it is healthy or the timeout is over; returns or raises the last outcome."""

    def attempt() -> Health | SourceError:
        try:
            return look()
        except SourceError as e:
            return e

    last = wait_until(attempt, lambda h: isinstance(h, Health) and h.healthy, timeout=seconds, interval=BETWEEN_LOOKS_S)
    if isinstance(last, SourceError):
        raise last
    return last


def _registered(settings: Settings, id_or_name: str) -> Worker | None:
    if settings.database is None:
        raise SourceError("no registry is configured; give --database-url (ATTUNE_OPS_DATABASE_URL)")
    with registry_read.session(settings.database, settings.timeout) as session:
        return registry_read.read_worker(session, id_or_name)


def _heartbeat(look: Look, worker: Worker, interval: timedelta) -> None:
    now = datetime.now(UTC)
    age = worker.heartbeat_age(now)
    ago = "never came" if age is None else f"{units.age(timedelta(seconds=max(0, round(age.total_seconds()))))} ago"
    if not worker.is_registered_live:
        stopped = " (cleanly stopped)" if worker.status == WorkerStatus.INACTIVE else ""
        look.expect(False, "", f"its status is {worker.status}{stopped}, last heartbeat {ago}")
        return
    late = f" (more than three intervals of {interval.total_seconds():g} s)" if age is not None else ""
    look.expect(not worker.is_stale(now, interval), f"heartbeat {ago}", f"heartbeat {ago}{late}")
    if worker.cordoned:
        look.expect(True, "cordoned: it gets no new work", "")


def _queues(look: Look, management: Management, settings: Settings, worker_id: int) -> None:
    topology = settings.topology
    bindings, consumers = topology.worker_bindings(worker_id), topology.worker_consumers(worker_id)
    for queue in topology.worker_queues(worker_id):
        found = management.queue(queue.name)
        if found is None:
            management.exchanges()  # raises where it is the virtual host that is missing
            look.expect(False, "", f"queue {queue.name} is missing")
            continue
        there = {(b.source, b.routing_key) for b in management.bindings_of(queue.name)}
        wanted = [b for b in bindings if b.destination == queue.name]
        lost = [b for b in wanted if (b.source, b.routing_key) not in there]
        look.expect(not lost, f"{queue.name} bound ({_keys(wanted)})", f"{queue.name} is not bound: {_keys(lost)}")
        if found.consumer_details is None:
            raise SourceError(f"management API {settings.management} tells no consumers: its statistics are disabled")
        tags = [c.consumer_tag for c in found.consumer_details]
        wrong = _against(tags, [c for c in consumers if c.queue == queue.name])
        look.expect(not wrong, f"consumer {', '.join(tags) or 'none, as expected'}", f"{queue.name} has {wrong}")


def _against(tags: list[str], wanted: list[Consumer]) -> str | None:
    """What is wrong with a queue's consumers, None when nothing is; a topology may leave a tag to the broker."""
    expected = sorted(c.tag for c in wanted if c.tag)
    if not tags and wanted:
        return "no consumer (a new one is told after up to 10 s)"
    if len(tags) != len(wanted):
        return f"{len(tags)} consumers ({', '.join(sorted(tags))}) instead of {len(wanted)}"
    return f"consumer {', '.join(sorted(tags))} instead of {', '.join(expected)}" if set(expected) - set(tags) else None


def _keys(bindings: list[Binding]) -> str:
    return ", ".join(f"{b.source} / {b.routing_key}" for b in bindings)


class Probes(Operations):
    """Whether a worker, the broker or a route is healthy; with `wait`, retried for that many seconds.

    Each returns a `Health` (`healthy`, `reasons`, `seen`), changes nothing, and raises `SourceError` where broker or
    registry cannot be read.
    """

    label = "health"
    worker = operation(worker_health)
    broker = operation(broker_health)
    route = operation(route_health)
