"""The Python interface: `Ops`, one installation.

Each method calls one function of a room; the command of the same purpose calls the same one. What a method returns
shows itself in a terminal and in a notebook (`attune_ops.model.display`).
"""

from __future__ import annotations

import importlib
from collections.abc import Collection, Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, Unpack

from attune_ops.model.errors import ConfigError
from attune_ops.model.facts import Facts, Source
from attune_ops.model.secret import hold

if TYPE_CHECKING:
    from attune_ops.cleanup.candidates import ReapResult
    from attune_ops.doctor.explain.explanation import Explanations
    from attune_ops.doctor.findings import Report
    from attune_ops.doctor.health import Probes
    from attune_ops.drills.journal import Journal, JournalComparison
    from attune_ops.installation.config import Settings
    from attune_ops.inventory import TableFilters
    from attune_ops.messages.facade import Messages
    from attune_ops.model.graph import Graph
    from attune_ops.model.table import Table
    from attune_ops.monitoring.history_operations import HistoryOperations
    from attune_ops.routing import Router
    from attune_ops.routing.route import Reason, Route
    from attune_ops.startup.startup_report import StartupReport
    from attune_ops.topology.drift import ApplyResult, TopologyDiff
    from attune_ops.topology.policies.apply_policy import PolicyOperations


def connect(env: str | None = None, lab: bool | str = False, **options: str) -> Ops:
    """Chooses an installation, as the command line does; connects to nothing yet.

    `env` is a named environment of the configuration file; `lab` is True for the running lab, or the name of a lab;
    `options` are those of the command line (`amqp_url="amqp://…"`, `topology="attune-2026-09"`). Raises `ConfigError`.
    """
    from attune_ops.installation.config import resolve
    from attune_ops.installation.config.resolve import KEYS

    unknown = sorted(set(options) - set(KEYS))
    if unknown:
        raise ConfigError(f"connect has no option {unknown[0]!r}; its options are {', '.join(KEYS)}")
    return Ops(resolve({**options, **({"env": env} if env else {})}, lab=lab))


