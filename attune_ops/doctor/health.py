"""Health of one worker, of the broker or of one route, for probes: one check, one line, fast to start.

It reads only what it needs, with the light HTTP client and, for a SQLite registry, the standard library: it loads no
requests, pika, SQLAlchemy or rich.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from attune_ops.doctor.health_check import Health, HealthCheck
from attune_ops.doctor.worker_health import check_worker
from attune_ops.installation.config.settings import Settings
from attune_ops.installation.http import ApiError
from attune_ops.installation.management import Management, open_management
from attune_ops.installation.metadata_store import majority
from attune_ops.installation.operations import Operations, operation
from attune_ops.model import units
from attune_ops.model.errors import SourceError
from attune_ops.model.passive import MANAGEMENT_API
from attune_ops.model.waiting import OnProgress, at_changes, wait_until

INTERVAL_S = 1.0  # between two checks while waiting


def worker_health(
    settings: Settings, worker: str | None = None, *, wait: float = 0.0, on_progress: OnProgress = lambda line: None
) -> Health:
    """Checks that a worker can receive work: registered, heartbeat fresh, queues bound and consumed as expected.

    A consumer that holds its whole prefetch while messages are ready is busy or stuck: that is seen, and no reason
    against health, since a probe would restart a worker that runs a long action. Reads registry and management API,
    needs tag management and any permission in the virtual host, changes nothing. Where the management API does not
    answer, passive declares over AMQP tell whether the queues exist and how many consumers they have. Retries for at
    most `wait` s; `on_progress` gets a line when that begins, and whenever the reason changes. Raises `SourceError` if
    the registry, or the management API and AMQP, cannot be read, and `ConfigError` if no registry is configured.

    >>> ops.health.worker("w1", wait=10).healthy
    True
    """
    return _until_healthy(lambda: check_worker(settings, worker), wait, on_progress)


def broker_health(settings: Settings, *, wait: float = 0.0, on_progress: OnProgress = lambda line: None) -> Health:
    """Checks that services can use the broker: AMQP responds, no alarm blocks publishers, the virtual host is up.

    In a cluster also that this side of it accepts declares. Reads the management API, needs tag management and any
    permission in the virtual host (for the nodes of a cluster tag monitoring), changes nothing. Retries for at most
    `wait` s. Raises `SourceError` if AMQP port or management API cannot be reached.

    >>> ops.health.broker().line
    "healthy: broker ...: AMQP responds; no alarms; virtual host ... is up"
    """
    return _until_healthy(lambda: _broker(settings), wait, on_progress)


def _broker(settings: Settings) -> Health:
    from attune_ops.installation import amqp

    check = HealthCheck("broker", settings.amqp.address)
    amqp.greet(settings.amqp, timeout=settings.timeout, tls=settings.tls)
    with open_management(settings, light=True) as management:
        management.exchanges()  # raises where the virtual host is missing, or RabbitMQ does not answer there
        alarms = management.alarms()
        down = settings.vhost in management.virtual_hosts_down()
        check.expect(True, "AMQP responds", "")
        check.expect(not alarms, "no alarms", f"an alarm blocks publishers: {', '.join(alarms)}")
        check.expect(not down, f"virtual host {settings.vhost!r} is up", f"virtual host {settings.vhost!r} is down")
        _majority(check, management)
    return check.health()


def _majority(check: HealthCheck, management: Management) -> None:
    """Whether services can declare here; a user without tag monitoring cannot see the nodes."""
    try:
        nodes = management.nodes()
    except ApiError as e:
        if e.status not in (401, 403):
            raise
        check.skip("running nodes", "the user has no monitoring tag", MANAGEMENT_API)
        return
    running, total = sum(n.running for n in nodes), len(nodes)
    seen = f"{running} of {total} nodes are running" if total > 1 else ""
    lost = f"only {running} of {total} nodes are running as seen from here: without a majority, Khepri"
    enough = majority(management, nodes) is not False
    if seen or not enough:
        check.expect(enough, seen, f"{lost} refuses to declare, bind and delete")


def route_health(
    settings: Settings,
    exchange: str,
    routing_key: str,
    *,
    wait: float = 0.0,
    on_progress: OnProgress = lambda line: None,
) -> Health:
    """Checks that a message with this exchange and routing key reaches a queue, by the bindings on the broker.

    Reads the management API, needs tag management and any permission in the virtual host, publishes nothing. Retries
    for at most `wait` s. Raises `SourceError`.

    >>> ops.health.route("attune.executions", "worker.99").reasons
    ('routed to no queue: the message is dropped',)
    """
    return _until_healthy(lambda: _route(settings, exchange, routing_key), wait, on_progress)


def _route(settings: Settings, exchange: str, routing_key: str) -> Health:
    from attune_ops.model.snapshot import BrokerSnapshot
    from attune_ops.routing import Router

    check = HealthCheck("route", f"{exchange!r} {routing_key!r}")
    with open_management(settings, light=True) as management:
        bindings = management.bindings()
        broker = BrokerSnapshot(
            settings.vhost,
            datetime.now(UTC),
            version=management.overview().rabbitmq_version,
            exchanges=management.exchanges(),
            queues=management.queues(bindings),
            bindings=bindings,
            policies=management.policies(),
        )
    route = Router.from_snapshot(broker).route(exchange, routing_key)
    if route.error is not None:
        check.expect(False, "", f"the broker refuses the message: {route.error.code} {route.error.text}")
    else:
        reached = route.queues or route.possible
        check.expect(bool(reached), f"routed to {', '.join(reached)}", "routed to no queue: the message is dropped")
        for queue in (q for q in broker.queues or () if q.name in reached and q.is_unavailable):
            check.expect(False, "", f"{queue.name} is unavailable (state {queue.state}): it gets no messages")
    return check.health()


def _until_healthy(check: Callable[[], Health], seconds: float, on_progress: OnProgress) -> Health:
    """Repeats a check every second until it is healthy or the timeout is over; returns or raises the last outcome."""

    def attempt() -> Health | SourceError:
        try:
            return check()
        except SourceError as e:
            return e

    def healthy(outcome: Health | SourceError) -> bool:
        return isinstance(outcome, Health) and outcome.healthy

    def reason(outcome: Health | SourceError) -> str:
        return "; ".join(outcome.reasons) if isinstance(outcome, Health) else str(outcome)

    def say(why: str, left: float) -> None:
        on_progress(f"waiting for up to {units.age(timedelta(seconds=round(left)))}: {why}")

    last = wait_until(
        attempt, healthy, timeout=seconds, interval=INTERVAL_S, on_wait=at_changes(reason, say), what="waiting"
    )
    if isinstance(last, SourceError):
        raise last
    return last


class Probes(Operations):
    """Whether a worker, the broker or a route is healthy; with `wait`, retried for that many seconds.

    Each returns a `Health` (`healthy`, `reasons`, `seen`), changes nothing, and raises `SourceError` where broker or
    registry cannot be read.
    """

    label = "health"
    worker = operation(worker_health)
    broker = operation(broker_health)
    route = operation(route_health)
