"""The registry's database is down during heartbeats and a registration."""

from __future__ import annotations

from attune_ops.drills.catalog import drill
from attune_ops.drills.context import Context, Steps


@drill(
    hypothesis="Without the registry running workers continue and only their heartbeats fail; no new worker can start.",
    promise="RabbitMQ needs no database of Attune: bindings and consumers stay.",
    source="https://www.rabbitmq.com/docs/queues",
    heartbeat_s=4.0,
)
def database_down(context: Context) -> Steps:
    """The database of the drill's registry goes down and comes back (--registry postgresql: its server stops).

    After three missed heartbeats every worker counts as stale, although all of them work.

    To do: check whether the registry or the workers are down before you restart workers (AT103 explains AT409 and
    AT410).
    """
    context.faults.announce(
        "the registry's database is down", "the registry's database is up again", context.registry.up
    )
    context.registry.down()
    load = context.services.load(*context.services.workers)
    yield context.expect.logged(context.services.workers[0], "heartbeat_failed", within=20)
    yield context.expect.doctor_reports("AT103", context.registry.database.shown)
    late = context.services.start("worker", "late", wait=False)
    yield context.expect.failed(late, None, "register", within=30)
    yield context.expect.sent(load, context.count)
    context.faults.revert()
    context.services.worker("late")
    yield context.expect.doctor_reports_none()
