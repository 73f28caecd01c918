"""The actual broker: what its management API reports, as plain frozen values.

`None` means unknown (too young, not permitted, not in this version), never 0. Times are aware UTC
datetimes; rates are messages per second; sizes are bytes. What there are tens of thousands of is left alone by the
garbage collector (`gc=False`): plain values hold no cycles, and visiting them costs a tenth of a diagnosis' time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import cached_property
from operator import attrgetter
from typing import Any, Literal, TypeVar

import msgspec

from attune_ops.model.topology import Arguments


class ExchangeState(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """An exchange on the broker; the default exchange has the name ''.

    `auto_delete` is None where the broker itself has no value: an import of definitions without this member leaves it
    out, and the broker then refuses every redeclaration of the exchange.
    """

    name: str
    vhost: str
    type: str
    durable: bool = True
    auto_delete: bool | None = False
    internal: bool = False
    arguments: Arguments = {}
    policy: str | None = None
    publish_in: int | None = None
    publish_out: int | None = None


COUNTED = ("classic", "quorum")  # the types with live message counts in totals mode
UNAVAILABLE = ("down", "crashed", "stopped", "minority")  # states of a queue that does not answer


class QueueState(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A queue on the broker.

    The three message counts come from totals mode, which asks the queue itself (10 ms old). `consumers`
    and the rates come from the statistics, up to 10 s old; None while the queue is too young to have any.
    """

    name: str
    vhost: str
    type: str = "classic"
    durable: bool = True
    auto_delete: bool = False
    exclusive: bool = False
    arguments: Arguments = {}
    policy: str | None = None
    operator_policy: str | None = None
    effective_policy: dict[str, Any] | None = None
    node: str | None = None
    state: str | None = None
    messages: int | None = None
    messages_ready: int | None = None
    messages_unacknowledged: int | None = None
    consumers: int | None = None
    message_bytes: int | None = None
    memory: int | None = None
    head_message_timestamp: datetime | None = None
    idle_since: datetime | None = None
    publish_rate: float | None = None
    deliver_rate: float | None = None
    ack_rate: float | None = None
    redeliver_rate: float | None = None
    consumed: int | None = None  # messages acknowledged, or taken without an acknowledgement
    published: int | None = None  # by clients: dead letters are not counted

    @property
    def is_silent(self) -> bool:
        """Whether it is listed without a message count: its process has crashed, or its node is down.

        Of a stream that runs, and of other types that keep no such counts, the broker lists none either.
        """
        uncounted = self.type not in COUNTED and self.state == "running"
        return self.messages is None and self.messages_ready is None and not uncounted

    @property
    def is_unavailable(self) -> bool:
        """Whether the broker says so by its state: clients get a timeout or an error."""
        return self.state in UNAVAILABLE


