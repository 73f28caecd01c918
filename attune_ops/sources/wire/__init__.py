"""The answers of the management API as typed structs, only with the members that are used.

What a version leaves out is None or an empty value; each translates itself into `attune_ops.snapshot`.
"""

from __future__ import annotations

from attune_ops.sources.wire.clients import ChannelWire, ConnectionWire, ConsumerWire
from attune_ops.sources.wire.cluster import (
    Alarms,
    DeprecatedWire,
    NodeWire,
    Overview,
    Permissions,
    VirtualHost,
    VirtualHostsDown,
    WhoAmI,
)
from attune_ops.sources.wire.objects import (
    STATISTICS,
    BindingWire,
    ExchangeWire,
    OneQueue,
    PolicyWire,
    QueuePage,
    QueuePolicy,
    QueueWire,
    Statistics,
    StatisticsPage,
)
from attune_ops.sources.wire.values import MessageStats

__all__ = [
    "STATISTICS",
    "Alarms",
    "BindingWire",
    "ChannelWire",
    "ConnectionWire",
    "ConsumerWire",
    "DeprecatedWire",
    "ExchangeWire",
    "MessageStats",
    "NodeWire",
    "OneQueue",
    "Overview",
    "Permissions",
    "PolicyWire",
    "QueuePage",
    "QueuePolicy",
    "QueueWire",
    "Statistics",
    "StatisticsPage",
    "VirtualHost",
    "VirtualHostsDown",
    "WhoAmI",
]
