"""The clean stop of a service: what it held is given back, and what remains is said."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from attune_ops.installation import registry_write
from attune_ops.installation.amqp import close, depth, short_connection
from attune_ops.installation.amqp_write import BrokerRefused, asking, cancel, delete_queue
from attune_ops.model.command_lines import line
from attune_ops.model.errors import AttuneOpsError
from attune_ops.model.topology import Per, kept_queue
from attune_ops.model.units import counted
from attune_ops.startup.kept_messages import Kept, release
from attune_ops.startup.service_state import OwnConsumer, OwnQueue, ServiceState
from attune_ops.startup.startup_report import Ending

if TYPE_CHECKING:
    from pika import BlockingConnection


def stop(state: ServiceState) -> Ending:
    """Cancels the consumers, closes the connection and sets the worker to inactive, as far as each is still there.

    A service that `borrows` its worker gives back what it took, see `ServiceState`.

    An auto-delete queue is deleted with its last consumer, messages included. One that never had a consumer would
    remain, so it is deleted if it is empty and unused. Returns what was done and what remains. Undo: start again.
    Raises nothing: what failed is listed among what remains.
    """
    return _CleanStop(state).run()


class _CleanStop:
    def __init__(self, state: ServiceState) -> None:
        self.state = state
        self.done: list[str] = []
        self.left: list[str] = []
        self.new: list[str] = []  # the new queues of a borrowed worker that are to be deleted
        self.sent = 0  # messages that a borrowed worker was sent and that remain
        self.inspected = False  # whether `sent` is known

    def run(self) -> Ending:
        state = self.state
        try:
            if state.amqp is not None:
                self._leave_broker(state.amqp)
            if state.borrows:
                self._inspect_again()
        finally:  # also where the stop was interrupted because the broker hangs
            ours = state.worker is None or self._unregister(state.worker)
        if ours and self.new:
            self._delete_new()
        if state.base is not None:
            self.left.append(f"base infrastructure, used by all services: {state.base}")
        state.forget_connection()
        state.worker, state.base, state.queues, state.kept = None, None, [], {}
        return Ending(tuple(self.done), tuple(self.left))

    def _leave_broker(self, connection: BlockingConnection) -> None:
        if connection.is_open:
            for consumer in self.state.consumers:
                if consumer.channel.is_open:
                    self._cancel(connection, consumer)
            for own in self.state.queues if not self.state.borrows else ():
                self._check_queue(connection, own)
        close(connection)
        self.done.append("connection closed")

    def _cancel(self, connection: BlockingConnection, consumer: OwnConsumer) -> None:
        try:
            lost = self._lost_with(connection, consumer)
            cancel(consumer.channel, consumer.tag)
        except AttuneOpsError as e:
            self.left.append(str(e))
            return
        self.done.append(f"consumer {consumer.tag} cancelled")
        if lost:
            self.done.append(f"{counted(lost, 'message')} lost: {consumer.queue} was auto-deleted with its messages")

    def _lost_with(self, connection: BlockingConnection, consumer: OwnConsumer) -> int:
        """The number of messages that are deleted with the service's own queue when this consumer is cancelled."""
        own = any(o.name == consumer.queue and o.queue.auto_delete for o in self.state.queues)
        if not own or consumer.queue in self.state.kept:
            return 0
        with asking(f"inspecting queue {consumer.queue!r}"):
            now = depth(connection, consumer.queue)
        return now.messages + self.state.held[consumer.tag] if now is not None and now.consumers == 1 else 0

    def _inspect_again(self) -> None:
        """Inspects the queues of a borrowed worker over a connection of its own: the other one may be broken."""
        if not self.state.queues and not self.state.kept:
            self.inspected = True
            return
        try:
            with asking("inspecting the queues"), short_connection(self.state.settings, "startup") as connection:
                for kept in release(connection, self.state):
                    self._report_kept(kept)
                for own in self.state.queues:
                    self._check_queue(connection, own)
            self.inspected = True
        except AttuneOpsError as e:
            names = [*map(kept_queue, self.state.kept), *(own.name for own in self.state.queues)]
            self.left.append(f"{', '.join(names)} (state unknown: {e})")

    def _report_kept(self, kept: Kept) -> None:
        self.sent += 1 if kept.messages is None else kept.messages
        number = "an unknown number of messages" if kept.messages is None else counted(kept.messages, "message")
        self.left.append(
            f"queue {kept.name}: {number} that {kept.original} was sent meanwhile. To read them: "
            f"{line('messages', 'peek', kept.name)}. To give them to the worker when it runs again: "
            f"{line('messages', 'move', kept.name, kept.original, '--apply')}"
        )

    def _check_queue(self, connection: BlockingConnection, own: OwnQueue) -> None:
        """Reports whether a declared queue remains, and deletes one that auto-delete would never delete."""
        if own.queue.exclusive and own.queue.per is Per.REPLICA:
            return  # it is deleted with the connection
        try:
            with asking(f"inspecting queue {own.name!r}"):
                now = depth(connection, own.name)
        except AttuneOpsError as e:
            self.left.append(f"queue {own.name} (state unknown: {e})")
            return
        if now is None:
            how = "auto-deleted with its last consumer" if own.queue.auto_delete else "gone"
            self.done.append(f"queue {own.name} {how}")
            return
        if own.queue.auto_delete and own.name not in {c.queue for c in self.state.consumers}:
            with contextlib.suppress(BrokerRefused), asking("opening a channel"):
                delete_queue(connection.channel(), own.name, if_unused=True, if_empty=True)
                self.done.append(f"queue {own.name} deleted: it never had a consumer, so auto-delete does not apply")
                return
        if own.new and not now.messages:
            self.new.append(own.name)
            return
        self.sent += now.messages if own.new else 0
        kind = "durable" if own.queue.durable else "auto-delete, used by another client"
        self.left.append(f"queue {own.name} ({kind}, {counted(now.messages, 'ready message')})")

    def _unregister(self, worker: registry_write.Registered) -> bool:
        """Sets the worker to inactive, or gives a borrowed one back; False where that failed."""
        database, timeout = self.state.database, self.state.settings.timeout
        gives_back = self.state.borrows and (worker.known or (self.inspected and not self.sent))
        try:
            if gives_back:
                registry_write.give_back(database, worker, timeout=timeout)
            else:
                registry_write.deactivate(database, worker.id, timeout=timeout)
        except AttuneOpsError as e:
            self.left.append(f"worker {worker.id} {worker.name!r} is still registered as running: {e}")
            return False
        who = f"worker {worker.id} {worker.name!r}"
        if self.state.borrows and not gives_back:
            why = f"it was sent {counted(self.sent, 'message')}" if self.inspected else "it may have been sent messages"
            self.left.append(
                f"{who}, a new row, inactive: {why}. To delete it when they are handled: "
                f"DELETE FROM {self._table()} WHERE id = {worker.id}"
            )
        elif not gives_back:
            self.done.append(f"{who} is inactive")
        elif worker.known:
            self.done.append(f"{who}: its row is as it was ({worker.status})")
        else:
            self.done.append(f"{who}: its new row is deleted")
        return True

    def _table(self) -> str:
        database = self.state.database
        return f"{database.schema}.worker" if database.kind == "postgresql" else "worker"

    def _delete_new(self) -> None:
        """Deletes the new queues of a borrowed worker; the broker keeps one that has a message or consumer by now."""
        try:
            with asking("deleting new queues"), short_connection(self.state.settings, "startup") as connection:
                for name in self.new:
                    try:
                        delete_queue(connection.channel(), name, if_unused=True, if_empty=True)
                        self.done.append(f"queue {name} deleted: it was new and is empty")
                    except BrokerRefused as e:
                        self.left.append(f"queue {name} ({e.text})")
        except AttuneOpsError as e:
            self.left.append(f"{', '.join(self.new)}: not deleted ({e})")