class BindingState(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A binding on the broker; the implicit ones of the default exchange are not among them."""

    vhost: str
    source: str
    destination: str
    routing_key: str = ""
    destination_kind: Literal["queue", "exchange"] = "queue"
    arguments: Arguments = {}
    properties_key: str = ""


class ConsumerState(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A consumer on the broker; `channel` and `connection` are the broker's own names for them."""

    vhost: str
    queue: str
    tag: str
    channel: str = ""
    connection: str = ""
    peer_host: str | None = None
    prefetch: int | None = None
    ack_required: bool | None = None
    exclusive: bool = False
    active: bool | None = None
    activity_status: str | None = None
    user: str | None = None


class ConnectionState(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A client connection; `client_name` is the `connection_name` that the client gave itself."""

    name: str
    vhost: str
    user: str | None = None
    state: str | None = None
    peer_host: str | None = None
    peer_port: int | None = None
    client_name: str | None = None
    product: str | None = None
    connected_at: datetime | None = None
    heartbeat: int | None = None
    channels: int | None = None
    node: str | None = None


class ChannelState(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A channel; its unacknowledged messages show which client holds a queue's messages."""

    name: str
    vhost: str
    connection: str
    number: int | None = None
    prefetch: int | None = None
    messages_unacknowledged: int | None = None
    consumers: int | None = None
    idle_since: datetime | None = None
    state: str | None = None
    ack_rate: float | None = None
    global_prefetch: int | None = None  # of all its consumers together; 0 where none is set
    delivered: int | None = None  # deliveries since it was opened


class PolicyState(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A policy, or an operator policy where `operator` says so."""

    vhost: str
    name: str
    pattern: str
    apply_to: str = "all"
    priority: int = 0
    definition: dict[str, Any] = {}
    operator: bool = False


class NodeState(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A cluster node with its limits; memory and disk in bytes."""

    name: str
    running: bool
    memory_used: int | None = None
    memory_limit: int | None = None
    memory_alarm: bool | None = None
    disk_free: int | None = None
    disk_free_limit: int | None = None
    disk_alarm: bool | None = None
    descriptors_used: int | None = None
    descriptors_total: int | None = None
    uptime_ms: int | None = None
    partitions: tuple[str, ...] = ()


PERMITS_NOTHING, PERMITS_EVERYTHING = ("", "^$"), ".*"  # as patterns


class UserPermissions(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What a user may configure, write and read in the virtual host: regular expressions, "" permits nothing."""

    user: str
    configure: str = ""
    write: str = ""
    read: str = ""

    @property
    def may_declare(self) -> bool:
        """Whether the user may configure or write anything: every service needs that."""
        return not {self.configure, self.write} <= set(PERMITS_NOTHING)

    @property
    def may_do_everything(self) -> bool:
        """Whether each pattern is the usual one that matches every name."""
        return {self.configure, self.write, self.read} == {PERMITS_EVERYTHING}


class DeprecatedFeature(msgspec.Struct, frozen=True, omit_defaults=True):
    """A deprecated feature as this broker describes it; `state` is None where the broker does not say."""

    name: str
    phase: str | None = None
    state: Literal["permitted", "denied"] | None = None
    used: bool | None = None
    description: str = ""


_Named = TypeVar("_Named")


class BrokerSnapshot(msgspec.Struct, frozen=True, omit_defaults=True, dict=True):
    """Everything read from one broker at one time; a member that is None could not be read.

    `vhost` is the virtual host of Attune; the objects of that one virtual host are listed. The look-ups at
    the end are built once, on first use; what could not be read is empty there, so ask the list whether it was.
    `statistics_backlog` is the number of events that are not counted yet: with many, statistics are old.
    """

    vhost: str
    taken_at: datetime
    product: str = "RabbitMQ"
    version: str | None = None
    erlang: str | None = None
    cluster: str | None = None
    exchanges: tuple[ExchangeState, ...] | None = None
    queues: tuple[QueueState, ...] | None = None
    bindings: tuple[BindingState, ...] | None = None
    consumers: tuple[ConsumerState, ...] | None = None
    connections: tuple[ConnectionState, ...] | None = None
    channels: tuple[ChannelState, ...] | None = None
    policies: tuple[PolicyState, ...] | None = None
    nodes: tuple[NodeState, ...] | None = None
    majority: bool | None = None  # False: too few nodes run here for Khepri to accept any declare, bind or delete
    alarms: tuple[str, ...] | None = None
    limits: dict[str, int] | None = None  # of the virtual host: max-queues, max-connections
    deprecated: tuple[DeprecatedFeature, ...] | None = None
    dead_lettered: dict[str, int] | None = None  # messages since the node started, by reason, all virtual hosts
    removed: dict[str, int] | None = None  # the same by what removed them, also without a dead-letter exchange
    user_permissions: tuple[UserPermissions, ...] | None = None  # of the users that are connected, and AMQP's
    others_may_declare: bool | None = None  # whether any further user may configure or write something there
    default_queue_type: str | None = None
    other_vhosts_used: bool | None = None  # whether another virtual host has messages, or had some
    statistics_disabled: bool = False
    returned_unroutable: int | None = None  # messages since the broker started, all virtual hosts
    dropped_unroutable: int | None = None
    statistics_backlog: int | None = None
    statistics_left_out: int = 0  # worker queues without rates and ages, as there are more than 2,000 queues

    @cached_property
    def exchange_named(self) -> Mapping[str, ExchangeState]:
        """The exchanges by name."""
        return {e.name: e for e in self.exchanges or ()}

    @cached_property
    def queue_named(self) -> Mapping[str, QueueState]:
        """The queues by name."""
        return {q.name: q for q in self.queues or ()}

    @cached_property
    def unconsumed(self) -> frozenset[str]:
        """The names of the queues with 0 consumers and none in the list."""
        return frozenset(q.name for q in self.queues or () if q.consumers == 0 and q.name not in self.consumers_of)

    @cached_property
    def unread(self) -> int:
        """The number of messages in queues without a consumer."""
        return sum(q.messages or 0 for q in self.queues or () if q.name in self.unconsumed)

    @cached_property
    def bindings_from(self) -> Mapping[str, tuple[BindingState, ...]]:
        """The bindings by source exchange."""
        return _grouped(self.bindings, attrgetter("source"))

    @cached_property
    def bindings_to_queue(self) -> Mapping[str, tuple[BindingState, ...]]:
        """The bindings to queues, by queue."""
        bindings = (b for b in self.bindings or () if b.destination_kind == "queue")
        return _grouped(bindings, attrgetter("destination"))

    @cached_property
    def consumers_of(self) -> Mapping[str, tuple[ConsumerState, ...]]:
        """The consumers by queue."""
        return _grouped(self.consumers, attrgetter("queue"))

    @cached_property
    def consumers_on(self) -> Mapping[str, tuple[ConsumerState, ...]]:
        """The consumers by channel."""
        return _grouped(self.consumers, attrgetter("channel"))

    @cached_property
    def channel_named(self) -> Mapping[str, ChannelState]:
        """The channels by name."""
        return {c.name: c for c in self.channels or ()}

    @cached_property
    def connection_named(self) -> Mapping[str, ConnectionState]:
        """The connections by name."""
        return {c.name: c for c in self.connections or ()}


def _grouped(items: Iterable[_Named] | None, key: Callable[[_Named], str]) -> Mapping[str, tuple[_Named, ...]]:
    found: defaultdict[str, list[_Named]] = defaultdict(list)
    for item in items or ():
        found[key(item)].append(item)
    return {name: tuple(members) for name, members in found.items()}
