"""What the ledger is made of: the services' own logs, and the messages that are left in queues at the end."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

from attune_ops.drills._stage import DELETED, Stage
from attune_ops.drills.journal import Ledger
from attune_ops.drills.ledger import Attempt, Delivery, Leftover, account
from attune_ops.installation.amqp import short_connection
from attune_ops.installation.config.settings import Settings
from attune_ops.installation.management import open_management
from attune_ops.model.envelope import NotAnEnvelope, parse
from attune_ops.model.errors import SourceError
from attune_ops.startup.processes import RunningService
from attune_ops.startup.standins.publishing import number_of

OUTCOMES = ("confirmed", "returned", "nacked", "indeterminate")
TAKEN = ("received", "handled", "acked", "rejected", "requeued")
DLX = "x-dead-letter-exchange"


def count(stage: Stage, leftovers: Iterable[Leftover]) -> Ledger:
    """The ledger of a stage whose services have ended."""
    attempts = list(attempts_of(stage))
    targets = {a.queue for a in attempts}
    dead = dead_queues(stage)
    consumers = [s for s in stage.services if s not in stage.loads]
    taken = list(_deliveries(consumers, ids_of(stage)))
    deliveries = [d for d in taken if d.queue not in dead - targets]
    rejected = {d.number for d in deliveries if d.event == "rejected"}
    died = [
        Leftover(d.number, d.queue, "rejected" if d.number in rejected else "expired")
        for d in taken
        if d.queue in dead - targets and d.event == "acked"
    ]
    gone = dict.fromkeys(stage.eye.vanished, DELETED) | _left_alone(stage) | stage.gone
    return account(attempts, deliveries, [*leftovers, *died], gone, _expiring(stage, targets))


def attempts_of(stage: Stage) -> Iterator[Attempt]:
    """Every publish of the load with its outcome; one whose process was killed before it knew is indeterminate."""
    where = routes(stage)
    for load in stage.loads:
        outcome = {e["message_id"]: e["event"] for e in load.events() if e["event"] in OUTCOMES}
        for e in load.events():
            if e["event"] == "attempted":
                queue = where.get((e["exchange"], e["routing_key"]), "")
                yield Attempt(e["number"], outcome.get(e["message_id"], "indeterminate"), queue)


def ids_of(stage: Stage) -> set[str]:
    """The message ids of everything that the load sent."""
    return {e["message_id"] for load in stage.loads for e in load.events() if e["event"] == "attempted"}


def routes(stage: Stage) -> dict[tuple[str, str], str]:
    """Exchange and routing key of what the load sends, and the queue that it is meant for."""
    topology = stage.topology
    bindings = list(topology.base_bindings)
    for worker_id in range(1, 100):
        bindings += topology.worker_bindings(worker_id)
    return {(b.source, b.routing_key): b.destination for b in bindings if b.destination_kind == "queue"}


def dead_queues(stage: Stage) -> set[str]:
    """The queues that are bound to an exchange of dead letters."""
    exchanges = {q.arguments[DLX] for q in stage.topology.queues if DLX in q.arguments}
    return {b.destination for b in stage.topology.bindings if b.source in exchanges}


def drain(stage: Stage) -> list[Leftover]:
    """Takes what is left in the queues of the drill's own virtual hosts, which are about to go."""
    ids = ids_of(stage)
    return [found for settings in (stage.settings, *stage.elsewhere) for found in _drained(settings, ids)]


def _drained(s: Settings, ids: set[str]) -> Iterator[Leftover]:
    """Asks every queue: a quorum queue tells its count some seconds late."""
    import pika.exceptions

    with open_management(s) as management:
        queues = [q.name for q in management.totals() if not q.exclusive and q.type != "stream"]
    try:
        with short_connection(s, "drill drain") as connection:
            for queue in queues:
                # One that cannot be asked, as its node is down, closes the channel; what it holds is unaccounted for.
                with contextlib.suppress(pika.exceptions.ChannelClosedByBroker):
                    yield from _take(connection.channel(), queue, ids)
    except pika.exceptions.AMQPError as e:
        raise SourceError(f"the broker does not answer: {type(e).__name__}") from None


def _take(channel: Any, queue: str, ids: set[str]) -> Iterator[Leftover]:
    while True:
        method, properties, body = channel.basic_get(queue, auto_ack=True)
        if method is None:
            return
        deaths = (properties.headers or {}).get("x-death") or ()
        try:
            number = number_of(parse(body))
        except NotAnEnvelope:
            continue
        if number is not None and properties.message_id in ids:
            yield Leftover(number, queue, str(deaths[0]["reason"]) if deaths else None)


def _deliveries(consumers: Iterable[RunningService], ids: set[str]) -> Iterator[Delivery]:
    for service in consumers:
        for e in service.events():
            if e["event"] in TAKEN and e["message_id"] in ids:
                yield Delivery(e["number"], e["event"], e["queue"], bool(e.get("redelivered")))


def _left_alone(stage: Stage) -> dict[str, str]:
    """Auto-delete queues whose consumer lost its connection or died: they went with it, if only for a moment."""
    found: dict[str, str] = {}
    for worker in stage.workers:
        if worker.worker_id is None:
            continue
        lost = any(e["event"] in ("lost", "cancelled") for e in worker.events()) or (worker.status or 0) < 0
        if lost:
            found |= {q.name: DELETED for q in stage.queues_of(worker) if q.auto_delete}
    return found


def _expiring(stage: Stage, targets: set[str]) -> set[str]:
    return targets if stage.expires else set()
