"""The facade that notebooks and the command line share: one installation, and what can be asked of it.

Thin on purpose: each method resolves, collects and hands over; the thinking lives below. Everything a method
returns shows itself (`attune_ops.model.display`).
"""

from __future__ import annotations

import importlib
from collections.abc import Collection, Mapping
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, Unpack

from attune_ops.model.errors import ConfigError
from attune_ops.model.facts import Facts, Source
from attune_ops.model.secret import hold

if TYPE_CHECKING:
    from attune_ops.cleanup.candidates import ReapResult
    from attune_ops.doctor.explain.explanation import Explanations
    from attune_ops.doctor.findings import Report
    from attune_ops.doctor.health import Probes
    from attune_ops.drills.journal import Comparison, Journal
    from attune_ops.installation.config import Settings
    from attune_ops.inventory import TableFilters
    from attune_ops.messages.facade import Messages
    from attune_ops.model.graph import Graph
    from attune_ops.model.table import Table
    from attune_ops.monitoring.past import Past
    from attune_ops.routing import Router
    from attune_ops.routing.route import Reason, Route
    from attune_ops.startup.startup_report import StartupReport
    from attune_ops.topology.drift import ApplyResult, TopologyDiff
    from attune_ops.topology.policies.apply_policy import PolicyOperations


def connect(env: str | None = None, lab: bool | str = False, **options: str) -> Ops:
    """Points at an installation, by the same resolution as the command line; nothing is contacted yet.

    `env` is a named environment of the configuration file; `lab` is True for the running lab, or the name of one of
    several; `options` are those of the command line (`amqp_url="amqp://…"`, `topology="attune-2026-09"`).
    Raises `ConfigError`.
    """
    from attune_ops.installation.config import resolve
    from attune_ops.installation.config.resolve import KEYS

    unknown = sorted(set(options) - set(KEYS))
    if unknown:
        raise ConfigError(f"connect knows no option {unknown[0]!r}; it has {', '.join(KEYS)}")
    return Ops(resolve({**options, **({"env": env} if env else {})}, lab=lab))


