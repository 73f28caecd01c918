"""Answers about the broker as a whole: overview, users, nodes, alarms, deprecated features."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from attune_ops.installation.management_types.fields import MessageStats, number
from attune_ops.model.snapshot import DeprecatedFeature, NodeState


class ObjectTotals(msgspec.Struct):
    """The numbers of objects in all virtual hosts of the user."""

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

    name: str = ""  # of one that is being deleted only the statistics are left
    default_queue_type: str | None = None
    messages: int | None = None
    message_stats: MessageStats | list[Any] | None = None  # none in one that never had a message

    @property
    def queue_type(self) -> str | None:
        """The type of queues declared without one, None before 4.0."""
        return None if self.default_queue_type == "undefined" else self.default_queue_type

    @property
    def is_used(self) -> bool:
        """Whether it has messages, or had some since the broker started."""
        return bool(self.messages or self.message_stats)


class WhoAmI(msgspec.Struct):
    """`/api/whoami`; old releases give the tags as one text."""

    name: str
    tags: list[str] | str = []

    @property
    def all_tags(self) -> tuple[str, ...]:
        """The tags, in either form."""
        tags = self.tags.split(",") if isinstance(self.tags, str) else self.tags
        return tuple(sorted(t.strip() for t in tags if t.strip()))


class Permissions(msgspec.Struct):
    """`/api/permissions/{vhost}/{user}`."""

    configure: str
    write: str
    read: str


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

    def to_state(self) -> NodeState:
        """The node as the snapshot has it; "unknown" is None."""
        return NodeState(
            self.name, self.running, self.mem_used, number(self.mem_limit), self.mem_alarm, number(self.disk_free),
            number(self.disk_free_limit), self.disk_free_alarm, self.fd_used, number(self.fd_total), self.uptime,
            tuple(self.partitions),
        )  # fmt: skip


class Alarm(msgspec.Struct):
    """An element of the alarms that a failed health check names."""

    resource: str = "unknown"
    node: str = "unknown"

    def __str__(self) -> str:
        return f"{self.resource} alarm on {self.node}"


class Passed(msgspec.Struct):
    """The answer of a health check that passed."""

    status: Literal["ok"]


class Alarms(msgspec.Struct):
    """The answer of a failed `/api/health/checks/alarms`."""

    status: Literal["failed"]
    reason: Any = None
    alarms: list[Alarm] = []


class VirtualHostsDown(msgspec.Struct, rename={"names": "virtual-hosts"}):
    """The answer of a failed `/api/health/checks/virtual-hosts`."""

    status: Literal["failed"]
    reason: Any = None
    names: list[Any] = []


class FeatureFlag(msgspec.Struct):
    """An element of `/api/feature-flags`."""

    name: str
    state: str | None = None


class VhostLimits(msgspec.Struct):
    """An element of `/api/vhost-limits/VHOST`; a negative value is no limit, and without any the value is []."""

    value: dict[str, int] | list[int] = {}

    @property
    def by_name(self) -> dict[str, int]:
        """The limits by name, without those that are none."""
        return {k: n for k, n in self.value.items() if n >= 0} if isinstance(self.value, dict) else {}


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
