"""Health of one worker, of the broker or of one route, for probes: one check, one line, fast to start.

It reads only what it needs, with the light HTTP client and, for a SQLite registry, the standard library: it loads no
requests, pika, SQLAlchemy or rich.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Literal

import msgspec

from attune_ops.installation import registry_read
from attune_ops.installation.broker_release import recognised
from attune_ops.installation.config.settings import NO_REGISTRY, Settings
from attune_ops.installation.management import SAMPLE_INTERVAL_S, Management, open_management
from attune_ops.installation.management_types.objects import OneQueue
from attune_ops.installation.operations import Operations, operation
from attune_ops.model import units
from attune_ops.model.display import Shown
from attune_ops.model.errors import SourceError
from attune_ops.model.registry import Worker
from attune_ops.model.topology import Binding, Consumer
from attune_ops.model.waiting import wait_until

SCHEMA = "attune-ops/health/1"
Kind = Literal["worker", "broker", "route"]
INTERVAL_S = 1.0  # between two checks while waiting


class Health(Shown, msgspec.Struct, frozen=True):
    """The outcome of one check: `reasons` against health (none if healthy), and `seen`, what was found in order."""

    kind: Kind
    name: str
    reasons: tuple[str, ...]
    seen: tuple[str, ...]
    taken_at: datetime
    duration_ms: float = 0.0

    @property
    def healthy(self) -> bool:
        """Whether there is no reason against it."""
        return not self.reasons

    @property
    def line(self) -> str:
        """The whole result in one line."""
        details = "; ".join(self.reasons or self.seen)
        return f"{'healthy' if self.healthy else 'not healthy'}: {self.kind} {self.name}: {details}"


class HealthCheck:
    """Collects the observations of one check."""

    def __init__(self, kind: Kind, name: str) -> None:
        self._kind, self.name = kind, name
        self._reasons: list[str] = []
        self._seen: list[str] = []
        self._started = time.perf_counter()

    def expect(self, good: bool, seen: str, reason: str) -> None:
        """Records what was seen if it is good, else the reason against health."""
        (self._seen if good else self._reasons).append(seen if good else reason)

    def health(self) -> Health:
        """The outcome."""
        spent = (time.perf_counter() - self._started) * 1000
        return Health(self._kind, self.name, tuple(self._reasons), tuple(self._seen), datetime.now(UTC), spent)


def worker_health(settings: Settings, worker: str | None = None, *, wait: float = 0.0) -> Health:
    """Checks that a worker can receive work: registered, heartbeat fresh, queues bound and consumed as expected.

    A consumer that holds its whole prefetch while messages are ready is checked again after 7 s: one that got nothing
    in this time is stuck. Reads registry and management API, needs tag management and any permission in the virtual
    host, changes nothing. Retries for at most `wait` s. Raises `SourceError` if registry or management API cannot be
    read.
    """
    return _until_healthy(lambda: _worker(settings, worker or settings.own_worker), wait)


def _worker(settings: Settings, id_or_name: str) -> Health:
    check = HealthCheck("worker", id_or_name)
    worker = _registered(settings, id_or_name)
    if worker is None:
        shown = settings.database.shown if settings.database else "none"
        check.expect(False, "", f"not registered (registry {shown})")
        return check.health()
    check.name = f"{worker.id} ({worker.name})"
    limit, now = timedelta(seconds=settings.stale_after), datetime.now(UTC)
    if not worker.has_queues:
        _heartbeat(check, worker, limit, now)
        return check.health()
    with open_management(settings, light=True) as management:
        settings = recognised(settings, management)
        found = {q.name: management.queue(q.name) for q in settings.topology.worker_queues(worker.id)}
        if worker.can_be_starting(now, limit) and all(q and q.consumer_details == [] for q in found.values()):
            check.expect(False, "", f"starting: its queues exist, no consumer yet; heartbeat {_ago(worker, now)}")
            return check.health()
        _heartbeat(check, worker, limit, now)
        _queues(check, management, settings, worker.id, found)
    return check.health()


def broker_health(settings: Settings, *, wait: float = 0.0) -> Health:
    """Checks that services can use the broker: AMQP responds, no alarm blocks publishers, the virtual host is up.

    Reads the management API, needs tag management and any permission in the virtual host, changes nothing. Retries for
    at most `wait` s. Raises `SourceError` if AMQP port or management API cannot be reached.
    """
    return _until_healthy(lambda: _broker(settings), wait)


def _broker(settings: Settings) -> Health:
    from attune_ops.installation import amqp

    check = HealthCheck("broker", settings.amqp.address)
    amqp.greet(settings.amqp, timeout=settings.timeout, ca_file=settings.ca_file)
    with open_management(settings, light=True) as management:
        if not management.exchanges():  # a virtual host always has some
            raise SourceError(
                f"management API {settings.management} lists no exchanges: RabbitMQ does not answer there"
            )
        alarms = management.alarms()
        down = settings.vhost in management.virtual_hosts_down()
    check.expect(True, "AMQP responds", "")
    check.expect(not alarms, "no alarms", f"an alarm blocks publishers: {', '.join(alarms)}")
    check.expect(not down, f"virtual host {settings.vhost!r} is up", f"virtual host {settings.vhost!r} is down")
    return check.health()


def route_health(settings: Settings, exchange: str, routing_key: str, *, wait: float = 0.0) -> Health:
    """Checks that a message with this exchange and routing key reaches a queue, by the bindings on the broker.

    Reads the management API, needs tag management and any permission in the virtual host, publishes nothing. Retries
    for at most `wait` s. Raises `SourceError`.
    """
    return _until_healthy(lambda: _route(settings, exchange, routing_key), wait)


def _route(settings: Settings, exchange: str, routing_key: str) -> Health:
    from attune_ops.model.snapshot import BrokerSnapshot
    from attune_ops.routing import Router

    check = HealthCheck("route", f"{exchange!r} {routing_key!r}")
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
        check.expect(False, "", f"the broker refuses the message: {route.error.code} {route.error.text}")
    else:
        reached = route.queues or route.possible
        check.expect(bool(reached), f"routed to {', '.join(reached)}", "routed to no queue: the message is dropped")
    return check.health()


def _until_healthy(check: Callable[[], Health], seconds: float) -> Health:
    """Repeats a check every second until it is healthy or the timeout is over; returns or raises the last outcome."""

    def attempt() -> Health | SourceError:
        try:
            return check()
        except SourceError as e:
            return e

    last = wait_until(attempt, lambda h: isinstance(h, Health) and h.healthy, timeout=seconds, interval=INTERVAL_S)
    if isinstance(last, SourceError):
        raise last
    return last


def _registered(settings: Settings, id_or_name: str) -> Worker | None:
    if settings.database is None:
        raise SourceError(NO_REGISTRY)
    with registry_read.session(settings.database, settings.timeout) as session:
        return registry_read.read_worker(session, id_or_name)


def _heartbeat(check: HealthCheck, worker: Worker, limit: timedelta, now: datetime) -> None:
    ago = _ago(worker, now)
    if not worker.is_registered_live:
        stopped = {True: " (crashed: its heartbeat stopped)", False: " (stopped cleanly)", None: ""}[worker.crashed]
        check.expect(False, "", f"status is {worker.status}{stopped}, last heartbeat {ago}")
        return
    late = f" (stale: more than {limit.total_seconds():g} s)" if worker.last_heartbeat else ""
    check.expect(not worker.is_stale(now, limit), f"heartbeat {ago}", f"heartbeat {ago}{late}")
    if worker.cordoned:
        check.expect(True, "cordoned: it receives no new work", "")


def _ago(worker: Worker, now: datetime) -> str:
    age = worker.heartbeat_age(now)
    return "never sent" if age is None else f"{units.age(timedelta(seconds=max(0, round(age.total_seconds()))))} ago"


def _queues(
    check: HealthCheck, management: Management, settings: Settings, worker_id: int, queues: dict[str, OneQueue | None]
) -> None:
    topology = settings.topology
    bindings, consumers = topology.worker_bindings(worker_id), topology.worker_consumers(worker_id)
    suspects: dict[str, OneQueue] = {}
    for queue in topology.worker_queues(worker_id):
        found = queues[queue.name]
        if found is None:
            management.exchanges()  # raises if the virtual host is missing
            check.expect(False, "", f"queue {queue.name} is missing")
            continue
        actual = {(b.source, b.routing_key) for b in management.bindings_of(queue.name)}
        desired = [b for b in bindings if b.destination == queue.name]
        missing = [b for b in desired if (b.source, b.routing_key) not in actual]
        bound = f"{queue.name} bound ({_keys(desired)})"
        check.expect(not missing, bound, f"{queue.name} is not bound: {_keys(missing)}")
        if found.consumer_details is None:
            raise SourceError(f"management API {settings.management} lists no consumers: its statistics are disabled")
        tags = [c.consumer_tag for c in found.consumer_details]
        wrong = _drift(tags, [c for c in consumers if c.queue == queue.name])
        check.expect(not wrong, f"consumer {', '.join(tags) or 'none, as expected'}", f"{queue.name} has {wrong}")
        if _is_at_prefetch(found, found.messages_ready, found.messages_unacknowledged):
            suspects[queue.name] = found
    _stuck(check, management, suspects)


def _is_at_prefetch(queue: OneQueue, ready: int | None, held: int | None) -> bool:
    """Whether messages are ready and the only consumer holds its whole prefetch."""
    consumers = queue.consumer_details or ()
    return len(consumers) == 1 and bool(ready) and 0 < (consumers[0].prefetch_count or 0) <= (held or 0)


def _stuck(check: HealthCheck, management: Management, suspects: dict[str, OneQueue]) -> None:
    """Reads the queues again after the statistics interval; the counts are live, an equal counter says no delivery."""
    if suspects:
        time.sleep(SAMPLE_INTERVAL_S)
    for name, before in suspects.items():
        after, live = management.queue(name), management.live_counts(name)
        if after is None or live is None or after.message_stats is None or before.message_stats is None:
            continue
        ready, held = live.messages_ready, live.messages_unacknowledged
        if not _is_at_prefetch(after, ready, held) or after.message_stats.deliver_get is None:
            continue
        stuck = after.message_stats.deliver_get == before.message_stats.deliver_get
        check.expect(
            not stuck,
            f"{name} moves",
            f"{name} is stuck: its consumer holds {units.counted(held or 0, 'unacknowledged message')} (its prefetch "
            f"limit) and acknowledged none in {SAMPLE_INTERVAL_S:g} s; {ready:,} ready",
        )


def _drift(tags: list[str], desired: list[Consumer]) -> str | None:
    """How a queue's consumers differ from the topology, or None; a topology may leave a tag to the broker."""
    expected = sorted(c.tag for c in desired if c.tag)
    if not tags and desired:
        return "no consumer (a new one is listed after up to 10 s)"
    if len(tags) != len(desired):
        return f"{len(tags)} consumers ({', '.join(sorted(tags))}) instead of {len(desired)}"
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
