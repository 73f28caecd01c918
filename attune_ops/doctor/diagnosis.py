"""The steps of a diagnosis: read, check, leave out the baseline, repeat while findings may recover."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TypedDict, Unpack

import msgspec

from attune_ops.doctor.checks import all_checks
from attune_ops.doctor.checks.unacknowledged import consumers_move, may_be_stuck
from attune_ops.doctor.checks.upgrade import target_note
from attune_ops.doctor.diagnose import choose, diagnose, garbage_collection_paused, verify
from attune_ops.doctor.findings import (
    Baseline,
    CheckPages,
    Consequence,
    Finding,
    Report,
    Severity,
    Subject,
    consequence_key,
)
from attune_ops.doctor.lab_commands import on_lab
from attune_ops.installation.collect import collect
from attune_ops.installation.config.settings import CheckSettings, Settings
from attune_ops.installation.management import SAMPLE_INTERVAL_S
from attune_ops.model.errors import ConfigError
from attune_ops.model.facts import Facts, changed
from attune_ops.model.files import shown
from attune_ops.model.ownership import expected_consumers, expected_prefetch, lacking_consumers
from attune_ops.model.snapshot_file import load_facts
from attune_ops.model.units import listed
from attune_ops.model.waiting import SECOND_SAMPLE, at_changes, pause, wait_until
from attune_ops.routing.topology_routes import bound_as_expected, bound_router
from attune_ops.topology.binding_keys import desired_keys, keys_of_live_workers, keys_on_broker, missing_keys

# What checks look up of everything but queues: made while the answer about the queues, the slowest, is awaited.
WITHOUT_QUEUES = (
    expected_consumers, expected_prefetch, lacking_consumers, keys_on_broker, keys_of_live_workers, desired_keys,
    missing_keys, bound_router, bound_as_expected,
)  # fmt: skip
RETRY_INTERVAL_S = 2.0
REPORT, REPORT_OF_SEVERAL = "attune-ops/doctor/", "attune-ops/doctor-all/"


class DiagnosisOptions(TypedDict, total=False):
    """The options of every diagnosis; `read_and_diagnose` explains them."""

    only: Collection[str]
    skip: Collection[str]
    target_version: str | None
    known: Baseline | None


def read_and_diagnose(
    read: Callable[[], Facts],
    check_settings: CheckSettings,
    *,
    only: Collection[str] = (),
    skip: Collection[str] = (),
    target_version: str | None = None,
    known: Baseline | None = None,
    file: str | None = None,
    notes: tuple[str, ...] = (),
) -> Report:
    """Reads facts and diagnoses them.

    `only` and `skip` are codes, names or groups of checks; `known` is the baseline; `file` is the source of facts that
    are not live; `notes` are remarks about the settings. The report's duration includes the reading.
    Raises `ConfigError` for an unknown check or threshold before anything is read.
    """
    verify(check_settings.severities, check_settings.thresholds)
    if target_version is not None and not re.match(r"\d+\.\d+", target_version):
        raise ConfigError(f"invalid target version {target_version!r}: expected a version like 4.3")
    checks = choose(all_checks(), only, skip)
    started = time.perf_counter()
    with garbage_collection_paused():
        facts = changed(read(), target_version=target_version)
        report = diagnose(
            facts,
            checks,
            severities=check_settings.severities,
            thresholds=check_settings.thresholds,
            docs_url=check_settings.docs_url,
            known=known,
            clock=time.perf_counter,
        )
    note = target_note(facts)
    notes = (*notes, *report.notes, *((note,) if note else ()), *(facts.passive.notes if facts.passive else ()))
    return msgspec.structs.replace(
        report,
        duration_ms=(time.perf_counter() - started) * 1000,
        file=None if file is None else shown(file),
        notes=notes,
    )


def diagnose_live(
    settings: Settings,
    *,
    facts: Facts | None = None,
    samples: int | None = None,
    interval: float = SAMPLE_INTERVAL_S,
    on_progress: Callable[[str], None] = lambda _: None,
    **options: Unpack[DiagnosisOptions],
) -> Report:
    """Diagnoses an installation as it is now, or as in `facts`.

    Reads broker and registry, with `samples=2` twice, `interval` s apart; with `samples=None` twice where a consumer
    may be stuck, which `on_progress` reports. Needs tag monitoring, changes nothing.
    """

    def read() -> Facts:
        if facts is not None:
            return facts
        first = collect(
            settings, samples=samples or 1, interval=interval, skip_worker_statistics=True, passive=True, confirm=True,
            prepare=WITHOUT_QUEUES,
        )  # fmt: skip
        chosen = choose(all_checks(), options.get("only", ()), options.get("skip", ()))
        suspects = may_be_stuck(first) if samples is None and any(c.function is consumers_move for c in chosen) else {}
        if not suspects:
            return first
        on_progress(
            f"{listed(suspects)}: the consumer holds its whole prefetch; the second sample in {interval:g} s shows "
            "whether it is stuck (--samples 1: no second sample)"
        )
        pause(interval, SECOND_SAMPLE)
        return collect(
            settings, earlier=first.broker, skip_worker_statistics=True, confirm=True, prepare=WITHOUT_QUEUES
        )

    report = read_and_diagnose(read, settings.check_settings, notes=settings.notes, **options)
    return report if settings.lab is None else on_lab(report, settings.lab)


def diagnose_file(
    file: str,
    check_settings: CheckSettings,
    *,
    vhost: str | None = None,
    on_progress: Callable[[str], None] = lambda _: None,
    **options: Unpack[DiagnosisOptions],
) -> Report:
    """Diagnoses a snapshot or a definitions export; `vhost` chooses one of several in it. Raises `ConfigError`.

    Without `vhost`, `on_progress` reports which one of several it is.
    """
    facts = load_facts(file, check_settings.topology, vhost, on_progress=on_progress)
    return read_and_diagnose(lambda: facts, check_settings, file=file, **options)


def recoverable(report: Report, fail_on: Severity) -> tuple[Finding, ...]:
    """The findings at or above `fail_on` if all of them may recover; else none, as waiting changes nothing."""
    may_recover = {r.code: r.may_recover for r in report.results}
    serious = report.at_least(fail_on)
    return serious if all(may_recover[f.code] for f in serious) else ()


def wait_until_ok(
    diagnose_again: Callable[[], Report], fail_on: Severity, seconds: float, on_progress: Callable[[str], None]
) -> Report:
    """Repeats the diagnosis until no recoverable finding is left; reports the first one when it changes.

    The timeout counts from the end of the first diagnosis, so what is waited for is always reported.
    """

    def waits_for(report: Report) -> str:
        first, *others = recoverable(report, fail_on)
        more = f" (and {len(others)} more)" if others else ""
        return f"waiting for {first.code}: {first.detail}{more}"

    return wait_until(
        diagnose_again,
        lambda report: not recoverable(report, fail_on),
        timeout=seconds,
        interval=RETRY_INTERVAL_S,
        on_wait=at_changes(waits_for, lambda reason, left: on_progress(f"{reason}; {left:.0f} s left")),
        what="waiting",
    )


def pages(code: str) -> CheckPages:
    """The explanation of a check by code or name, of a group, or of `all`; raises `ConfigError`."""
    checks = all_checks()
    return CheckPages(checks if code == "all" else choose(checks, (code,)))


class _BaselineFinding(msgspec.Struct):
    code: str
    subject: Subject
    subjects: list[Subject] = []
    count: int = 1
    severity: Severity = Severity.ERROR
    consequences: list[Consequence] = []
    consequence_counts: dict[str, int] = {}


class _BaselineOfOne(msgspec.Struct):
    findings: list[_BaselineFinding] = []


class _Baseline(msgspec.Struct):
    schema: str
    findings: list[_BaselineFinding] = []
    environments: dict[str, _BaselineOfOne] = {}


def read_baseline(path: str | None, env: str | None = None) -> Baseline | None:
    """The findings in an earlier report (`doctor --format json`), if any; raises `ConfigError`.

    Of a report of several environments, those of `env`.
    """
    if path is None:
        return None
    try:
        data = Path(path).expanduser().read_bytes()
        baseline = msgspec.json.decode(data, type=_Baseline)
    except (OSError, ValueError, msgspec.DecodeError) as e:
        reason = getattr(e, "strerror", None) or str(e)
        raise ConfigError(f"baseline {path!r}: not a report of doctor --format json: {reason}") from None
    if not baseline.schema.startswith((REPORT, REPORT_OF_SEVERAL)):
        raise ConfigError(
            f"baseline {path!r}: not a report of doctor --format json: schema {baseline.schema!r}, expected {REPORT}1"
        )
    findings = baseline.findings
    if baseline.schema.startswith(REPORT_OF_SEVERAL):
        if env is None:
            raise ConfigError(f"baseline {path!r} is of several environments: choose one of them with --env")
        findings = baseline.environments.get(env, _BaselineOfOne()).findings
    for f in findings:
        for named, count, what in (
            (len(f.subjects) or 1, f.count, "subjects"),  # several can have one name: the consumers of replicas
            (len(f.consequences), sum(f.consequence_counts.values()), "consequences"),
        ):
            if count > named:
                raise ConfigError(
                    f"baseline {path!r} names {named} of the {count:,} {what} of {f.code}: "
                    "write it with --format json --full"
                )
    findings.sort(key=lambda f: f.severity.rank)  # of two findings with one key the worst is kept
    found = [(f, s) for f in findings for s in (f.subject, *f.subjects)]
    consequences = {c.key for f in findings for c in f.consequences}
    return Baseline(
        {(f.code, s.kind, s.name): f.severity for f, s in found},
        frozenset(consequences | {consequence_key(f.code, s) for f, s in found}),
    )
