"""The answers of the management API as typed structs, only with the members that are used.

What a version leaves out is None or an empty value; the translation into `snapshot` is at the end of each.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from attune_ops.snapshot import (
    BindingState,
    ChannelState,
    ConnectionState,
    ConsumerState,
    DeprecatedFeature,
    ExchangeState,
    NodeState,
    PolicyState,
    QueueState,
)


class Rate(msgspec.Struct):
    """A counter's `…_details`."""

    rate: float | None = None


class MessageStats(msgspec.Struct):
    """The counters and rates of an object; absent ones never counted anything."""

    publish_details: Rate | None = None
    deliver_get_details: Rate | None = None
    ack_details: Rate | None = None
    redeliver_details: Rate | None = None
    publish_in: int | None = None
    publish_out: int | None = None
    return_unroutable: int | None = None
    drop_unroutable: int | None = None


def rate(details: Rate | None) -> float | None:
    """The rate in messages per second, None where none was told."""
    return None if details is None else details.rate


class ObjectTotals(msgspec.Struct):
    """How many objects there are in all virtual hosts that the user sees."""

    queues: int | None = None
    connections: int | None = None


class ExchangeTypeOffered(msgspec.Struct):
    """An exchange type that this broker knows."""

    name: str


class Overview(msgspec.Struct):
    """`/api/overview`."""

    rabbitmq_version: str | None = None
    product_name: str | None = None
    product_version: str | None = None
    erlang_version: str | None = None
    cluster_name: str | None = None
    node: str | None = None
    default_queue_type: str | None = None
    disable_stats: bool = False
    message_stats: MessageStats | None = None
    statistics_db_event_queue: int | None = None
    object_totals: ObjectTotals | None = None
    exchange_types: list[ExchangeTypeOffered] = []


class VirtualHost(msgspec.Struct):
    """An element of `/api/vhosts`; before 4.0 the type is "undefined"."""

    name: str
    default_queue_type: str | None = None


class WhoAmI(msgspec.Struct):
    """`/api/whoami`; old releases give the tags as one text."""

    name: str
    tags: list[str] | str = []

    @property
    def all_tags(self) -> tuple[str, ...]:
        """The tags, whichever way they were told."""
        tags = self.tags.split(",") if isinstance(self.tags, str) else self.tags
        return tuple(sorted(t.strip() for t in tags if t.strip()))


class ExchangeWire(msgspec.Struct):
    """An element of `/api/exchanges/{vhost}`."""

    name: str
    vhost: str
    type: str
    durable: bool = True
    auto_delete: bool = False
    internal: bool = False
    arguments: dict[str, Any] = {}
    policy: str | None = None
    message_stats: MessageStats | None = None

    def state(self) -> ExchangeState:
        """The exchange as the snapshot has it."""
        stats = self.message_stats or MessageStats()
        return ExchangeState(
            self.name, self.vhost, self.type, self.durable, self.auto_delete, self.internal,
            self.arguments, self.policy, stats.publish_in, stats.publish_out,
        )  # fmt: skip


class Statistics(msgspec.Struct):
    """What only the statistics know of a queue; a queue too young to have any lacks all but the name."""

    name: str
    consumers: int | None = None
    operator_policy: str | None = None
    effective_policy_definition: dict[str, Any] | list[Any] | None = None
    memory: int | None = None
    message_bytes: int | None = None
    head_message_timestamp: int | None = None
    idle_since: str | None = None
    message_stats: MessageStats | None = None


STATISTICS = ",".join((
    "name", "consumers", "operator_policy", "effective_policy_definition", "memory", "message_bytes",
    "head_message_timestamp", "idle_since", "message_stats.publish_details.rate",
    "message_stats.deliver_get_details.rate", "message_stats.ack_details.rate", "message_stats.redeliver_details.rate",
))  # fmt: skip