class Ops:
    """One installation. Use it as a context manager, or call `close`; it holds nothing open in between calls."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        hold(self, settings.secrets)

    def facts(
        self,
        sources: Collection[Source] | None = None,
        *,
        samples: int = 1,
        interval: float = 5.0,
        skip_worker_statistics: bool = False,
    ) -> Facts:
        """Reads broker and registry: all sources, or only those given. Needs tag monitoring, changes nothing.

        With `samples=2` the queues are read twice, `interval` seconds apart, to see what grows or moves. With
        `skip_worker_statistics` rates and ages of worker queues are not read where the broker has more than 2,000
        queues: they take it longest. What cannot be read is in `Facts.missing` with its reason; nothing is raised.
        """
        from attune_ops.installation.collect import collect

        return collect(
            self.settings, sources, samples=samples, interval=interval, skip_worker_statistics=skip_worker_statistics
        )

    def explain(self, text: str) -> Explanations:
        """Explains every error that a text quotes and compares it with the installation (`explain`)."""
        from attune_ops.doctor.explain import explain_live

        return explain_live(self.settings, text)

    def startup(
        self,
        service: str = "worker",
        worker: str | None = None,
        skip: Collection[str] = (),
        *,
        confirm: str | None = None,
    ) -> StartupReport:
        """Runs a service's start-up sequence against the broker, and stops it cleanly; see `startup.sequence`."""
        from attune_ops.startup.sequence import run_startup

        return run_startup(self.settings, service, worker, skip, confirm=confirm)

    def queues(self, **filters: Unpack[TableFilters]) -> Table:
        """The queues: what they hold, who consumes them, whose they are; columns: `attune_ops/inventory/queues.py`."""
        return self._inspect("queues", **filters)

    def bindings(self, **filters: Unpack[TableFilters]) -> Table:
        """The bindings, and whether the topology makes them; columns: `attune_ops/inventory/bindings.py`."""
        return self._inspect("bindings", **filters)

    def exchanges(self, **filters: Unpack[TableFilters]) -> Table:
        """The exchanges; columns: `attune_ops/inventory/exchanges.py`."""
        return self._inspect("exchanges", **filters)

    def consumers(self, **filters: Unpack[TableFilters]) -> Table:
        """The consumers and where they come from; columns: `attune_ops/inventory/consumers.py`."""
        return self._inspect("consumers", **filters)

    def workers(self, **filters: Unpack[TableFilters]) -> Table:
        """The registered workers, and what the broker has for each; columns: `attune_ops/inventory/workers.py`."""
        return self._inspect("workers", **filters)

    def orphans(self, **filters: Unpack[TableFilters]) -> Table:
        """Queues without a live worker, live workers without queue; columns: `attune_ops/inventory/orphans.py`."""
        return self._inspect("orphans", **filters)

    def doctor(
        self,
        only: Collection[str] = (),
        skip: Collection[str] = (),
        *,
        facts: Facts | None = None,
        samples: int = 1,
        interval: float = 5.0,
        target_version: str | None = None,
        baseline: str | None = None,
    ) -> Report:
        """Looks for what goes wrong; `only` and `skip` are codes, names or groups of checks.

        Reads broker and registry (twice with `samples=2`, `interval` seconds apart, to see what grows), needs tag
        monitoring, changes nothing. `target_version` is the RabbitMQ version that an upgrade is judged for; `baseline`
        is the JSON of an earlier report, whose findings are left out. Raises `ConfigError`.
        """
        from attune_ops.doctor.diagnosis import diagnose_live, read_baseline

        return diagnose_live(
            self.settings,
            facts=facts,
            samples=samples,
            interval=interval,
            only=only,
            skip=skip,
            target_version=target_version,
            known=read_baseline(baseline),
        )

    def router(self, facts: Facts | None = None) -> Router:
        """The routing simulator over the live broker as it is now (or over `facts`), for many questions.

        Reads exchanges, queues, bindings and policies, needs tag management, changes nothing. Raises `SourceError`.
        """
        from attune_ops.routing.live import read_router

        return read_router(self.settings, facts)

    def route(
        self,
        exchange: str,
        routing_key: str,
        headers: Mapping[str, Any] | None = None,
        *,
        facts: Facts | None = None,
    ) -> Route:
        """Which queues a message reaches, and on what way. Publishes nothing. Raises `SourceError`."""
        from attune_ops.routing.reasons import explained

        router = self.router(facts)
        return explained(router, router.route(exchange, routing_key, headers))

    def dead_letter(
        self,
        queue: str,
        routing_key: str,
        reason: Reason = "rejected",
        headers: Mapping[str, Any] | None = None,
        *,
        facts: Facts | None = None,
    ) -> Route:
        """Where a message goes that this queue gives up, to its end. Publishes nothing. Raises `SourceError`."""
        from attune_ops.routing.reasons import explained

        router = self.router(facts)
        return explained(router, router.dead_letter(queue, reason, routing_key, headers))

    def canary(
        self, exchange: str, routing_key: str, headers: Mapping[str, Any] | None = None, *, confirm: str | None = None
    ) -> Route:
        """A route proved on the broker, in a scratch virtual host that is made and removed; `canary` tells.

        Needs tag administrator; no queue of this virtual host sees the message. `confirm` is the environment's name
        where it is protected. Raises `SourceError`, `ConfigError`, `ActionError`.
        """
        from attune_ops.routing.canary import prove

        return prove(self.settings, exchange, routing_key, headers, confirm=confirm)

    def topology_diff(self, facts: Facts | None = None) -> TopologyDiff:
        """The topology against the broker, needs tag management, changes nothing. Raises `SourceError`."""
        from attune_ops.topology.apply import compare
        from attune_ops.topology.diff import diff

        return compare(self.settings) if facts is None else diff(facts)

    def topology_apply(self, *, apply: bool = False, confirm: str | None = None) -> ApplyResult:
        """Declares what the broker lacks of the topology, in order, and reads it back; without `apply` only says so.

        Needs tag management, and permission to configure; never changes or deletes what is there. Undo: delete
        the queues and exchanges that were declared. `confirm` is the environment's name where it is protected.
        Raises `SourceError`, `ConfigError`.
        """
        from attune_ops.topology.apply import apply_topology

        return apply_topology(self.settings, write=apply, confirm=confirm)

    def topology_graph(self, *, live: bool = False, facts: Facts | None = None) -> Graph:
        """The topology as a graph; `live` or with `facts`, with queue depths, consumers and missing objects.

        Reads broker and registry if `live`, needs tag monitoring, changes nothing. Raises `SourceError`.
        """
        from attune_ops.topology.topology_graph import SOURCES, topology_graph

        return topology_graph(facts or (self._read(SOURCES) if live else self.settings.topology))

    def topology_export(self, to: str = "definitions", *, live: bool = False, workers: tuple[int, ...] = ()) -> str:
        """The topology, or with `live` what is on the broker, as RabbitMQ definitions or a topology file (`to="toml"`).

        Definitions of the topology include the queues of these `workers`. Changes nothing. Raises `SourceError`.
        """
        from attune_ops.topology.export import SOURCES, export_topology

        return export_topology(self._read(SOURCES) if live else self.settings.topology, to, workers)

    def snapshot(self, file: str | None = None, *, samples: int = 1, replace: bool = False) -> Facts:
        """Reads everything and, with `file`, writes it there, compressed and without secrets.

        A file that exists is only overwritten with `replace`. `model.snapshot_file.load_facts` reads it again.
        Raises `ConfigError` where it cannot be written.
        """
        from attune_ops.model.snapshot_file import save_facts

        facts = self.facts(samples=samples)
        if file is not None:
            save_facts(facts, file, replace=replace, secrets=self.settings.secrets)
        return facts

    def drill(
        self, name: str, *, confirm: str | None = None, remedy: str | None = None, **parameters: Any
    ) -> Journal | Comparison:
        """Runs a drill: makes a failure in a scratch virtual host and accounts for every message, as `drill run` does.

        Only on the lab, or on an environment that allows drills and is named in `confirm`. What it made is removed.
        Raises `DrillRefused`, `ConfigError`, `SourceError`.
        """
        from attune_ops.drills.runner import run

        return run(name, self.settings, confirm=confirm, remedy=remedy, **parameters)

    @property
    def messages(self) -> Messages:
        """Operations on messages: `peek`, `drain`, `restore`, `move`."""
        from attune_ops.messages.facade import Messages

        return Messages(self.settings)

    @property
    def policies(self) -> PolicyOperations:
        """Operations on policies: `show`, `apply`, `remove`."""
        from attune_ops.topology.policies.apply_policy import PolicyOperations

        return PolicyOperations(self.settings)

    def reap(
        self,
        pattern: str = "*",
        *,
        grace: timedelta = timedelta(minutes=10),
        save_to: str | Path | None = None,
        apply: bool = False,
        confirm: str | None = None,
    ) -> ReapResult:
        """Deletes worker queues orphaned in two runs `grace` apart; without `apply` a dry run; see `cleanup.reap`."""
        from attune_ops.cleanup.reap import reap

        return reap(self.settings, pattern, grace=grace, save_to=save_to, apply=apply, confirm=confirm)

    def retire(self, pattern: str = "*", *, apply: bool = False, confirm: str | None = None) -> Table:
        """Sets dead workers to inactive in the registry; without `apply` a dry run; see `cleanup.retire`."""
        from attune_ops.cleanup.retire import retire

        return retire(self.settings, pattern, apply=apply, confirm=confirm)

    def bind(
        self,
        source: str,
        destination: str,
        routing_key: str = "",
        *,
        exchange: bool = False,
        arguments: Mapping[str, Any] | None = None,
        apply: bool = False,
        confirm: str | None = None,
    ) -> Table:
        """Binds a queue (or, with `exchange`, an exchange); without `apply` only says so (`actions.bindings`)."""
        from attune_ops.topology.bind import bind

        return bind(
            self.settings,
            source,
            destination,
            routing_key,
            exchange=exchange,
            arguments=arguments,
            apply=apply,
            confirm=confirm,
        )

    def unbind(
        self,
        source: str,
        destination: str,
        routing_key: str = "",
        *,
        exchange: bool = False,
        arguments: Mapping[str, Any] | None = None,
        apply: bool = False,
        confirm: str | None = None,
    ) -> Table:
        """Removes a binding, of whatever `arguments` where they are None; without `apply` only says so."""
        from attune_ops.topology.bind import unbind

        return unbind(
            self.settings,
            source,
            destination,
            routing_key,
            exchange=exchange,
            arguments=arguments,
            apply=apply,
            confirm=confirm,
        )

    @property
    def health(self) -> Probes:
        """Probes: `worker`, `broker`, `route`."""
        from attune_ops.doctor.health import Probes

        return Probes(self.settings)

    def changes(self, before: str, after: str | None = None) -> Table:
        """What came, went and changed from a snapshot file to another, or to now. Changes nothing."""
        from attune_ops.inventory.snapshot_diff import changes
        from attune_ops.model.snapshot_file import load_facts

        return changes(load_facts(before), self.facts() if after is None else load_facts(after))

    def watch(self, seconds: float, *, interval: float = 10.0) -> Past:
        """Records all queues every `interval` s for `seconds`, and returns everything that is recorded.

        Reads the broker, needs tag monitoring. Writes this tool's own file in the user's state folder, nothing on the
        installation. Raises `SourceError`.
        """
        from attune_ops.monitoring import history

        history.watch(self.settings, interval=interval, seconds=seconds)
        return history.past(self.settings)

    def past(self, since: timedelta | None = None) -> Past:
        """What `watch` has recorded, of the last 30 days or since; asks nobody."""
        from attune_ops.monitoring import history

        return history.past(self.settings, since or history.KEPT)

    def report(self, file: str, *, samples: int = 1, replace: bool = False) -> int:
        """Writes the doctor's report with all tables as one HTML file to send, without secrets; returns its bytes.

        A file that exists is only overwritten with `replace`. Changes nothing on the installation. Raises
        `ConfigError` where it cannot be written, or without `attune-ops[notebook]`.
        """
        from attune_ops.doctor.html_report import write_report

        return write_report(self.doctor(samples=samples), file, replace=replace, secrets=self.settings.secrets)

    def dashboard(self, every: float = 5.0) -> Any:
        """A live dashboard in a notebook, read anew `every` s; a static overview without ipywidgets.

        What can change something there shows first what it would do. `close` stops all of it.
        """
        return importlib.import_module("attune_ops").dashboard(self, every)

    def _inspect(self, name: str, **filters: Unpack[TableFilters]) -> Table:
        from attune_ops.inventory import inspect

        return inspect(self.settings, name, **filters)

    def _read(self, sources: Collection[Source]) -> Facts:
        from attune_ops.model.ownership import require

        return require(self.facts(sources), Source.BROKER)

    def close(self) -> None:
        """Closes what was opened; calling it twice does no harm."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<attune_ops.Ops {self.settings.env or ''} {self.settings.amqp}>".replace("  ", " ")
