"""What a service holds on broker and registry, and the clean stop that gives it back."""

from __future__ import annotations

import contextlib
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from attune_ops.installation import registry_write
from attune_ops.installation.amqp import close, depth
from attune_ops.installation.amqp_write import BrokerRefused, OnMessage, asking, cancel, delete_queue
from attune_ops.installation.config.settings import Database, Settings
from attune_ops.model.errors import ActionError, AttuneOpsError
from attune_ops.model.topology import Consumer, Per, Queue
from attune_ops.model.units import counted
from attune_ops.startup.startup_report import Ending

if TYPE_CHECKING:
    from pika import BlockingConnection
    from pika.adapters.blocking_connection import BlockingChannel


class OwnQueue(NamedTuple):
    """A queue that the service declared: its definition in the topology, and its real name."""

    queue: Queue
    name: str
    consumers_before: int


class OwnConsumer(NamedTuple):
    """A consumer of the service, on a channel of its own."""

    channel: BlockingChannel
    consumer: Consumer
    queue: str
    tag: str


@dataclass
class ServiceState:
    """One service: its options, and what its steps have opened, declared and registered so far.

    `prefetch` replaces the topology's; `amqp_heartbeat` is that of the connection, in s, the broker's where it is
    None. Without `on_message` a message is counted in `held`, by consumer tag, and not acknowledged. With a `guard`,
    which may refuse the registration, the clean stop gives the row of a known worker its former values back.
    """

    settings: Settings
    service: str
    name: str
    concurrency: int
    prefetch: int | None = None
    amqp_heartbeat: int | None = None
    on_message: OnMessage | None = None
    guard: registry_write.Guard | None = None
    amqp: BlockingConnection | None = None
    declaring: BlockingChannel | None = None
    worker: registry_write.Registered | None = None
    base: str | None = None  # what the setup step declared
    queues: list[OwnQueue] = field(default_factory=list)
    consumers: list[OwnConsumer] = field(default_factory=list)
    held: Counter[str] = field(default_factory=Counter)

    @property
    def database(self) -> Database:
        """The registry's database; raises `ConfigError` where none is configured."""
        return self.settings.registry

    @property
    def connection(self) -> BlockingConnection:
        """The connection; raises `ActionError` while there is none."""
        if self.amqp is None:
            raise ActionError("no connection: the connect step was skipped")
        return self.amqp

    @property
    def channel(self) -> BlockingChannel:
        """The channel for declarations, opened on first use."""
        if self.declaring is None:
            with asking("opening a channel"):
                self.declaring = self.connection.channel()
        return self.declaring

    @property
    def worker_id(self) -> int:
        """The id from the registry, part of a worker's queue names; raises `ActionError` where there is none."""
        if self.worker is None:
            raise ActionError("no worker id, so the queue has no name: the register step was skipped")
        return self.worker.id

    def prefetch_of(self, consumer: Consumer) -> int:
        """The prefetch of a consumer."""
        return consumer.prefetch_at(self.concurrency) if self.prefetch is None else self.prefetch

    def receive(self, channel: BlockingChannel, method: Any, properties: object, body: bytes) -> None:
        """Hands a message to `on_message`, or counts it as held."""
        if self.on_message is None:
            self.held[method.consumer_tag] += 1
        else:
            self.on_message(channel, method, properties, body)

    def forget_closed_channel(self) -> None:
        """Forgets the channel for declarations where the broker has closed it, so that the next use opens another."""
        if self.declaring is not None and self.declaring.is_closed:
            self.declaring = None

    def forget_connection(self) -> None:
        """Drops the connection without closing it."""
        self.amqp = self.declaring = None
        self.consumers = []


def stop(state: ServiceState) -> Ending:
    """Cancels the consumers, closes the connection and sets the worker to inactive, as far as each is still there.

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

    def run(self) -> Ending:
        state = self.state
        try:
            if state.amqp is not None:
                self._leave_broker(state.amqp)
        finally:  # also where the stop was interrupted because the broker hangs
            if state.worker is not None:
                self._deactivate(state.worker)
        if state.base is not None:
            self.left.append(f"base infrastructure, used by all services: {state.base}")
        state.forget_connection()
        state.worker, state.base, state.queues = None, None, []
        return Ending(tuple(self.done), tuple(self.left))

    def _leave_broker(self, connection: BlockingConnection) -> None:
        if connection.is_open:
            for consumer in self.state.consumers:
                if consumer.channel.is_open:
                    self._cancel(connection, consumer)
            for own in self.state.queues:
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
        if not any(o.name == consumer.queue and o.queue.auto_delete for o in self.state.queues):
            return 0
        with asking(f"inspecting queue {consumer.queue!r}"):
            now = depth(connection, consumer.queue)
        return now.messages + self.state.held[consumer.tag] if now is not None and now.consumers == 1 else 0

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
        kind = "durable" if own.queue.durable else "auto-delete, used by another client"
        self.left.append(f"queue {own.name} ({kind}, {counted(now.messages, 'ready message')})")

    def _deactivate(self, worker: registry_write.Registered) -> None:
        database, timeout = self.state.database, self.state.settings.timeout
        restores = worker.known and self.state.guard is not None
        try:
            if restores:
                registry_write.give_back(database, worker, timeout=timeout)
            else:
                registry_write.deactivate(database, worker.id, timeout=timeout)
        except AttuneOpsError as e:
            self.left.append(f"worker {worker.id} {worker.name!r} is still registered as running: {e}")
        else:
            how = f"has its former row again ({worker.before.get('status')})" if restores else "is inactive"
            self.done.append(f"worker {worker.id} {worker.name!r} {how}")
