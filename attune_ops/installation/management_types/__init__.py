"""The answers of the management API as typed structs, only with the members that are used.

What a version leaves out is None or an empty value; each translates itself into `attune_ops.model.snapshot`.
"""

from __future__ import annotations

from attune_ops.installation.management_types.clients import ChannelWire, ConnectionWire, ConsumerWire
from attune_ops.installation.management_types.cluster import (
    Alarms,
    DeprecatedWire,
    NodeWire,
    Overview,
    Permissions,
    VirtualHost,
    VirtualHostsDown,
    WhoAmI,
)
from attune_ops.installation.management_types.fields import MessageStats
from attune_ops.installation.management_types.objects import (
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
