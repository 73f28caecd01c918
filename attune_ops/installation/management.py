"""The reads of RabbitMQ's management API. Each says which user tag it needs; none changes anything."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any, Self, TypeVar
from urllib.parse import quote

import msgspec

from attune_ops.installation import http
from attune_ops.installation.config.settings import Settings
from attune_ops.installation.http import ApiError, Http
from attune_ops.installation.light_http import LightHttp
from attune_ops.installation.management_types.clients import ChannelWire, ConnectionWire, ConsumerWire
from attune_ops.installation.management_types.cluster import (
    Alarms,
    DeprecatedWire,
    FeatureFlag,
    NodeWire,
    Overview,
    Passed,
    Permissions,
    VhostLimits,
    VirtualHost,
    VirtualHostsDown,
    WhoAmI,
)
from attune_ops.installation.management_types.objects import (
    STATISTICS,
    BindingWire,
    ExchangeWire,
    NameAndVhost,
    OneQueue,
    PolicyWire,
    QueuePage,
    QueuePolicy,
    QueueWire,
    Statistics,
    StatisticsPage,
)
from attune_ops.model.errors import SourceError
from attune_ops.model.snapshot import (
    UNAVAILABLE,
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
from attune_ops.model.waiting import pause

T = TypeVar("T")

SAMPLE_INTERVAL_S = 7.0  # RabbitMQ updates its statistics every 5 s; two closer samples may be equal
STARTING_S = 0.5  # a node that starts counts no queue for 20 to 60 ms
LISTING_PATIENCE = 6  # a list of many queues takes the broker so many times longer than an ordinary answer
PAGE = 500  # the most that the API gives on one
MOST_EXCHANGES = 50  # whose bindings are read one by one
IN_SHORT = "queue.name,queue.vhost,consumer_tag,channel_details.name,prefetch_count"
TOTALS = "disable_stats=true&enable_queue_totals=true"


class Management:
    """The management API of one broker, for one virtual host.

    Every method raises `SourceError` where the API cannot be reached, and `ApiError` (one too) for an error
    status; the sentence names URL, user and virtual host.
    """

    def __init__(self, transport: Http, vhost: str, timeout: float = 10.0) -> None:
        self.http, self.vhost, self._timeout = transport, vhost, timeout
        self._vhost = quote(vhost, safe="")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections."""
        self.http.close()

    def overview(self) -> Overview:
        """Reads versions, cluster name and counters. Needs tag management, changes nothing."""
        return self._get("overview", Overview)

    def whoami(self) -> WhoAmI:
        """Reads the user's own name and tags. Needs tag management, changes nothing."""
        return self._get("whoami", WhoAmI)

    def whoami_answer(self) -> tuple[WhoAmI, http.Answer]:
        """Like `whoami`, with the answer itself: its duration and headers."""
        answer = self._answer("whoami")
        return http.decode(self.http.endpoint, "whoami", answer, WhoAmI), answer

    def exchanges(self) -> tuple[ExchangeState, ...]:
        """Reads the exchanges of the virtual host. Needs tag management and any permission there, changes nothing."""
        return tuple(e.to_state() for e in self._present("exchanges", self._list("exchanges", ExchangeWire)))

    def queues(self, bindings: Collection[BindingState]) -> tuple[QueueState, ...]:
        """Reads the queues in totals mode, without statistics; `bindings` tell whether it leaves some out.

        Needs tag management and any permission in the virtual host, changes nothing.
        """
        totals = self.totals()
        return merge(totals + self.left_out(totals, bound(bindings)), {})

    def left_out(self, totals: list[QueueWire], names: Collection[str]) -> list[QueueWire]:
        """Reads those of `names` that totals mode left out.

        They are crashed, were declared meanwhile, or from 4.0 on their node is down or starts. Nothing is requested
        where there are none. Of all but those on a node that is down the list says "running": crashed is one that is
        listed after half a second in which it was not counted.
        """
        absent = set(names) - {q.name for q in totals}
        listed = [q for q in (self.listed() if absent else ()) if q.name in absent]
        found = [q for q in listed if q.state in UNAVAILABLE]
        running = {q.name for q in listed} - {q.name for q in found}
        counted = self._counted(running)
        if len(counted) < len(running):
            pause(STARTING_S, "counts of a node that starts")
            counted |= self._counted(running)
            still = {q.name for q in self.listed()} - counted.keys()
            found += [msgspec.structs.replace(q, state=None) for q in listed if q.name in running & still]
        return found + list(counted.values())

    def _counted(self, names: Collection[str]) -> dict[str, QueueWire]:
        return {q.name: q for q in (self.totals() if names else ()) if q.name in names}

    def totals(self) -> list[QueueWire]:
        """Reads each queue with its live message counts. Needs tag management, changes nothing."""
        return self._list("queues", QueueWire, TOTALS)

    def listed(self) -> list[QueueWire]:
        """Reads each queue's declaration from the metadata, also of unavailable queues. Needs tag management."""
        return self._list("queues", QueueWire, "disable_stats=true")

    def statistics(self) -> dict[str, Statistics]:
        """Reads the statistics of the queues, by name. Needs tag management, changes nothing."""
        return {q.name: q for q in self._list("queues", Statistics, f"columns={STATISTICS}")}

    def statistics_except(self, pattern: str) -> dict[str, Statistics]:
        """Like `statistics`, without queues that match the pattern, by pages. Needs tag management, changes nothing.

        Statistics take the broker the longest (2 s for 10,000 queues); a page costs only its own queues.
        """
        name = quote(f"^(?!{pattern.removeprefix('^')})", safe="")
        query = f"page_size={PAGE}&name={name}&use_regex=true&columns={STATISTICS}"
        found: dict[str, Statistics] = {}
        number = count = 1
        while number <= count:
            path = f"queues/{self._vhost}?page={number}&{query}"
            try:
                page = self._get(path, StatisticsPage, self.vhost, listing=True)
            except ApiError as e:
                if number > 1 and e.status == 400:
                    break  # queues were deleted meanwhile, and the page with them
                raise
            found |= {q.name: q for q in page.items}
            number, count = number + 1, page.page_count
        return found

    def queue(self, name: str) -> OneQueue | None:
        """Reads one queue with all its consumers; None where it is missing. Needs tag management, changes nothing."""
        return self._maybe(f"queues/{self._vhost}/{quote(name, safe='')}", OneQueue)

    def live_counts(self, name: str) -> QueueWire | None:
        """Reads one queue in totals mode, counts live; None where it is missing. Needs tag management, changes nothing.

        Read as a page of a list: a single queue has no counts in that mode before 4.0.
        """
        return self._page_of_one(name, TOTALS)

    def declared(self, name: str) -> QueueWire | None:
        """Reads one queue from the metadata, also while it is unavailable; None where it is missing."""
        return self._page_of_one(name, "disable_stats=true")

    def policies_of_queues(self) -> dict[str, str | None]:
        """Reads the policy that applies to each queue, seconds old. Needs tag management, changes nothing."""
        return {q.name: q.policy for q in self._list("queues", QueuePolicy, "columns=name,policy")}

    def bindings(self) -> tuple[BindingState, ...]:
        """Reads the bindings, without the default exchange's implicit ones. Needs tag management, changes nothing."""
        return tuple(b.to_state() for b in self._list("bindings", BindingWire) if b.source)

    def bindings_by_source(self) -> tuple[BindingState, ...]:
        """Like `bindings`, one request an exchange: the broker sends no implicit bindings, half of 10,000 workers'.

        With more than 50 exchanges they are read in one request.
        """
        names = [e.name for e in self.exchanges() if e.name]
        if len(names) > MOST_EXCHANGES:
            return self.bindings()
        return tuple(b for name in names for b in self.bindings_from(name))

    def bindings_from(self, exchange: str) -> tuple[BindingState, ...]:
        """Reads the bindings of one exchange, () where it is missing. Needs tag management, changes nothing."""
        path = f"exchanges/{self._vhost}/{quote(exchange, safe='')}/bindings/source"
        return tuple(b.to_state() for b in self._maybe(path, list[BindingWire], listing=True) or ())

    def bindings_of(self, queue: str) -> tuple[BindingState, ...]:
        """Reads the bindings of one queue, () where it is missing. Needs tag management, changes nothing."""
        path = f"queues/{self._vhost}/{quote(queue, safe='')}/bindings"
        return tuple(b.to_state() for b in self._maybe(path, list[BindingWire]) or () if b.source)

    def consumers(self) -> tuple[ConsumerState, ...]:
        """Reads the consumers of the virtual host. Needs tag monitoring (others see their own), changes nothing."""
        return tuple(c.to_state() for c in self._list("consumers", ConsumerWire))

    def consumers_in_short(self) -> list[ConsumerWire]:
        """Like `consumers`, in a third of the time: only queue, tag, channel and prefetch."""
        return self._list("consumers", ConsumerWire, f"columns={IN_SHORT}")

    def connections(self) -> tuple[ConnectionState, ...]:
        """Reads the connections to the virtual host. Needs tag monitoring (others see their own), changes nothing."""
        path = f"vhosts/{self._vhost}/connections"
        # A connection before the end of its handshake has no virtual host yet.
        return tuple(c.to_state() for c in self._get(path, list[ConnectionWire], self.vhost, listing=True) if c.vhost)

    def channels(self) -> tuple[ChannelState, ...]:
        """Reads the channels of the virtual host. Needs tag monitoring (others see their own), changes nothing."""
        path = f"vhosts/{self._vhost}/channels"
        return tuple(c.to_state() for c in self._get(path, list[ChannelWire], self.vhost, listing=True))

    def policies(self) -> tuple[PolicyState, ...]:
        """Reads policies and operator policies. Needs tag management, changes nothing."""
        own = [p.to_state(False) for p in self._list("policies", PolicyWire)]
        return (*own, *(p.to_state(True) for p in self._list("operator-policies", PolicyWire)))

    def virtual_hosts(self) -> tuple[VirtualHost, ...]:
        """Reads the virtual hosts, with tag monitoring all. Needs tag management, changes nothing."""
        # Only administrators can read one virtual host by its name. An empty list stands for a virtual host that is
        # being deleted.
        path = "vhosts?columns=name,default_queue_type,messages,message_stats"
        listed = self._get(path, list[VirtualHost | list[Any]])
        return tuple(v for v in listed if isinstance(v, VirtualHost))

    def virtual_hosts_with(self, exchanges: Collection[str]) -> set[str]:
        """Reads which virtual hosts have an exchange of one of these names. Needs tag management, changes nothing.

        The broker lists all virtual hosts to an administrator, and to others those in which they have a permission.
        """
        listed = self._get("exchanges?columns=name,vhost", list[NameAndVhost])
        return {e.vhost for e in listed if e.name in exchanges}

    def nodes(self) -> tuple[NodeState, ...]:
        """Reads the cluster's nodes. Needs tag monitoring, changes nothing."""
        return tuple(n.to_state() for n in self._present("nodes", self._get("nodes", list[NodeWire])))

    def alarms(self) -> tuple[str, ...]:
        """Reads the resource alarms in effect anywhere in the cluster. Needs tag management, changes nothing."""
        failed = self._failed_check("alarms", Alarms)
        return () if failed is None else tuple(str(a) for a in failed.alarms) or (str(failed.reason),)

    def virtual_hosts_down(self) -> tuple[str, ...]:
        """Reads which virtual hosts are down on a node. Needs tag management, changes nothing."""
        failed = self._failed_check("virtual-hosts", VirtualHostsDown)
        return () if failed is None else tuple(map(str, failed.names)) or (str(failed.reason),)

    def deprecated_features(self) -> tuple[DeprecatedFeature, ...] | None:
        """Reads the deprecated features, None before 3.13. Needs tag management, changes nothing."""
        known = self._maybe("deprecated-features", list[DeprecatedWire])
        if known is None:
            return None
        used = {f.name for f in self._maybe("deprecated-features/used", list[DeprecatedWire]) or ()}
        return tuple(f.feature(f.name in used) for f in known)

    def feature_flag(self, name: str) -> bool:
        """Reads whether a feature flag is enabled, False where the broker has none of that name. Tag management."""
        return any(f.name == name and f.state == "enabled" for f in self._get("feature-flags", list[FeatureFlag]))

    def limits(self) -> dict[str, int]:
        """Reads the limits of the virtual host, by name. Needs tag management, changes nothing."""
        return {name: n for each in self._list("vhost-limits", VhostLimits) for name, n in each.by_name.items()}

    def permissions(self, user: str) -> tuple[str, str, str] | None:
        """Reads a user's configure, write and read patterns. Needs tag administrator, changes nothing."""
        found = self._maybe(f"permissions/{self._vhost}/{quote(user, safe='')}", Permissions)
        return None if found is None else (found.configure, found.write, found.read)

    def _page_of_one(self, name: str, query: str) -> QueueWire | None:
        pattern = quote(f"^{re.escape(name)}$", safe="")
        path = f"queues/{self._vhost}?page=1&page_size=1&use_regex=true&name={pattern}&{query}"
        return next(iter(self._get(path, QueuePage, self.vhost).items), None)

    def _list(self, what: str, kind: type[T], query: str = "") -> list[T]:
        path = f"{what}/{self._vhost}" + (f"?{query}" if query else "")
        found = self._get(path, list[kind], self.vhost, listing=True)  # type: ignore[valid-type]
        if "/" in self.vhost and any(getattr(each, "vhost", self.vhost) != self.vhost for each in found):
            raise SourceError(
                f"management API {self.http.endpoint} lists objects of other virtual hosts than {self.vhost!r}: a "
                "proxy decodes the %2F in the path; configure it to pass the path as it comes"
            )
        return found

    def _present(self, what: str, listed: list[T]) -> list[T]:
        """The list; raises `SourceError` where it is empty: every broker has some."""
        if not listed:
            raise SourceError(
                f"management API {self.http.endpoint} lists no {what}, which RabbitMQ always has: a proxy or another "
                "server answers there"
            )
        return listed

    def _failed_check(self, check: str, kind: type[T]) -> T | None:
        """The answer of a failed health check of the broker, None where it passed.

        Raises `SourceError` for an answer without the check's status: another server may answer anything.
        """
        path = f"health/checks/{check}"
        answer = self._answer(path, fine=(503,))
        if answer.status == 503:
            return http.decode(self.http.endpoint, path, answer, kind)
        http.decode(self.http.endpoint, path, answer, Passed)
        return None

    def _get(self, path: str, kind: type[T], vhost: str | None = None, listing: bool = False) -> T:
        """Reads `/api/{path}` as `kind`; raises `ApiError` for an error status, else `SourceError`."""
        timeout = self._timeout * LISTING_PATIENCE if listing else None
        return http.decode(self.http.endpoint, path, self._answer(path, vhost, timeout), kind)

    def _answer(
        self, path: str, vhost: str | None = None, timeout: float | None = None, fine: tuple[int, ...] = ()
    ) -> http.Answer:
        answer = self.http.request("GET", path, timeout=timeout)
        if answer.status not in fine:
            http.check(self.http.endpoint, path, answer, vhost)
        return answer

    def _maybe(self, path: str, kind: type[T], listing: bool = False) -> T | None:
        """The answer, or None for a 404."""
        try:
            return self._get(path, kind, listing=listing)
        except ApiError as e:
            if e.status == 404:
                return None
            raise