class QueueWire(msgspec.Struct):
    """An element of `/api/queues/{vhost}` in totals mode, where the queue itself is asked for its counts."""

    name: str
    vhost: str
    type: str = "classic"
    durable: bool = True
    auto_delete: bool = False
    exclusive: bool | None = False  # null for a quorum queue (4.x)
    arguments: dict[str, Any] = {}
    policy: str | None = None
    node: str | None = None
    state: str | None = None
    messages: int | None = None
    messages_ready: int | None = None
    messages_unacknowledged: int | None = None

    def merged(self, told: Statistics | None) -> QueueState:
        """The queue as the snapshot has it, with what the statistics told."""
        s = told or Statistics(self.name)
        stats = s.message_stats or MessageStats()
        effective = s.effective_policy_definition
        return QueueState(
            self.name, self.vhost, self.type.removeprefix("rabbit_").removesuffix("_queue"),
            self.durable, self.auto_delete, bool(self.exclusive), self.arguments, self.policy,
            operator_policy=s.operator_policy or None,
            # No policy at all is an empty list to some releases.
            effective_policy={} if isinstance(effective, list) else effective,
            node=self.node, state=self.state, messages=self.messages, messages_ready=self.messages_ready,
            messages_unacknowledged=self.messages_unacknowledged, consumers=s.consumers,
            message_bytes=s.message_bytes, memory=s.memory,
            head_message_timestamp=from_seconds(s.head_message_timestamp), idle_since=from_text(s.idle_since),
            publish_rate=rate(stats.publish_details), deliver_rate=rate(stats.deliver_get_details),
            ack_rate=rate(stats.ack_details), redeliver_rate=rate(stats.redeliver_details),
        )  # fmt: skip


class BindingWire(msgspec.Struct):
    """An element of `/api/bindings/{vhost}`."""

    source: str
    vhost: str
    destination: str
    destination_type: str = "queue"
    routing_key: str = ""
    arguments: dict[str, Any] = {}
    properties_key: str = ""

    def state(self) -> BindingState:
        """The binding as the snapshot has it."""
        return BindingState(
            self.vhost, self.source, self.destination, self.routing_key,
            "exchange" if self.destination_type == "exchange" else "queue", self.arguments, self.properties_key,
        )  # fmt: skip


class ChannelDetails(msgspec.Struct):
    """The channel of a consumer."""

    name: str = ""
    connection_name: str = ""
    peer_host: str | None = None
    user: str | None = None


class QueueName(msgspec.Struct):
    """The queue of a consumer."""

    name: str
    vhost: str


class ConsumerWire(msgspec.Struct):
    """An element of `/api/consumers/{vhost}`, or of a queue's `consumer_details`."""

    consumer_tag: str
    queue: QueueName
    channel_details: ChannelDetails | list[Any] = msgspec.field(default_factory=ChannelDetails)
    prefetch_count: int | None = None
    ack_required: bool | None = None
    exclusive: bool = False
    active: bool | None = None
    activity_status: str | None = None

    def state(self) -> ConsumerState:
        """The consumer as the snapshot has it."""
        # A channel that is just being closed is told as an empty list.
        at = self.channel_details if isinstance(self.channel_details, ChannelDetails) else ChannelDetails()
        return ConsumerState(
            self.queue.vhost, self.queue.name, self.consumer_tag, at.name, at.connection_name, at.peer_host,
            self.prefetch_count, self.ack_required, self.exclusive, self.active, self.activity_status, at.user,
        )  # fmt: skip


class OneQueue(msgspec.Struct):
    """`/api/queues/{vhost}/{name}`: the only answer that lists the consumers of one queue."""

    name: str
    vhost: str
    type: str = "classic"
    durable: bool = True
    auto_delete: bool = False
    exclusive: bool = False
    arguments: dict[str, Any] = {}
    effective_policy_definition: dict[str, Any] | list[Any] | None = None
    consumers: int | None = None
    messages: int | None = None
    consumer_details: list[ConsumerWire] = []


class ClientProperties(msgspec.Struct):
    """What a client said of itself, as far as it is text."""

    connection_name: Any = None
    product: Any = None


class ConnectionWire(msgspec.Struct):
    """An element of `/api/vhosts/{vhost}/connections`."""

    name: str
    vhost: str = ""
    user: str | None = None
    state: str | None = None
    peer_host: str | None = None
    peer_port: int | None = None
    client_properties: ClientProperties = msgspec.field(default_factory=ClientProperties)
    connected_at: int | None = None
    timeout: int | None = None
    channels: int | None = None
    node: str | None = None

    def told(self) -> ConnectionState:
        """The connection as the snapshot has it."""
        says = self.client_properties
        return ConnectionState(
            self.name, self.vhost, self.user, self.state, self.peer_host, self.peer_port,
            text(says.connection_name), text(says.product), from_seconds(self.connected_at, 1000), self.timeout,
            self.channels, self.node,
        )  # fmt: skip


class ConnectionName(msgspec.Struct):
    """The connection of a channel."""

    name: str = ""