class Ops:
    """One installation. Use it as a context manager, or call `close`; no connection stays open between calls."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        hold(self, settings.secrets)

    def facts(
        self,
        sources: Collection[Source] | None = None,
        *,
        samples: int = 1,
        interval: float = 7.0,
        skip_worker_statistics: bool = False,
    ) -> Facts:
        """Reads broker and registry: all sources, or only the given ones. Needs tag monitoring, changes nothing.

        With `samples=2` the queues are read twice, `interval` s apart, to measure growth and throughput. With
        `skip_worker_statistics` and more than 2,000 queues, rates and message ages of worker queues are not read: they
        take longest. What cannot be read is in `Facts.missing` with its reason; nothing is raised.
        """
        from attune_ops.installation.collect import collect

        return collect(
            self.settings, sources, samples=samples, interval=interval, skip_worker_statistics=skip_worker_statistics
        )

    def explain(self, text: str) -> Explanations:
        """Explains every error in a text, and compares it with the installation.

        Reads broker and registry, needs tag monitoring, changes nothing.
        """
        from attune_ops.doctor.explain import explain_live

        return explain_live(self.settings, text)

    def startup(
        self,
        service: str = "worker",
        worker: str | None = None,
        skip: Collection[str] = (),
        *,
        like_attune: bool = False,
        confirm: str | None = None,
    ) -> StartupReport:
        """Runs a service's start-up sequence against the broker, and stops it cleanly; see `startup.sequence`."""
        from attune_ops.startup.sequence import run_startup

        return run_startup(self.settings, service, worker, skip, like_attune=like_attune, confirm=confirm)

    def queues(self, **filters: Unpack[TableFilters]) -> Table:
        """All queues: depth, consumers, owner; columns: `attune_ops/inventory/queues.py`."""
        return self._inspect("queues", **filters)

    def bindings(self, **filters: Unpack[TableFilters]) -> Table:
        """All bindings, and whether the topology has them; columns: `attune_ops/inventory/bindings.py`."""
        return self._inspect("bindings", **filters)

    def exchanges(self, **filters: Unpack[TableFilters]) -> Table:
        """All exchanges; columns: `attune_ops/inventory/exchanges.py`."""
        return self._inspect("exchanges", **filters)

    def consumers(self, **filters: Unpack[TableFilters]) -> Table:
        """All consumers and their connections; columns: `attune_ops/inventory/consumers.py`."""
        return self._inspect("consumers", **filters)

    def connections(self, **filters: Unpack[TableFilters]) -> Table:
        """All connections, what they consume and hold; columns: `attune_ops/inventory/connections.py`."""
        return self._inspect("connections", **filters)

    def close_connection(self, name: str, *, apply: bool = False, confirm: str | None = None) -> Table:
        """Closes a client's connection; without `apply` a dry run; see `cleanup.close_connection`."""
        from attune_ops.cleanup.close_connection import close_connection

        return close_connection(self.settings, name, apply=apply, confirm=confirm)

    def workers(self, **filters: Unpack[TableFilters]) -> Table:
        """The registered workers and their queues on the broker; columns: `attune_ops/inventory/workers.py`."""
        return self._inspect("workers", **filters)

    def orphans(self, **filters: Unpack[TableFilters]) -> Table:
        """Orphaned queues, and live workers without queue; columns: `attune_ops/inventory/orphans.py`."""
        return self._inspect("orphans", **filters)

    def doctor(
        self,
        only: Collection[str] = (),
        skip: Collection[str] = (),
        *,
        facts: Facts | None = None,
        samples: int | None = None,
        interval: float = 7.0,
        target_version: str | None = None,
        baseline: str | None = None,
    ) -> Report:
        """Runs the checks; `only` and `skip` are codes, names or groups of checks.

        Reads broker and registry, needs tag monitoring, changes nothing. With `samples=2` it reads twice, `interval` s
        apart, to see what grows; with None, twice only where a consumer may be stuck. `target_version` is the RabbitMQ
        version of a planned upgrade; `baseline` is the JSON file of an earlier report; its findings are left out.
        Raises `ConfigError`.
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
        """The routing simulator over the broker as it is now, or over `facts`; for many routes.

        Reads exchanges, queues, bindings and policies, needs tag management, changes nothing. Raises `SourceError`.
        """
        from attune_ops.routing.topology_routes import read_router

        return read_router(self.settings, facts)

    def route(
        self, exchange: str, routing_key: str, headers: Mapping[str, Any] | None = None, *, facts: Facts | None = None
    ) -> Route:
        """Simulates which queues a message is routed to, and how.

        Needs tag management, publishes and changes nothing. Raises `SourceError`.
        """
        from attune_ops.routing.route_notes import with_notes

        return with_notes(router := self.router(facts), router.route(exchange, routing_key, headers))

    def dead_letter(
        self,
        queue: str,
        routing_key: str,
        reason: Reason = "rejected",
        headers: Mapping[str, Any] | None = None,
        *,
        facts: Facts | None = None,
    ) -> Route:
        """Simulates where a message goes that `queue` dead-letters, up to the last queue.

        Needs tag management, publishes and changes nothing. Raises `SourceError`.
        """
        from attune_ops.routing.route_notes import with_notes

        return with_notes(router := self.router(facts), router.dead_letter(queue, reason, routing_key, headers))

    def canary(
        self, exchange: str, routing_key: str, headers: Mapping[str, Any] | None = None, *, confirm: str | None = None
    ) -> Route:
        """Proves a route on the broker: publishes in a scratch virtual host, which it removes again.

        Needs tag administrator; no queue of this virtual host gets the message. `confirm` is the name of a protected
        environment. The outcome is in `Route.canary`. Raises `SourceError`, `ConfigError`, `ActionError`.
        """
        from attune_ops.routing.canary import prove

        return prove(self.settings, exchange, routing_key, headers, confirm=confirm)

    def topology_diff(self, facts: Facts | None = None) -> TopologyDiff:
        """Compares the topology with the broker, or with `facts`.

        Reads broker and registry, needs tag management, changes nothing. Raises `SourceError`.
        """
        from attune_ops.topology.apply import compare
        from attune_ops.topology.diff import diff

        return compare(self.settings) if facts is None else diff(facts)

    def topology_apply(self, *, apply: bool = False, confirm: str | None = None, force: bool = False) -> ApplyResult:
        """Declares the objects of the topology that the broker lacks, and reads them back; a dry run without `apply`.

        Needs tag management and permission to configure; changes and deletes nothing that exists. Undo: delete the
        queues and exchanges that were declared. `confirm` is the name of a protected environment. Raises `SourceError`,
        `ConfigError`.
        """
        from attune_ops.topology.apply import apply_topology

        return apply_topology(self.settings, write=apply, confirm=confirm, force=force)

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
        """Reads all facts and, with `file`, writes them to it, compressed and without secrets.

        `replace` overwrites an existing file. `model.snapshot_file.load_facts` reads it again. Needs tag monitoring,
        changes nothing on the installation. Raises `ConfigError` if the file cannot be written.
        """
        from attune_ops.model.snapshot_file import save_facts

        facts = self.facts(samples=samples)
        if file is not None:
            save_facts(facts, file, replace=replace, secrets=self.settings.secrets)
        return facts

    def drill(
        self, name: str, *, confirm: str | None = None, remedy: str | None = None, **parameters: Any
    ) -> Journal | JournalComparison:
        """Runs a drill: causes a failure in a scratch virtual host, and accounts for every message.

        Only on a lab, or on an environment that allows drills and is named in `confirm`. Removes what it made.
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
        force: bool = False,
    ) -> ReapResult:
        """Deletes worker queues orphaned in two runs `grace` apart; without `apply` a dry run; see `cleanup.reap`."""
        from attune_ops.cleanup.reap import reap

        return reap(self.settings, pattern, grace=grace, save_to=save_to, apply=apply, confirm=confirm, force=force)

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
        """Binds a queue, or with `exchange` an exchange; without `apply` a dry run; see `topology.bind`."""
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
        force: bool = False,
    ) -> Table:
        """Removes a binding, with any arguments if they are None; without `apply` a dry run; see `topology.bind`."""
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
            force=force,
        )

    @property
    def health(self) -> Probes:
        """Probes: `worker`, `broker`, `route`."""
        from attune_ops.doctor.health import Probes

        return Probes(self.settings)

    def changes(self, before: str, after: str | None = None, *, vhost: str | None = None) -> Table:
        """What was added, removed and changed between two files, or a file and now; of all virtual hosts, or one.

        Changes nothing. Raises `ConfigError`, `SourceError`.
        """
        from attune_ops.inventory.snapshot_diff import file_changes

        return file_changes(before, self.facts() if after is None else after, vhost)

    @property
    def history(self) -> HistoryOperations:
        """Readings over time: `record`, `show`, `compare`, `story`, `prune`. Needs `attune-ops[history]`."""
        from attune_ops.monitoring.history_operations import HistoryOperations

        return HistoryOperations(self.settings)

    def report(self, file: str, *, samples: int | None = None, replace: bool = False) -> int:
        """Writes one HTML file with the doctor's report and all tables, without secrets; returns its size in bytes.

        `replace` overwrites an existing file. Changes nothing on the installation. Raises `ConfigError` if the file
        cannot be written.
        """
        from attune_ops.doctor.html_report import write_report

        return write_report(self.doctor(samples=samples), file, replace=replace, secrets=self.settings.secrets)

    def dashboard(self, interval: float = 5.0) -> Any:
        """A live dashboard in a notebook, refreshed every `interval` s; a static overview without ipywidgets.

        Its buttons show the dry run first. `close` stops it.
        """
        return importlib.import_module("attune_ops").dashboard(self, interval)

    def _inspect(self, name: str, **filters: Unpack[TableFilters]) -> Table:
        from attune_ops.inventory import inspect

        return inspect(self.settings, name, **filters)

    def _read(self, sources: Collection[Source]) -> Facts:
        from attune_ops.model.ownership import require

        return require(self.facts(sources), Source.BROKER)

    def close(self) -> None:
        """Closes what was opened; may be called twice."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<attune_ops.Ops {self.settings.env or ''} {self.settings.amqp}>".replace("  ", " ")
