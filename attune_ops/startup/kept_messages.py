"""Copies of what a borrowed worker is sent, kept where its own queue is auto-deleted with its messages.

An auto-delete queue is deleted with its last consumer, also where the process of that consumer is killed. So a durable
queue with the same bindings is made before, and gets a copy of every message.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from attune_ops.installation.amqp import Depth, depth
from attune_ops.installation.amqp_write import BrokerRefused, asking, bind, declare_queue, delete_queue, unbind
from attune_ops.model.errors import ActionError
from attune_ops.model.topology import Per, Queue, kept_queue
from attune_ops.model.units import counted
from attune_ops.model.waiting import wait_until

if TYPE_CHECKING:
    from pika import BlockingConnection

    from attune_ops.startup.service_state import ServiceState

GONE_S = 3.0  # how long until an auto-delete queue without a consumer is gone
ROUTED_S = 0.3  # how long a message is on its way to a queue whose binding was just removed


class Kept(NamedTuple):
    """A queue of copies that remains, of which queue, and its messages; None where they are unknown."""

    name: str
    original: str
    messages: int | None


def keep(state: ServiceState, queue: Queue) -> None:
    """Declares and binds the queue of copies for an auto-delete queue of the worker, unless it was done before.

    Does nothing for another queue. Undo: `release`. Raises `BrokerRefused`.
    """
    if not queue.auto_delete or queue.per is not Per.WORKER or queue.name in state.kept:
        return
    name = kept_queue(queue.name)
    bindings = tuple(b for b in state.settings.topology.worker_bindings(state.worker_id) if b.destination == queue.name)
    declare_queue(state.channel, Queue(name))
    state.kept[queue.name] = bindings
    for binding in bindings:
        bind(state.channel, binding, name)


def keep_all(state: ServiceState) -> None:
    """Does `keep` for every auto-delete queue of the worker that exists, before it is consumed.

    Raises `ActionError` where such a queue has a message of which there is no copy, and `BrokerRefused`.
    """
    for queue in state.settings.topology.worker_queues(state.worker_id):
        if not queue.auto_delete or _depth(state.connection, queue.name) is None:
            continue
        keep(state, queue)
        own, copies = _depth(state.connection, queue.name), _depth(state.connection, kept_queue(queue.name))
        if own is not None and own.messages > (copies.messages if copies else 0):
            raise ActionError(
                f"queue {queue.name!r} has {counted(own.messages, 'message')} from before this start-up, and it is "
                f"auto-deleted with its last consumer, messages included. Start the worker itself"
            )


def release(connection: BlockingConnection, state: ServiceState) -> Iterator[Kept]:
    """Removes the queues of copies, and yields those that remain because only they have the messages.

    A copy is deleted where the original queue still has the message. Raises `BrokerRefused`.
    """
    consumed = {c.queue for c in state.consumers}
    for original, bindings in state.kept.items():
        name = kept_queue(original)
        there = _is_there(connection, original, wait=original in consumed)
        channel = connection.channel()
        for b in bindings:
            unbind(channel, b, name)
        time.sleep(ROUTED_S)
        try:
            delete_queue(connection.channel(), name, if_unused=True, if_empty=there is not True)
        except BrokerRefused:
            found = depth(connection, name)
            yield Kept(name, original, found.messages if found else None)


def _depth(connection: BlockingConnection, queue: str) -> Depth | None:
    """What a passive declare answers; raises `BrokerRefused` also where the connection is lost."""
    with asking(f"inspecting queue {queue!r}"):
        return depth(connection, queue)


def _is_there(connection: BlockingConnection, queue: str, *, wait: bool) -> bool | None:
    """Whether the queue stays; None where it still is there and should be gone: its consumer has left."""
    with asking(f"inspecting queue {queue!r}"):
        now = wait_until(
            lambda: depth(connection, queue),
            lambda found: not wait or found is None or found.consumers > 0,
            timeout=GONE_S,
            interval=0.1,
        )
    if now is None:
        return False
    return True if not wait or now.consumers else None