def bound(bindings: Collection[BindingState]) -> set[str]:
    """The names of the queues that have a binding."""
    return {b.destination for b in bindings if b.destination_kind == "queue"}


def merge(
    totals: list[QueueWire], statistics: Mapping[str, Statistics], consumers: Counter[str] | None = None
) -> tuple[QueueState, ...]:
    """The queues of a totals-mode list with their statistics; those without have the number of `consumers`."""
    return tuple(
        q.merged(found)
        if (found := statistics.get(q.name)) is not None
        else q.to_state(None if consumers is None else consumers[q.name])
        for q in totals
    )


def open_management(settings: Settings, *, light: bool = False) -> Management:
    """The management API of an installation, connected on first use; `light` is for a health probe."""
    return Management(open_http(settings, light=light), settings.vhost, settings.timeout)


def open_http(settings: Settings, *, light: bool = False) -> Http:
    """A transport: a pooled `requests` session, or with `light` our own, which loads nothing.

    The light one knows no proxies: where a proxy is configured, the pooled one is used.
    """
    endpoint, timeout, tls = settings.management, settings.timeout, settings.tls
    proxied = any(
        os.environ.get(name) for p in (endpoint.scheme, "all") for name in (f"{p}_proxy", f"{p}_PROXY".upper())
    )
    if light and not proxied:
        return LightHttp(endpoint, timeout, tls)
    from attune_ops.installation.pooled_http import PooledHttp

    return PooledHttp(endpoint, timeout, tls)
