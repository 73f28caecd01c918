"""The diagnosis methods of `Ops`."""

from __future__ import annotations

import importlib
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from attune_ops.model.facts import Facts
from attune_ops.ops.installation_facts import InstallationFacts

if TYPE_CHECKING:
    from attune_ops.doctor.explain.explanation import Explanations
    from attune_ops.doctor.findings import Report
    from attune_ops.doctor.health import Probes
    from attune_ops.drills.journal import Journal, JournalComparison
    from attune_ops.startup.startup_report import StartupReport


class Diagnoses(InstallationFacts):
    """What is wrong with an installation, and what happens when a part of it fails."""

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

        >>> report = ops.doctor(skip=["design"])
        >>> report.ok
        True
        >>> [finding.detail for finding in report.findings if finding.severity == "error"]
        []
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

    def explain(self, text: str) -> Explanations:
        """Explains every error in a text, and compares it with the installation.

        Reads broker and registry, needs tag monitoring, changes nothing.

        >>> explained = ops.explain("NOT_FOUND - no queue 'worker.9.executions' in vhost '/'")
        >>> len(explained.errors)
        1
        """
        from attune_ops.doctor.explain import explain_live

        return explain_live(self.settings, text)

    @property
    def health(self) -> Probes:
        """Probes: `worker`, `broker`, `route`.

        >>> ops.health.worker("w1").healthy
        True
        """
        from attune_ops.doctor.health import Probes

        return Probes(self.settings)

    def report(self, file: str, *, samples: int | None = None, replace: bool = False) -> int:
        """Writes one HTML file with the doctor's report and all tables, without secrets; returns its size in bytes.

        `replace` overwrites an existing file. Changes nothing on the installation. Raises `ConfigError` if the file
        cannot be written.

        >>> ops.report("report.html") > 10_000
        True
        """
        from attune_ops.doctor.html_report import write_report

        return write_report(self.doctor(samples=samples), file, replace=replace, secrets=self.settings.secrets)

    def startup(
        self,
        service: str = "worker",
        worker: str | None = None,
        skip: Collection[str] = (),
        *,
        like_attune: bool = False,
        confirm: str | None = None,
    ) -> StartupReport:
        """Runs a service's start-up sequence against the broker, and stops it cleanly; see `startup.sequence`.

        >>> started = ops.startup(worker="w3")
        >>> started.ok, started.failed
        (True, None)
        """
        from attune_ops.startup.sequence import run_startup

        return run_startup(self.settings, service, worker, skip, like_attune=like_attune, confirm=confirm)

    def drill(
        self, name: str, *, confirm: str | None = None, remedy: str | None = None, **parameters: Any
    ) -> Journal | JournalComparison:
        """Runs a drill: causes a failure in a scratch virtual host, and accounts for every message.

        Only on a lab, or on an environment that allows drills and is named in `confirm`. Removes what it made.
        Raises `DrillRefused`, `ConfigError`, `SourceError`.

        >>> ops.drill("worker-crash", confirm="staging").verdict  # doctest: +SKIP
        'held'
        """
        from attune_ops.drills.runner import run

        return run(name, self.settings, confirm=confirm, remedy=remedy, **parameters)

    def dashboard(self, interval: float = 5.0) -> Any:
        """A live dashboard in a notebook, refreshed every `interval` s; a static overview without ipywidgets.

        Its buttons show the dry run first. `close` stops it.

        >>> dashboard = ops.dashboard(interval=10)  # in a notebook  # doctest: +SKIP
        """
        return importlib.import_module("attune_ops").dashboard(self, interval)
