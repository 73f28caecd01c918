"""The clean stop of a service: its consumers go, then its connection, then its worker is inactive."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from attune_ops.installation import registry_write
from attune_ops.installation.amqp import depth
from attune_ops.installation.amqp_write import BrokerRefused, asking, cancel, delete_queue
from attune_ops.model.errors import AttuneOpsError
from attune_ops.model.topology import Per
from attune_ops.model.units import counted
from attune_ops.startup.steps import Ending

if TYPE_CHECKING:
    from pika import BlockingConnection

    from attune_ops.startup.sequence import Attached, OwnQueue, Service


def stop(service: Service) -> Ending:
    """Cancels the consumers, closes the connection and sets the worker inactive, as far as each still is there.

    An auto-delete queue goes with its last consumer, messages included; one that nothing has consumed would
    stay for ever, so it is deleted if it is empty and unused. Returns what was done and what is left.
    Undo: start again. Nothing is raised: what could not be done is among what is left.
    """
    done: list[str] = []
    left: list[str] = []
    try:
        _leave(service, done, left)
    finally:  # also where a broker that hangs made somebody interrupt the stop
        if service.worker is not None:
            _deactivate(service, done, left)
    if service.base is not None:
        left.append(f"the base infrastructure, which all services share: {service.base}")
    return Ending(tuple(done), tuple(left))


def _leave(service: Service, done: list[str], left: list[str]) -> None:
    connection = service._connection
    if connection is None:
        return
    if connection.is_open:
        _cancel_consumers(service, done, left)
        for own in service.own:
            _see_to_queue(connection, own, service, done, left)
    close(connection)
    done.append("connection closed")


def _cancel_consumers(service: Service, done: list[str], left: list[str]) -> None:
    for attached in service.attached:
        if not attached.channel.is_open:
            continue
        try:
            lost = _goes_along(service, attached)
            cancel(attached.channel, attached.tag)
        except AttuneOpsError as e:
            left.append(str(e))
        else:
            done.append(f"consumer {attached.tag} cancelled")
            if lost:
                done.append(f"{counted(lost, 'message')} lost: auto-delete took {attached.queue} with what was in it")


def _goes_along(service: Service, attached: Attached) -> int:
    """How many messages a queue of the service's own takes with it when this consumer goes."""
    connection, own = service._connection, {o.name: o.queue for o in service.own}
    if connection is None or attached.queue not in own or not own[attached.queue].auto_delete:
        return 0
    with asking(f"looking at queue {attached.queue!r}"):
        there = depth(connection, attached.queue)
    return there.messages + service.held[attached.tag] if there is not None and there.consumers == 1 else 0


def _see_to_queue(
    connection: BlockingConnection, own: OwnQueue, service: Service, done: list[str], left: list[str]
) -> None:
    """Finds out what became of a queue that the service declared, and deletes the one that nothing else would."""
    if own.queue.exclusive and own.queue.per is Per.REPLICA:
        return  # it goes with the connection
    try:
        with asking(f"looking at queue {own.name!r}"):
            there = depth(connection, own.name)
    except AttuneOpsError as e:
        left.append(f"queue {own.name}, which does not answer: {e}")
        return
    if there is None:
        done.append(
            f"queue {own.name} gone" + (" with its last consumer (auto-delete)" if own.queue.auto_delete else "")
        )
        return
    if own.queue.auto_delete and own.name not in {a.queue for a in service.attached}:
        with contextlib.suppress(BrokerRefused), asking("opening a channel"):
            delete_queue(connection.channel(), own.name, if_unused=True, if_empty=True)
            done.append(f"queue {own.name} deleted: nothing has consumed it, so auto-delete never would")
            return
    kind = "durable" if own.queue.durable else "auto-delete, in use by somebody else"
    left.append(f"queue {own.name} ({kind}, {there.messages} ready messages)")


def close(connection: BlockingConnection) -> None:
    """Closes a connection that may be broken already; the broker gives back what it held. Raises nothing."""
    import pika.exceptions

    with contextlib.suppress(pika.exceptions.AMQPError, OSError):
        if connection.is_open:
            connection.close()


def _deactivate(service: Service, done: list[str], left: list[str]) -> None:
    worker, settings = service.worker, service.settings
    assert worker is not None
    try:
        registry_write.deactivate(service.database, worker.id, timeout=settings.timeout)
    except AttuneOpsError as e:
        left.append(f"worker {worker.id} {worker.name!r} is still registered as running: {e}")
    else:
        done.append(f"worker {worker.id} {worker.name!r} is inactive")
