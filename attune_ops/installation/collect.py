"""Collecting the facts: a fixed number of requests however many queues there are."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import TypeVar

import msgspec

from attune_ops.installation import http, last_reading, prometheus, sockets
from attune_ops.installation.broker_reading import LISTINGS, BrokerReading
from attune_ops.installation.broker_release import recognised_or_default
from attune_ops.installation.config.settings import NO_REGISTRY, Endpoint, Settings
from attune_ops.installation.live_consumers import with_counts_of_equal_releases, with_live_consumers
from attune_ops.installation.management import SAMPLE_INTERVAL_S, open_management
from attune_ops.installation.passive import with_passive_declares
from attune_ops.installation.second_reading import confirmed
from attune_ops.installation.side_by_side import SideBySide
from attune_ops.model.errors import ConfigError, SourceError
from attune_ops.model.facts import NOT_ASKED, Facts, Reach, Source, changed, with_topology
from attune_ops.model.ownership import require
from attune_ops.model.registry import RegistryView
from attune_ops.model.snapshot import BrokerSnapshot
from attune_ops.model.topologies import candidates
from attune_ops.model.topology import Topology
from attune_ops.model.waiting import SECOND_SAMPLE, pause

T = TypeVar("T")

ONE_SAMPLE = "only one sample was taken; use --samples 2"
THREADS = 6  # 4 HTTP requests (more would wait in the broker), AMQP and the registry


REGISTERED = frozenset({Source.REGISTRY, Source.EXECUTIONS, Source.ASSIGNMENTS})
MANAGED = frozenset(Source) - REGISTERED - {Source.AMQP, Source.EARLIER}


def collect(
    settings: Settings,
    sources: Collection[Source] | None = None,
    *,
    listings: Collection[str] = LISTINGS,
    samples: int = 1,
    interval: float = SAMPLE_INTERVAL_S,
    earlier: BrokerSnapshot | None = None,
    skip_worker_statistics: bool = False,
    passive: bool = False,
    confirm: bool = False,
    prepare: Sequence[Callable[[Facts], object]] = (),
) -> Facts:
    """Reads the `sources` (default: all) of broker and registry in parallel; changes nothing.

    `listings` limits `Source.BROKER` to some of exchanges, queues, statistics (of the queues), bindings,
    policies and default_queue_type. With two `samples` the queues are read twice, `interval` s apart;
    the first sample is `Facts.earlier`; `earlier` is one that was read before. What cannot be read is in
    `Facts.missing` with its reason; nothing is raised for it. With `skip_worker_statistics`, rates and ages of worker
    queues are not read where the broker has more than 2,000 queues: they take the longest. With `passive`, what the
    management API does not tell of the expected queues is asked by passive declares over AMQP (`Facts.passive`). With
    `confirm`, all is read again where a live worker seems to lack a queue or binding: it may have started meanwhile.
    `prepare` is for `Facts.prepare`, which is called while the answer about the queues is awaited.
    """
    wanted, asked = frozenset(Source if sources is None else sources), frozenset(listings)
    whole = Source.BROKER in wanted and {"exchanges", "queues", "bindings"} <= asked
    if not whole and MANAGED & wanted:
        settings = recognised_or_default(settings)
    known = candidates(settings.topology) if whole else {settings.topology.name: settings.topology}
    judged = known.values() if settings.recognise else (settings.topology,)
    skip = "|".join(t.worker_queue_pattern for t in judged) if skip_worker_statistics else None
    if samples > 1:
        depths = wanted & {Source.BROKER, Source.DEPTHS, Source.CONSUMERS, Source.CONNECTIONS}
        earlier = Round(settings, depths, frozenset({"queues", "statistics"}), skip).read().broker
        pause(interval, SECOND_SAMPLE)

    def read() -> Facts:
        facts = Round(settings, wanted, asked, skip).read(prepare)
        return _recognised(settings, facts, known) if whole else facts

    facts = read()
    if confirm and whole:
        facts = confirmed(facts, read)
    if facts.no_topology:
        names = {e.name for t in known.values() for e in t.exchanges}
        facts = msgspec.structs.replace(facts, elsewhere=_elsewhere(settings, names))
    facts = with_live_consumers(settings, facts)
    if passive:
        facts = with_passive_declares(settings, facts)
    if whole and settings.recognise and not facts.recognised:
        facts = changed(facts, assumed=True)
    last_reading.keep(settings, facts)
    return with_earlier(facts, earlier)


def _recognised(settings: Settings, facts: Facts, known: Mapping[str, Topology]) -> Facts:
    facts = with_topology(facts, known, given=not settings.recognise)
    if told_apart := with_counts_of_equal_releases(settings, facts, known):
        return with_topology(told_apart, known, given=not settings.recognise)
    return facts


def with_earlier(facts: Facts, earlier: BrokerSnapshot | None) -> Facts:
    """The facts with a first sample of the broker, or with the reason why there is none."""
    missing: dict[Source, str] = {
        source: reason for source, reason in facts.missing.items() if source is not Source.EARLIER
    }
    if earlier is None:
        missing[Source.EARLIER] = ONE_SAMPLE
    return changed(facts, earlier=earlier, missing=missing)


def _elsewhere(settings: Settings, names: Collection[str]) -> tuple[str, ...]:
    """The other virtual hosts, of those that the user may see, that have an exchange of one of these names."""
    try:
        with open_management(settings) as management:
            return tuple(sorted(management.virtual_hosts_with(names) - {settings.vhost}))
    except SourceError:
        return ()


def check_release(settings: Settings, force: bool) -> None:
    """Refuses a change by the topology of one release where the broker clearly has another; `force` allows it.

    Reads exchanges, queues and bindings, needs tag management. Raises `ConfigError`; `SourceError` where they cannot be
    read, since a change by the wrong topology damages what runs.
    """
    if force or settings.recognise:  # a topology that was not given is the one that fits best
        return
    facts = require(collect(settings, (Source.BROKER,), listings=("exchanges", "queues", "bindings")), Source.BROKER)
    better = facts.recognition.better_than(facts.topology.name) if facts.recognition else None
    if better is not None:
        raise ConfigError(
            f"nothing was changed: the broker runs {better.name} ({better.matched} of {better.total} objects), not "
            f"{facts.topology.name}. Omit --topology, or add --force to change it all the same"
        )


class Round:
    """One round of requests: what was read, and which sources are missing."""

    def __init__(
        self,
        settings: Settings,
        sources: frozenset[Source],
        listings: frozenset[str],
        skip_statistics: str | None = None,
    ) -> None:
        self._settings, self._sources, self._listings = settings, sources, listings
        self._skip_statistics = skip_statistics
        self._missing: dict[Source, str] = {s: NOT_ASKED for s in Source if s not in sources | {Source.EARLIER}}
        self._reach: dict[Source, Reach] = {}

    def read(self, prepare: Sequence[Callable[[Facts], object]] = ()) -> Facts:
        """Sends all requests and waits for the answers."""
        sources = self._sources
        early: Facts | None = None

        def meanwhile(known: BrokerSnapshot) -> None:
            # The age of a heartbeat counts from when it was read: the answer about many queues comes seconds later.
            nonlocal early
            view = registry.result() if registry else None
            early = Facts(self._settings.topology, datetime.now(UTC), broker=known, registry=view)
            early.prepare(prepare)

        with SideBySide(THREADS) as pool:
            amqp = pool.submit(self._amqp) if Source.AMQP in sources else None
            registry = pool.submit(self._registry) if REGISTERED & sources else None
            broker = self._broker(pool, meanwhile) if MANAGED & sources else None
            view = registry.result() if registry else None
            if amqp:
                amqp.result()
        facts = Facts(
            topology=self._settings.topology,
            taken_at=early.taken_at if early else datetime.now(UTC),
            broker=broker,
            registry=view,
            reach=tuple(self._reach[s] for s in Source if s in self._reach),
            missing={s: self._missing[s] for s in Source if s in self._missing},
            env=self._settings.env,
            vhost=self._settings.vhost,
        )
        if early:
            facts.take_prepared(early)
        return facts

    def _amqp(self) -> None:
        from attune_ops.installation import amqp

        endpoint, settings = self._settings.amqp, self._settings
        try:
            found = amqp.reach(settings)
        except SourceError as e:
            self._lost(Source.AMQP, str(endpoint), e)
        else:
            self._reach[Source.AMQP] = self._with_certificate(found, endpoint)

    def _registry(self) -> RegistryView | None:
        from attune_ops.installation import registry_read, registry_session

        settings = self._settings
        if settings.database is None:
            self._missing |= dict.fromkeys(REGISTERED & self._sources, NO_REGISTRY)
            return None
        if registry_session.is_yet_to_come(settings.database):
            self._missing |= dict.fromkeys(REGISTERED & self._sources, registry_session.no_file(settings.database))
            return None
        shown = settings.database.shown
        executions = bool({Source.EXECUTIONS, Source.ASSIGNMENTS} & self._sources)
        started = time.perf_counter()
        try:
            with registry_session.session(settings.database, settings.timeout) as s:
                self._reach[Source.REGISTRY] = Reach(
                    Source.REGISTRY,
                    target=shown,
                    version=registry_session.version(s),
                    clock_offset_s=registry_session.clock_offset(s),
                    latency_ms=(time.perf_counter() - started) * 1000,
                )
                view = registry_read.read_registry(s, stale_after=settings.stale_after, executions=executions)
        except SourceError as e:
            self._lost(Source.REGISTRY, shown, e)
            self._missing |= dict.fromkeys(REGISTERED & self._sources, str(e))
            return None
        if executions and view.executions is None:
            reason = f"registry {shown}: {view.unreadable or 'no execution table'}"
            self._missing |= dict.fromkeys({Source.EXECUTIONS, Source.ASSIGNMENTS} & self._sources, reason)
        elif executions and not view.assigned:
            why = view.unreadable or "the execution table has no column worker, it is of an older release"
            reason = f"registry {shown}: {why}"
            self._missing[Source.ASSIGNMENTS] = reason
        return view

    def _broker(self, pool: SideBySide, meanwhile: Callable[[BrokerSnapshot], None]) -> BrokerSnapshot | None:
        settings = self._settings
        with open_management(settings) as management:
            try:
                before = time.time()
                me, answer = management.whoami_answer()
                reading = BrokerReading(management, me.all_tags, self._skip_statistics, settings.amqp.user)
                reading.ask(pool, self._sources, self._listings, self._dead_lettered)
                admin = "administrator" in me.all_tags
                rights = _or_none(lambda: management.permissions(me.name)) if admin else None
                if rights is None and Source.PERMISSIONS in self._sources:
                    self._missing[Source.PERMISSIONS] = (
                        f"virtual host {settings.vhost!r} is missing, or user {me.name!r} has no permissions in it"
                        if admin
                        else f"user {me.name!r} does not have the administrator tag and cannot see its permissions"
                    )
                reached = Reach(
                    Source.MANAGEMENT,
                    target=str(settings.management),
                    latency_ms=answer.elapsed_ms,
                    user=me.name,
                    tags=me.all_tags,
                    permissions=rights,
                    version=reading.overview.rabbitmq_version,
                    clock_offset_s=_clock_offset(answer, before),
                )
                self._reach[Source.MANAGEMENT] = self._with_certificate(reached, settings.management)
                snapshot = reading.snapshot(meanwhile)
                self._missing |= reading.missing
                return snapshot
            except SourceError as e:
                # The first request failed: so would the others.
                self._lost(Source.MANAGEMENT, str(settings.management), e)
                self._missing |= dict.fromkeys(MANAGED & self._sources, str(e))
                return None

    def _dead_lettered(self) -> prometheus.Counters:
        settings = self._settings
        if settings.prometheus is None:
            raise SourceError("no Prometheus endpoint is configured; set prometheus_url")
        return prometheus.dead_lettered(settings.prometheus, settings.timeout, settings.tls)

    def _with_certificate(self, reach: Reach, endpoint: Endpoint) -> Reach:
        if not endpoint.tls:
            return reach
        try:
            days = sockets.certificate_days(endpoint, self._settings.tls, self._settings.timeout)
        except SourceError as e:
            return msgspec.structs.replace(reach, certificate_error=str(e))
        return msgspec.structs.replace(reach, certificate_days=days)

    def _lost(self, source: Source, target: str, error: SourceError) -> None:
        self._missing[source] = str(error)
        self._reach[source] = Reach(source, target=target, error=str(error))


def _or_none(read: Callable[[], T]) -> T | None:
    try:
        return read()
    except SourceError:
        return None


def _clock_offset(answer: http.Answer, before: float) -> float | None:
    """The skew of the broker's clock in s, positive where it is ahead; the Date header has whole seconds, cut off."""
    from email.utils import parsedate_to_datetime

    try:
        date = parsedate_to_datetime(answer.headers["date"]).timestamp()
    except (KeyError, ValueError):
        return None
    return round(date + 0.5 - (before + answer.elapsed_ms / 2000), 1)
