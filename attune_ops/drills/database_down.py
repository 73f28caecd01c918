"""The registry's database is away: at a heartbeat and at a registration."""

from __future__ import annotations

from collections.abc import Iterator

from attune_ops.drills import drill
from attune_ops.drills._expecting import Expect
from attune_ops.drills._stage import Stage


@drill(
    "database-down",
    hypothesis="Without the registry running workers go on and only their heartbeats fail; no new worker can start.",
    promise="RabbitMQ needs no database of Attune: what is bound stays bound, and consumers stay attached.",
    source="https://www.rabbitmq.com/docs/queues",
    heartbeat_s=4.0,
)
def database_down(stage: Stage) -> Iterator[Expect]:
    """The database of the drill's own registry goes away, and comes back (--registry postgresql: a server that stops).

    Three missed heartbeats and every worker counts as stale, although all of them work.

    To do: tell "the registry is down" from "the workers are down" before anybody restarts workers (AT103 goes before
    AT409 and AT410).
    """
    stage.fault("the registry's database is away", "the registry's database is back", stage.registry.up)
    stage.registry.down()
    load = stage.load(*stage.workers)
    yield stage.logged(stage.workers[0], "heartbeat_failed", within=20)
    yield stage.doctor_names("AT103", stage.registry.database.shown)
    late = stage.start("worker", "late", wait=False)
    yield stage.failed(late, None, "register", within=30)
    yield stage.sent(load, stage.parameters.count)
    stage.mend()
    stage.worker("late")
    yield stage.doctor_content()
