"""Answers about clients: consumers, connections, channels."""

from __future__ import annotations

from typing import Any

import msgspec

from attune_ops.installation.management_types.fields import MessageStats, from_seconds, from_text, rate, text
from attune_ops.model.snapshot import ChannelState, ConnectionState, ConsumerState


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

    @property
    def channel(self) -> ChannelDetails:
        """Its channel; one that has just been opened or closed is an empty list."""
        return self.channel_details if isinstance(self.channel_details, ChannelDetails) else ChannelDetails()

    def to_state(self, at: ChannelDetails | None = None) -> ConsumerState:
        """The consumer as the snapshot has it; `at` is its channel where the answer has only the channel's name."""
        at = at or self.channel
        return ConsumerState(
            self.queue.vhost, self.queue.name, self.consumer_tag, at.name, at.connection_name, at.peer_host,
            self.prefetch_count, self.ack_required, self.exclusive, self.active, self.activity_status, at.user,
        )  # fmt: skip


class ClientProperties(msgspec.Struct):
    """What a client says of itself, where it is text."""

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

    def to_state(self) -> ConnectionState:
        """The connection as the snapshot has it."""
        client = self.client_properties
        return ConnectionState(
            self.name, self.vhost, self.user, self.state, self.peer_host, self.peer_port,
            text(client.connection_name), text(client.product), from_seconds(self.connected_at, 1000), self.timeout,
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
    global_prefetch_count: int | None = None

    def to_state(self) -> ChannelState:
        """The channel as the snapshot has it."""
        at = self.connection_details
        return ChannelState(
            self.name, self.vhost, at.name if isinstance(at, ConnectionName) else "", self.number, self.prefetch_count,
            self.messages_unacknowledged, self.consumer_count, from_text(self.idle_since), self.state,
            rate(self.message_stats.ack_details) if self.message_stats else None, self.global_prefetch_count,
            self.message_stats.deliver_get if self.message_stats else None,
        )  # fmt: skip
