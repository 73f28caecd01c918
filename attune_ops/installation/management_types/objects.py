"""Answers about the objects of a virtual host: exchanges, queues, bindings, policies."""

from __future__ import annotations

from typing import Any

import msgspec

from attune_ops.installation.management_types.clients import ConsumerWire
from attune_ops.installation.management_types.fields import MessageStats, consumed, from_seconds, from_text, rate
from attune_ops.model.erlang_json import Flag, flag
from attune_ops.model.snapshot import BindingState, ExchangeState, PolicyState, QueueState


class NameAndVhost(msgspec.Struct):
    """An element of `/api/exchanges` and the like, with these columns alone."""

    name: str
    vhost: str


class ExchangeWire(msgspec.Struct):
    """An element of `/api/exchanges/{vhost}`."""

    name: str
    vhost: str
    type: str
    durable: bool = True
    auto_delete: Flag = False
    internal: Flag = False
    arguments: dict[str, Any] = {}
    policy: str | None = None
    message_stats: MessageStats | None = None

    def to_state(self) -> ExchangeState:
        """The exchange as the snapshot has it."""
        stats = self.message_stats or MessageStats()
        return ExchangeState(
            self.name, self.vhost, self.type, self.durable, flag(self.auto_delete), bool(flag(self.internal)),
            self.arguments, self.policy, stats.publish_in, stats.publish_out,
        )  # fmt: skip


class Statistics(msgspec.Struct):
    """The statistics of a queue; a queue too young to have any has only its name."""

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
    "message_stats.publish", "message_stats.ack", "message_stats.deliver_no_ack", "message_stats.get_no_ack",
))  # fmt: skip


class StatisticsPage(msgspec.Struct):
    """A page of `/api/queues/{vhost}?page=…`."""

    items: list[Statistics] = []
    page_count: int = 0


class QueueWire(msgspec.Struct):
    """An element of `/api/queues/{vhost}` in totals mode, with the counts of the queue itself."""

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

    def to_state(self, consumers: int | None = None) -> QueueState:
        """The queue as the snapshot has it, without statistics."""
        return QueueState(
            self.name, self.vhost, self.type.removeprefix("rabbit_").removesuffix("_queue"),
            self.durable, self.auto_delete, bool(self.exclusive), self.arguments, self.policy, None, None,
            self.node, self.state, self.messages, self.messages_ready, self.messages_unacknowledged, consumers,
        )  # fmt: skip

    def merged(self, s: Statistics) -> QueueState:
        """The queue as the snapshot has it, with its statistics."""
        stats = s.message_stats or MessageStats()
        effective = s.effective_policy_definition
        return msgspec.structs.replace(
            self.to_state(s.consumers),
            operator_policy=s.operator_policy or None,
            # No policy at all is an empty list to some releases.
            effective_policy={} if isinstance(effective, list) else effective,
            message_bytes=s.message_bytes, memory=s.memory,
            head_message_timestamp=from_seconds(s.head_message_timestamp), idle_since=from_text(s.idle_since),
            publish_rate=rate(stats.publish_details), deliver_rate=rate(stats.deliver_get_details),
            ack_rate=rate(stats.ack_details), redeliver_rate=rate(stats.redeliver_details),
            consumed=consumed(stats), published=stats.publish,
        )  # fmt: skip


class OneQueue(msgspec.Struct):
    """`/api/queues/{vhost}/{name}`: the only answer that lists the consumers of one queue.

    `consumer_details` is None where statistics are disabled, and an empty list without consumers.
    """

    name: str
    vhost: str
    type: str = "classic"
    durable: bool = True
    auto_delete: bool = False
    arguments: dict[str, Any] = {}
    policy: str | None = None
    operator_policy: str | None = None
    effective_policy_definition: dict[str, Any] | list[Any] | None = None
    consumers: int | None = None
    messages: int | None = None
    messages_ready: int | None = None
    messages_unacknowledged: int | None = None
    message_bytes_ready: int | None = None
    consumer_details: list[ConsumerWire] | None = None
    message_stats: MessageStats | None = None


class QueuePage(msgspec.Struct):
    """One page of `/api/queues/{vhost}`."""

    items: list[QueueWire] = []


class QueuePolicy(msgspec.Struct):
    """The policy of a queue; totals mode lacks it before 4.3."""

    name: str
    policy: str | None = None


class BindingWire(msgspec.Struct):
    """An element of `/api/bindings/{vhost}`."""

    source: str
    vhost: str
    destination: str
    destination_type: str = "queue"
    routing_key: str = ""
    arguments: dict[str, Any] = {}
    properties_key: str = ""

    def to_state(self) -> BindingState:
        """The binding as the snapshot has it."""
        return BindingState(
            self.vhost, self.source, self.destination, self.routing_key,
            "exchange" if self.destination_type == "exchange" else "queue", self.arguments, self.properties_key,
        )  # fmt: skip


class PolicyWire(msgspec.Struct, rename={"apply_to": "apply-to"}):
    """An element of `/api/policies/{vhost}` or `/api/operator-policies/{vhost}`."""

    vhost: str
    name: str
    pattern: str
    apply_to: str = "all"
    priority: int = 0
    definition: dict[str, Any] = {}

    def to_state(self, operator: bool) -> PolicyState:
        """The policy as the snapshot has it."""
        return PolicyState(
            self.vhost, self.name, self.pattern, self.apply_to, self.priority, self.definition, operator
        )  # fmt: skip