class ChannelWire(msgspec.Struct):
    """An element of `/api/vhosts/{vhost}/channels`."""

    name: str
    vhost: str = ""
    connection_details: ConnectionName | list[Any] = msgspec.field(default_factory=ConnectionName)
    number: int | None = None
    prefetch_count: int | None = None
    messages_unacknowledged: int | None = None
    consumer_count: int | None = None
    idle_since: str | None = None
    state: str | None = None
    message_stats: MessageStats | None = None

    def told(self) -> ChannelState:
        """The channel as the snapshot has it."""
        at = self.connection_details
        return ChannelState(
            self.name, self.vhost, at.name if isinstance(at, ConnectionName) else "", self.number, self.prefetch_count,
            self.messages_unacknowledged, self.consumer_count, from_text(self.idle_since), self.state,
            rate(self.message_stats.ack_details) if self.message_stats else None,
        )  # fmt: skip


class PolicyWire(msgspec.Struct, rename={"apply_to": "apply-to"}):
    """An element of `/api/policies/{vhost}` or `/api/operator-policies/{vhost}`."""

    vhost: str
    name: str
    pattern: str
    apply_to: str = "all"
    priority: int = 0
    definition: dict[str, Any] = {}

    def state(self, operator: bool) -> PolicyState:
        """The policy as the snapshot has it."""
        return PolicyState(
            self.vhost, self.name, self.pattern, self.apply_to, self.priority, self.definition, operator
        )  # fmt: skip


class NodeWire(msgspec.Struct):
    """An element of `/api/nodes`; a node that is down has only its name."""

    name: str
    running: bool = False
    mem_used: int | None = None
    mem_limit: int | str | None = None
    mem_alarm: bool | None = None
    disk_free: int | str | None = None
    disk_free_limit: int | str | None = None
    disk_free_alarm: bool | None = None
    fd_used: int | None = None
    fd_total: int | str | None = None
    uptime: int | None = None
    partitions: list[str] = []

    def state(self) -> NodeState:
        """The node as the snapshot has it; what the node itself does not know ("unknown") is None."""
        return NodeState(
            self.name, self.running, self.mem_used, number(self.mem_limit), self.mem_alarm, number(self.disk_free),
            number(self.disk_free_limit), self.disk_free_alarm, self.fd_used, number(self.fd_total), self.uptime,
            tuple(self.partitions),
        )  # fmt: skip


class DeprecatedWire(msgspec.Struct):
    """An element of `/api/deprecated-features`; 4.0 has no `state`."""

    name: str
    deprecation_phase: str | None = None
    state: Literal["permitted", "denied"] | None = None
    desc: str = ""
    doc_url: str = ""

    def feature(self, used: bool | None) -> DeprecatedFeature:
        """The feature as the snapshot has it."""
        return DeprecatedFeature(self.name, self.deprecation_phase, self.state, used, self.desc)


class Alarm(msgspec.Struct):
    """An element of the alarms that a failed health check names."""

    resource: str = "unknown"
    node: str = "unknown"


class Alarms(msgspec.Struct):
    """The answer of a failed `/api/health/checks/alarms`."""

    reason: Any = None
    alarms: list[Alarm] = []


class VirtualHostsDown(msgspec.Struct, rename={"names": "virtual-hosts"}):
    """The answer of a failed `/api/health/checks/virtual-hosts`."""

    reason: Any = None
    names: list[Any] = []


class Permissions(msgspec.Struct):
    """`/api/permissions/{vhost}/{user}`."""

    configure: str
    write: str
    read: str


def from_seconds(value: int | None, unit: int = 1) -> datetime | None:
    """A time told as seconds since 1970 (`unit` 1) or milliseconds (1000), None for what cannot be a time."""
    try:
        return None if value is None else datetime.fromtimestamp(value / unit, UTC)
    except (OverflowError, OSError, ValueError):
        return None


def from_text(value: str | None) -> datetime | None:
    """A time told as text; releases before 3.10 leave the zone out and mean UTC."""
    try:
        found = None if value is None else datetime.fromisoformat(value)
    except ValueError:
        return None
    return found if found is None or found.tzinfo else found.replace(tzinfo=UTC)


def text(value: Any) -> str | None:
    """The value if it is text: client properties may hold anything."""
    return value if isinstance(value, str) else None


def number(value: Any) -> int | None:
    """The value if it is a number."""
    return value if isinstance(value, int) else None
