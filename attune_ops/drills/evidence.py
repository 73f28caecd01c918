"""What the ledger is made of: the services' own logs, and the messages that are left in queues at the end."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from attune_ops.drills.context import DELETED, Context
from attune_ops.drills.expectations import OUTCOMES
from attune_ops.drills.journal import Ledger
from attune_ops.drills.ledger import Attempt, ConsumerEvent, Leftover, account
from attune_ops.installation.amqp import short_connection
from attune_ops.installation.config.settings import Settings
from attune_ops.installation.management import open_management
from attune_ops.model.envelope import NotAnEnvelope, parse
from attune_ops.model.errors import SourceError
from attune_ops.model.topology import Topology
from attune_ops.startup.processes import RunningService
from attune_ops.startup.standins.publishing import number_of

DELIVERIES = ("received", "handled", "acked", "rejected", "requeued")
DLX = "x-dead-letter-exchange"


def count(context: Context, leftovers: list[Leftover]) -> Ledger:
    """Makes the ledger of a drill after its services have ended."""
    attempts = [*attempts_of(context), *context.attempts]
    targets = {a.queue for a in attempts}
    dead = _dead_letter_queues(context.topology) - targets
    delivered = list(_deliveries(context))
    deliveries = [d for d in delivered if d.queue not in dead]
    rejected = {d.number for d in deliveries if d.event == "rejected"}
    died = [
        Leftover(d.number, d.queue, "rejected" if d.number in rejected else "expired")
        for d in delivered
        if d.queue in dead and d.event == "acked"
    ]
    gone = dict.fromkeys(context.sampler.disappeared, DELETED) | _auto_deleted(context) | context.lost_queues
    return account(attempts, deliveries, [*leftovers, *context.found, *died], gone, targets if context.expires else ())


def attempts_of(context: Context) -> Iterator[Attempt]:
    """Every publish of the load with its outcome; indeterminate where the process was killed before it knew."""
    routes = _routes(context.topology)
    for load in context.services.loads:
        outcome = {e["message_id"]: e["event"] for e in load.events() if e["event"] in OUTCOMES}
        for e in load.events():
            if e["event"] == "attempted":
                queue = routes.get((e["exchange"], e["routing_key"]), "")
                yield Attempt(e["number"], outcome.get(e["message_id"], "indeterminate"), queue)


def drain(context: Context) -> list[Leftover]:
    """Removes and returns what is left in the queues of the drill's virtual hosts, which are deleted next."""
    ids = _message_ids(context)
    return [found for settings in (context.settings, *context.broker.others) for found in _drained(settings, ids)]


def _message_ids(context: Context) -> set[str]:
    return {e["message_id"] for load in context.services.loads for e in load.events() if e["event"] == "attempted"}


def _routes(topology: Topology) -> dict[tuple[str, str], str]:
    """Exchange and routing key of what the load sends, and the queue that it is meant for."""
    bindings = list(topology.base_bindings)
    for worker_id in range(1, 100):
        bindings += topology.worker_bindings(worker_id)
    return {(b.source, b.routing_key): b.destination for b in bindings if b.destination_kind == "queue"}


def _dead_letter_queues(topology: Topology) -> set[str]:
    exchanges = {q.arguments[DLX] for q in topology.queues if DLX in q.arguments}
    return {b.destination for b in topology.bindings if b.source in exchanges}


def _drained(s: Settings, ids: set[str]) -> Iterator[Leftover]:
    """Gets from every queue, whatever its count: that of a quorum queue is some seconds late."""
    import pika.exceptions

    with open_management(s) as management:
        queues = [q.name for q in management.totals() if not q.exclusive and q.type != "stream"]
    try:
        with short_connection(s, "drill drain") as connection:
            for queue in queues:
                # A queue on a node that is down closes the channel; the messages in it are unaccounted for.
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


def _deliveries(context: Context) -> Iterator[ConsumerEvent]:
    ids = _message_ids(context)
    for service in context.services.all:
        for e in service.events() if service not in context.services.loads else ():
            if e["event"] in DELIVERIES and e["message_id"] in ids:
                yield ConsumerEvent(
                    e["number"],
                    e["event"],
                    e["queue"],
                    bool(e.get("redelivered")),
                    early=bool(e.get("before_handling")),
                    crashed=bool(service.status),
                    killed=_was_killed(service),
                )


def _was_killed(service: RunningService) -> bool:
    """Whether a signal ended its process."""
    return (service.status or 0) < 0


def _auto_deleted(context: Context) -> dict[str, str]:
    """Auto-delete queues of workers that died or lost their connection: the broker deleted them, if only briefly."""
    found: dict[str, str] = {}
    for worker in context.services.workers:
        if worker.worker_id is None:
            continue
        lost = any(e["event"] in ("lost", "cancelled") for e in worker.events()) or _was_killed(worker)
        if lost:
            found |= {q.name: DELETED for q in context.services.queues_of(worker) if q.auto_delete}
    return found
