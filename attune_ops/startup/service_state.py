"""What a service holds on broker and registry."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from attune_ops.installation import registry_write
from attune_ops.installation.amqp_write import OnMessage, asking
from attune_ops.installation.config.settings import Database, Settings
from attune_ops.model.errors import ActionError
from attune_ops.model.topology import Binding, Consumer, Queue

if TYPE_CHECKING:
    from pika import BlockingConnection
    from pika.adapters.blocking_connection import BlockingChannel


class OwnQueue(NamedTuple):
    """A queue that the service declared: its definition in the topology, and its real name.

    `new`: it did not exist before, which is looked up for a service that gives everything back.
    """

    queue: Queue
    name: str
    consumers_before: int
    new: bool = False


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
    None. Without `on_message` a message is counted in `held`, by consumer tag, and not acknowledged.

    With a `guard`, which may refuse the registration, the service `borrows` the worker: a known row is left as it is, a
    new one is made so that the scheduler sends the worker nothing, a copy of what it is sent nevertheless is kept where
    its queue is auto-deleted, and the clean stop gives everything back: a new row and new, empty queues are deleted.
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
    kept: dict[str, tuple[Binding, ...]] = field(
        default_factory=dict
    )  # queues with copies, by the name of the original

    @property
    def borrows(self) -> bool:
        """Whether the clean stop leaves nothing of this service behind."""
        return self.guard is not None

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
