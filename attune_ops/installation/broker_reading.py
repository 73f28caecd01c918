"""Reading one broker's objects in parallel: one request a listing; a failure makes its source missing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from datetime import UTC, datetime
from typing import Any

import msgspec

from attune_ops.installation.management import Management, bound, merge
from attune_ops.installation.management_types.clients import ChannelDetails, ConsumerWire
from attune_ops.installation.management_types.cluster import Overview, VirtualHost
from attune_ops.installation.management_types.fields import MessageStats
from attune_ops.installation.management_types.objects import QueueWire, Statistics
from attune_ops.installation.metadata_store import majority
from attune_ops.installation.prometheus import Counters
from attune_ops.installation.side_by_side import SideBySide
from attune_ops.installation.user_permissions import read_user_permissions
from attune_ops.model.errors import SourceError
from attune_ops.model.facts import Source
from attune_ops.model.snapshot import (
    BrokerSnapshot,
    ConnectionState,
    ConsumerState,
    NodeState,
    QueueState,
    UserPermissions,
)

# Parts of `Source.BROKER` that can be read one by one.
LISTINGS = ("exchanges", "queues", "statistics", "bindings", "policies", "default_queue_type")

MANY_QUEUES = 2000  # the broker takes half a second for their statistics

SEES_EVERYTHING = frozenset({"monitoring", "administrator"})


class BrokerReading:
    """The requests that some sources need, sent in parallel; `snapshot` waits for the answers."""

    def __init__(
        self,
        management: Management,
        tags: tuple[str, ...],
        skip_statistics: str | None = None,
        amqp_user: str = "",
    ) -> None:
        """`skip_statistics`: with more than 2,000 queues, statistics of queues that match this pattern are not read."""
        self._management, self._tags, self._skip_statistics = management, tags, skip_statistics
        self._users = {management.http.endpoint.user, amqp_user}
        self.overview = Overview()
        self._asked: dict[str, tuple[Source, Future[Any]]] = {}
        self.missing: dict[Source, str] = {}

    def ask(
        self,
        pool: SideBySide,
        sources: frozenset[Source],
        listings: frozenset[str],
        dead_lettered: Callable[[], Counters],
    ) -> None:
        """Sends the requests, those with the slowest answers first; `dead_lettered` reads the counters.

        Raises `SourceError` where the overview cannot be read.
        """
        m = self._management
        if Source.DEPTHS in sources or (Source.BROKER in sources and "queues" in listings):
            self._asked["queues"] = (Source.BROKER, pool.submit(m.totals))
        self.overview = m.overview()
        totals = self.overview.object_totals
        if totals is None or (totals.queues or 0) <= MANY_QUEUES:
            self._skip_statistics = None
        reads: list[tuple[str, Source, Callable[[], Any]]] = [
            ("statistics", Source.BROKER, self._statistics),
            ("bindings", Source.BROKER, m.bindings if self._skip_statistics is None else m.bindings_by_source),
            ("consumers", Source.CONSUMERS, m.consumers if self._skip_statistics is None else m.consumers_in_short),
            ("connections", Source.CONNECTIONS, m.connections),
            ("channels", Source.CONNECTIONS, m.channels),
            ("exchanges", Source.BROKER, m.exchanges),
            ("policies", Source.BROKER, m.policies),
            ("default_queue_type", Source.BROKER, m.virtual_hosts),
            ("alarms", Source.ALARMS, m.alarms),
            ("nodes", Source.NODES, m.nodes),
            ("limits", Source.LIMITS, m.limits),
            ("deprecated", Source.DEPRECATED, m.deprecated_features),
            ("user_permissions", Source.USER_PERMISSIONS, lambda: read_user_permissions(m)),
            ("dead_lettered", Source.DEAD_LETTERED, dead_lettered),
        ]
        if not SEES_EVERYTHING & set(self._tags):
            # Such a user gets a list of its own objects only: those of others would seem to be missing.
            user = self._management.http.endpoint.user
            for source in sources & {Source.CONNECTIONS, Source.CONSUMERS}:
                self.missing[source] = f"user {user!r} has no monitoring tag and sees only its own {source}"
        if "administrator" not in self._tags and Source.USER_PERMISSIONS in sources:
            self.missing[Source.USER_PERMISSIONS] = (
                f"user {self._management.http.endpoint.user!r} does not have the administrator tag and cannot see the "
                "permissions of users"
            )
        for name, source, read in reads:
            wanted = (name in listings if source is Source.BROKER else True) and source in sources
            wanted |= name == "nodes" and Source.DEAD_LETTERED in sources  # each node has counters of its own
            if wanted and source not in self.missing:
                self._asked[name] = (source, pool.submit(read))

    def snapshot(self, meanwhile: Callable[[BrokerSnapshot], None] = lambda _: None) -> BrokerSnapshot:
        """Waits for the answers; what failed is None in the snapshot, and its source is in `missing`.

        `meanwhile` gets the snapshot without its queues while their answer, which takes the longest, is awaited.
        """
        read = {name: self._result(name) for name in self._asked if name != "queues"}
        if self._skip_statistics is not None:
            read["consumers"] = _in_full(read)
        overview = self.overview
        stats = overview.message_stats or MessageStats()
        if "deprecated" in read and read["deprecated"] is None:
            self.missing.setdefault(
                Source.DEPRECATED,
                f"RabbitMQ {overview.rabbitmq_version} does not report deprecated features; 3.13 and later do",
            )
        permissions, others = _connected(read, self._users)
        counters: Counters | None = read.get("dead_lettered")
        nodes: tuple[NodeState, ...] | None = read.get("nodes")
        if counters is not None and (nodes is None or len(nodes) > 1):
            known_nodes = "the nodes are unknown" if nodes is None else f"there are {len(nodes)} nodes"
            self.missing[Source.DEAD_LETTERED] = f"each node counts its own dead letters, and {known_nodes}"
            counters = None
        queue_type, others_used = self._of_virtual_hosts(read.get("default_queue_type") or ())
        known = BrokerSnapshot(
            vhost=self._management.vhost,
            taken_at=datetime.now(UTC),
            product=overview.product_name or "RabbitMQ",
            version=overview.rabbitmq_version,
            erlang=overview.erlang_version,
            cluster=overview.cluster_name,
            exchanges=read.get("exchanges"),
            bindings=read.get("bindings"),
            consumers=read.get("consumers"),
            connections=read.get("connections"),
            channels=read.get("channels"),
            policies=read.get("policies"),
            nodes=read.get("nodes"),
            majority=self._majority(read.get("nodes")),
            alarms=read.get("alarms"),
            limits=read.get("limits"),
            deprecated=read.get("deprecated"),
            dead_lettered=counters.dead_lettered if counters else None,
            removed=counters.removed if counters else None,
            user_permissions=permissions,
            others_may_declare=others,
            default_queue_type=queue_type or overview.default_queue_type,
            other_vhosts_used=others_used,
            statistics_disabled=overview.disable_stats,
            returned_unroutable=stats.return_unroutable,
            dropped_unroutable=stats.drop_unroutable,
            statistics_backlog=overview.statistics_db_event_queue,
        )
        # While the queues are awaited: look-ups of what is there already.
        built = {name: getattr(known, name) for name in ("bindings_to_queue", "bindings_from", "consumers_of")}
        meanwhile(known)
        queues, left_out = self._queues(read)
        if Source.BROKER in self.missing:
            self.missing.setdefault(Source.DEPTHS, self.missing[Source.BROKER])
        made = msgspec.structs.replace(known, taken_at=datetime.now(UTC), queues=queues, statistics_left_out=left_out)
        vars(made).update(built)
        return made

    def _of_virtual_hosts(self, listed: tuple[VirtualHost, ...]) -> tuple[str | None, bool | None]:
        """The default queue type of the own one, and whether others are in use; None where that is unknown."""
        own = next((v for v in listed if v.name == self._management.vhost), None)
        if own is None:
            return None, None
        others = [v for v in listed if v is not own]
        complete = SEES_EVERYTHING & set(self._tags) and not self.overview.disable_stats
        used = any(v.is_used for v in others)
        return own.queue_type, used if used or complete else None

    def _statistics(self) -> dict[str, Statistics]:
        m = self._management
        return m.statistics() if self._skip_statistics is None else m.statistics_except(self._skip_statistics)

    def _queues(self, read: dict[str, Any]) -> tuple[tuple[QueueState, ...] | None, int]:
        """The queues, and the number of queues without statistics; their consumers are counted from the list."""
        statistics, consumers = read.get("statistics") or {}, read.get("consumers")
        names, counts = statistics.keys() | bound(read.get("bindings") or ()), None
        skipped = self._skip_statistics is not None and "statistics" in read
        if skipped and consumers is not None:
            counts = Counter([c.queue for c in consumers])
        totals = self._result("queues") if "queues" in self._asked else None
        if totals is None:
            return None, 0
        totals += self._left_out(totals, names)
        left_out = sum(q.name not in statistics for q in totals) if skipped else 0
        return merge(totals, statistics, counts), left_out

    def _left_out(self, totals: list[QueueWire], names: set[str]) -> list[QueueWire]:
        try:
            return self._management.left_out(totals, names)
        except SourceError as e:  # whether these are there is unknown: they must not seem to be missing
            self.missing.setdefault(Source.BROKER, str(e))
            return []

    def _majority(self, nodes: tuple[NodeState, ...] | None) -> bool | None:
        try:
            return None if nodes is None else majority(self._management, nodes)
        except SourceError:
            return None

    def _result(self, name: str) -> Any:
        source, future = self._asked[name]
        try:
            return future.result()
        except SourceError as e:
            self.missing.setdefault(source, str(e))
            return None


def _connected(read: dict[str, Any], own: set[str]) -> tuple[tuple[UserPermissions, ...] | None, bool | None]:
    """The permissions of the users that are connected or this tool's own: no other user belongs in a snapshot.

    Of all the others only whether one of them may configure or write something.
    """
    permissions: tuple[UserPermissions, ...] | None = read.get("user_permissions")
    if permissions is None:
        return None, None
    users = own | {c.user for c in (*(read.get("connections") or ()), *(read.get("consumers") or ()))}
    known = tuple(p for p in permissions if p.user in users)
    return known, any(p.may_declare for p in permissions if p.user not in users)


def _in_full(read: dict[str, Any]) -> tuple[ConsumerState, ...] | None:
    """The consumers that were read in short form, completed from their channels and connections."""
    consumers: list[ConsumerWire] | None = read.get("consumers")
    if consumers is None:
        return None
    connections: dict[str, ConnectionState] = {c.name: c for c in read.get("connections") or ()}
    channels: dict[str, ChannelDetails] = {}
    for c in read.get("channels") or ():
        connection = connections.get(c.connection)
        peer_host, user = (connection.peer_host, connection.user) if connection else (None, None)
        channels[c.name] = ChannelDetails(c.name, c.connection, peer_host, user)
    return tuple([c.to_state(channels.get(c.channel.name)) for c in consumers])
