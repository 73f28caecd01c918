"""The facade that notebooks and the command line share: one installation, and what can be asked of it.

Thin on purpose: each method resolves, collects and hands over; the thinking lives below. Everything a method
returns shows itself (`attune_ops.model.display`).
"""

from __future__ import annotations

import importlib
from collections.abc import Collection, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, Unpack

from attune_ops.model.errors import ConfigError
from attune_ops.model.facts import Facts, Source
from attune_ops.model.secret import hold
from attune_ops.ops_handling import Handling
from attune_ops.ops_probing import Probing
from attune_ops.ops_recording import Recording

if TYPE_CHECKING:
    from attune_ops.doctor.explain.explanation import Explanations
    from attune_ops.doctor.findings import Report
    from attune_ops.drills.journal import Comparison, Journal
    from attune_ops.installation.config import Settings
    from attune_ops.inventory import Narrowing
    from attune_ops.model.graph import Graph
    from attune_ops.model.table import Table
    from attune_ops.routing import Router
    from attune_ops.routing.route import Reason, Route
    from attune_ops.startup.steps import StartupReport
    from attune_ops.topology.differences import Applied, Plan


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


class Ops(Handling, Probing, Recording):
    """One installation. Use it as a context manager, or call `close`; it holds nothing open in between calls."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        hold(self, settings.secrets)

    def facts(
        self, wants: Collection[Source] | None = None, *, samples: int = 1, apart: float = 5.0, spare: bool = False
    ) -> Facts:
        """Reads broker and registry anew: all sources, or those wanted; needs tag monitoring, changes nothing.

        With two `samples` the queues are read twice, `apart` seconds apart, for what grows or moves. With `spare` no
        rates and ages are read of a crowd of workers' queues, which take the broker most of the time. What cannot be
        read is in `Facts.missing` with its reason; nothing is raised for it.
        """
        from attune_ops.installation.collect import collect

        return collect(self.settings, wants, samples=samples, interval_s=apart, spare=spare)

    def explain(self, text: str) -> Explanations:
        """Explains every error that a text quotes, and looks at the installation for what is so here (`explain`)."""
        from attune_ops.doctor.explain import explain
        from attune_ops.doctor.explain.explanation import Explanations

        if not explain(text):
            return Explanations(())
        facts = self.facts()
        reason = facts.lacks((Source.BROKER,))
        where = f"{self.settings.amqp} at {facts.taken_at:%Y-%m-%d %H:%M:%S} UTC"
        checked = f"not checked against the broker: {reason}" if reason else f"checked against {where}"
        return Explanations(explain(text, facts), checked)

    def startup(
        self,
        service: str = "worker",
        worker: str | None = None,
        skip: Collection[str] = (),
        *,
        confirm: str | None = None,
    ) -> StartupReport:
        """Takes the start-up of a service for real, stops it cleanly, and tells each step.

        Declares and registers what the service does; the clean stop takes back what is its own, the base
        infrastructure stays (`report.ending`). `worker` is its name in the registry; `confirm` is the environment's
        name where it is protected. Raises `ConfigError`.
        """
        from attune_ops.startup.start import run

        return run(self.settings, service, name=worker, skip=skip, confirm=confirm)

    def queues(self, **narrow: Unpack[Narrowing]) -> Table:
        """The queues: what they hold, who consumes them, whose they are; columns: `attune_ops/inventory/queues.py`."""
        return self._inspect("queues", narrow)

    def bindings(self, **narrow: Unpack[Narrowing]) -> Table:
        """The bindings, and whether the topology makes them; columns: `attune_ops/inventory/bindings.py`."""
        return self._inspect("bindings", narrow)

    def exchanges(self, **narrow: Unpack[Narrowing]) -> Table:
        """The exchanges; columns: `attune_ops/inventory/exchanges.py`."""
        return self._inspect("exchanges", narrow)

    def consumers(self, **narrow: Unpack[Narrowing]) -> Table:
        """The consumers and where they come from; columns: `attune_ops/inventory/consumers.py`."""
        return self._inspect("consumers", narrow)

    def workers(self, **narrow: Unpack[Narrowing]) -> Table:
        """The registered workers, and what the broker has for each; columns: `attune_ops/inventory/workers.py`."""
        return self._inspect("workers", narrow)

    def orphans(self, **narrow: Unpack[Narrowing]) -> Table:
        """Queues without a live worker, live workers without queue; columns: `attune_ops/inventory/orphans.py`."""
        return self._inspect("orphans", narrow)

    def doctor(
        self,
        only: Collection[str] = (),
        skip: Collection[str] = (),
        *,
        facts: Facts | None = None,
        samples: int = 1,
        apart: float = 5.0,
        target_version: str | None = None,
        baseline: str | None = None,
    ) -> Report:
        """Looks for what goes wrong; `only` and `skip` are codes, names or groups of checks.

        Reads broker and registry (twice with `samples=2`, `apart` seconds apart, to see what grows), needs tag
        monitoring, changes nothing. `target_version` is the RabbitMQ version that an upgrade is judged for; `baseline`
        is the JSON of an earlier report, whose findings are left out. Raises `ConfigError`.
        """
        from attune_ops.doctor.diagnosis import look, read_baseline

        return look(
            lambda: facts or self.facts(samples=samples, apart=apart, spare=True),
            self.settings.judging,
            only=only,
            skip=skip,
            target_version=target_version,
            known=read_baseline(baseline) if baseline else (),
        )

    def router(self, facts: Facts | None = None) -> Router:
        """The routing simulator over the live broker as it is now (or over `facts`), for many questions.

        Reads exchanges, queues, bindings and policies, needs tag management, changes nothing. Raises `SourceError`.
        """
        from attune_ops.installation.collect import collect
        from attune_ops.model.ownership import seen
        from attune_ops.routing import Router

        facts = facts or collect(self.settings, (Source.BROKER,), listings=Router.LISTINGS)
        return Router.from_snapshot(seen(facts))

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

    def topology_diff(self, facts: Facts | None = None) -> Plan:
        """The topology against the broker, needs tag management, changes nothing. Raises `SourceError`."""
        from attune_ops.topology.apply import compare
        from attune_ops.topology.plan import plan

        return compare(self.settings) if facts is None else plan(facts)

    def topology_apply(self, *, apply: bool = False, confirm: str | None = None) -> Applied:
        """Declares what the broker lacks of the topology, in order, and reads it back; without `apply` only says so.

        Needs tag management, and permission to configure; never changes or deletes what is there. Undo: delete
        the queues and exchanges that were declared. `confirm` is the environment's name where it is protected.
        Raises `SourceError`, `ConfigError`.
        """
        from attune_ops.topology.apply import apply_topology

        return apply_topology(self.settings, write=apply, confirm=confirm)

    def topology_graph(self, *, live: bool = False, facts: Facts | None = None) -> Graph:
        """The topology as a picture; `live` with depths, consumers and what is missing. Changes nothing."""
        from attune_ops.topology.topology_graph import WANTS, live_graph, topology_graph

        if not live and facts is None:
            return topology_graph(self.settings.topology)
        from attune_ops.model.ownership import require

        facts = facts or self.facts(WANTS)
        require(facts, Source.BROKER)
        return live_graph(facts)

    def topology_export(self, to: str = "definitions", *, live: bool = False, workers: tuple[int, ...] = ()) -> str:
        """RabbitMQ definitions or a topology file (`to="toml"`) of what is wanted, or with `live` of what is there.

        `workers` are those whose queues the definitions of what is wanted hold too. Changes nothing.
        """
        from attune_ops.topology.export import WANTS, export_live, export_wanted

        if not live:
            return export_wanted(self.settings.topology, to, workers)
        from attune_ops.model.ownership import require

        facts = self.facts(WANTS)
        require(facts, Source.BROKER)
        return export_live(facts, to)

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
        """Makes a failure happen in a scratch virtual host, and accounts for every message; `drill run` tells.

        Only on the lab, or on an environment that allows drills and is named in `confirm`. What it made is removed.
        Raises `DrillRefused`, `ConfigError`, `SourceError`.
        """
        from attune_ops.drills._runner import run

        return run(name, self.settings, confirm=confirm, remedy=remedy, **parameters)

    def _inspect(self, name: str, narrow: Narrowing) -> Table:
        from attune_ops.inventory import narrowed

        inspection = importlib.import_module(f"attune_ops.inventory.{name}")
        facts = narrow.get("facts") or self.facts(inspection.WANTS)
        return narrowed(getattr(inspection, name)(facts), narrow)

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
