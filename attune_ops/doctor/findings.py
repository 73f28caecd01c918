"""Checks, the problems that they yield, findings, and the report."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal, TypeAlias

import msgspec

from attune_ops.model.command_lines import CommandLine
from attune_ops.model.display import Shown
from attune_ops.model.facts import Facts, Source
from attune_ops.model.severity import Severity as Severity
from attune_ops.model.units import counted


class CheckStatus(StrEnum):
    """How a check ended. Skipped and crashed checks gave no answer, so neither counts as healthy."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"
    CRASHED = "crashed"


ON_TOPOLOGY = ("design", "upgrade")  # groups of checks that examine the topology itself
HARM = ("AT308", "AT511")  # checks of what a weakness does now: dead letters are lost, a queue is long
ON_BROKER = ("topology", "routes", "workers", "flow")  # groups of checks that examine the broker

Key: TypeAlias = tuple[str, str, str]  # code, kind and name of the subject: a finding in another report

SubjectKind = Literal[
    "queue", "exchange", "binding", "route", "worker", "execution", "consumer", "connection", "node",
    "broker", "registry", "policy", "operator policy", "user",
]  # fmt: skip


class Subject(msgspec.Struct, frozen=True):
    """What a problem is about."""

    kind: SubjectKind
    name: str
    vhost: str | None = None


class Problem(msgspec.Struct, frozen=True):
    """What a check yields: one problem of one subject.

    `message` says what is wrong, with numbers; it is the heading of the finding. `cause` says why, where that is known;
    `evidence` holds the numbers as data; `remedy` says what to do.
    `commands` fix it when run as printed, `inspect_commands` only show more (both are made in
    `attune_ops.model.command_lines`). `severity` overrides the check's own.
    `related` names what the problem depends on, by role; `checks.causes` says which findings about it explain this.
    `others` are further subjects with the same problem, for example workers that died in the same way.
    `alike` is equal for problems of the check with one cause, where the message does not show it (`doctor.alike`).
    """

    subject: Subject
    message: str
    evidence: dict[str, Any] = {}
    remedy: str = ""
    commands: tuple[CommandLine, ...] = ()
    inspect_commands: tuple[CommandLine, ...] = ()
    severity: Severity | None = None
    related: dict[str, tuple[str, ...]] = {}
    cause: str = ""
    others: tuple[Subject, ...] = ()
    alike: Hashable | None = None


# Takes `Facts`; keyword-only parameters are thresholds, whose defaults the settings may replace by name.
CheckFunction = Callable[..., Iterator[Problem]]


class Check(msgspec.Struct, frozen=True):
    """One question about the facts.

    `code` is stable and never reused; `name` is its slug; `title` is a positive sentence, and its denial is the
    finding.
    The function's docstring is the explanation page. The check is skipped where one source of `needs` is missing,
    where no connection to one of `needs_attempt` was attempted, or where none of `needs_response` responded.
    `required`: skipping it makes the status `unknown`. `may_recover`: the problem can disappear without a change.
    `unknown` gives the reason where a value that the check examines was not reported.
    `passive`: it can also run on what passive declares report (`Facts.by_passive_declare`).
    `any_broker`: it says something also where nothing of Attune is there; otherwise it is skipped then.
    """

    code: str
    name: str
    group: str
    title: str
    severity: Severity
    needs: tuple[Source, ...]
    function: CheckFunction
    required: bool = True
    needs_attempt: tuple[Source, ...] = ()
    needs_response: tuple[Source, ...] = ()
    may_recover: bool = True
    passive: bool = False
    unknown: Callable[[Facts], str | None] | None = None
    any_broker: bool = True

    def skip_reason(self, facts: Facts) -> str | None:
        """The reason to skip this check for these facts, or None."""
        if self.needs_attempt and not any(r.source in self.needs_attempt for r in facts.reach):
            return facts.missing.get(self.needs_attempt[0], "no connection was attempted")
        if self.needs_response and not any(r.source in self.needs_response and r.error is None for r in facts.reach):
            return facts.missing.get(self.needs_response[0], "no source responded")
        if not self.any_broker and facts.no_topology:
            return facts.no_topology
        return facts.missing_reason(self.sources(facts)) or (self.unknown(facts) if self.unknown else None)

    def sources(self, facts: Facts) -> tuple[Source, ...]:
        """Its `needs`; for the topology itself also the broker, where nothing else tells which topology it is."""
        return (*self.needs, Source.BROKER) if facts.assumed and self.group in ON_TOPOLOGY else self.needs

    @property
    def thresholds(self) -> dict[str, float]:
        """The thresholds that the settings can change, with their defaults."""
        return dict(getattr(self.function, "__kwdefaults__", None) or {})

    @property
    def anchor(self) -> str:
        """The anchor of its page in docs/checks.md."""
        return f"{self.code.lower()}-{self.name}"

    @property
    def explanation(self) -> str:
        """The text of `doctor --explain CODE`."""
        import inspect

        return inspect.getdoc(self.function) or ""


class Unknown(Exception):
    """Raised by a check that cannot answer, with the reason: it is skipped, unless it yielded problems before."""


class NotRead(Unknown):
    """What the check was asked about could not be read: exit status 3."""


class CheckPages(Shown, msgspec.Struct, frozen=True):
    """The explanation pages of some checks: the output of `doctor --explain` and the content of docs/checks.md."""

    checks: tuple[Check, ...]


def consequence_key(code: str, subject: Subject) -> Key:
    """What identifies a consequence: code, kind and name; no name that is another one in every report.

    So are the first of several executions, a connection, and the tag of a consumer where the broker chose it.
    """
    changes = subject.kind in ("execution", "connection") or subject.name.startswith("amq.ctag-")
    return code, subject.kind, "" if changes else subject.name


class Consequence(msgspec.Struct, frozen=True):
    """A finding of another check that this finding explains."""

    code: str
    subject: Subject
    detail: str

    @property
    def key(self) -> Key:
        """What identifies it in another report, as that of a finding does; see `consequence_key`."""
        return consequence_key(self.code, self.subject)


class Finding(Shown, msgspec.Struct, frozen=True):
    """A problem with the check that found it, and the findings that follow from it."""

    code: str
    check: str
    group: str
    severity: Severity
    subject: Subject
    title: str
    detail: str
    evidence: dict[str, Any]
    remedy: str
    commands: tuple[CommandLine, ...]
    inspect_commands: tuple[CommandLine, ...] = ()
    consequences: tuple[Consequence, ...] = ()
    cause: str = ""
    others: tuple[Subject, ...] = ()
    docs: str = ""  # the address of the check's page; without docs_url inside of the site

    @property
    def subjects(self) -> tuple[Subject, ...]:
        """All that it is about, the named one first."""
        return self.subject, *self.others

    @property
    def key(self) -> Key:
        """What identifies a finding in another report: code, kind and name of the subject."""
        return self.code, self.subject.kind, self.subject.name

    @property
    def keys(self) -> frozenset[Key]:
        """The keys of all its subjects."""
        return frozenset((self.code, s.kind, s.name) for s in self.subjects)


class Baseline(msgspec.Struct, frozen=True):
    """The accepted findings of an earlier report, each key with its severity.

    `consequences`: the keys that they and their consequences have as consequences of a finding.
    """

    findings: Mapping[Key, Severity] = {}
    consequences: frozenset[Key] = frozenset()

    def accepts(self, finding: Finding) -> bool:
        """Whether it has all subjects and consequences of a finding, which is not more severe than it was."""
        accepted = [self.findings.get(key) for key in finding.keys]
        return all(s is not None and s.rank >= finding.severity.rank for s in accepted) and all(
            c.key in self.consequences for c in finding.consequences
        )


class CheckResult(msgspec.Struct, frozen=True):
    """How one check ended, with the number of its findings.

    `reason` says why it was skipped, or which findings of other checks explain its own. `unread`: it is required and
    gave no answer, because what it needs was asked for and could not be read, or because it crashed.
    """

    code: str
    check: str
    group: str
    title: str
    status: CheckStatus
    severity: Severity | None = None  # the worst of its findings
    reason: str | None = None
    findings: int = 0
    duration_ms: float = 0.0
    required: bool = True
    may_recover: bool = True
    unread: bool = False

    @property
    def explained(self) -> bool:
        """Whether all of its findings are consequences of findings of other checks."""
        return self.status is CheckStatus.FAILED and not self.findings and self.reason is not None


class Report(Shown, msgspec.Struct, frozen=True):
    """The outcome of one diagnosis; the same facts give the same report, byte for byte.

    `known` is the number of findings left out because the baseline has them. `file` is the file that was read instead
    of a live broker. `notes` are remarks about the request, and why no command is printed that changes anything, where
    no finding says so. `full`: its JSON has every subject of a finding, not the first 100. `of` is the number of all
    checks where only a part of them was chosen.
    """

    facts: Facts
    results: tuple[CheckResult, ...]
    findings: tuple[Finding, ...]
    taken_at: datetime
    duration_ms: float = 0.0
    known: int = 0
    file: str | None = None
    notes: tuple[str, ...] = ()
    full: bool = False
    of: int = 0

    def count(self, severity: Severity) -> int:
        """The number of findings of that severity.

        >>> ops.doctor().count(Severity.ERROR)
        0
        """
        return sum(f.severity is severity for f in self.findings)

    @property
    def status(self) -> Literal["healthy", "degraded", "unhealthy", "unknown"]:
        """unhealthy with an error, degraded with a warning, unknown where a required check was skipped."""
        if self.count(Severity.ERROR):
            return "unhealthy"
        if any(r.required for r in self.not_run):
            return "unknown"
        return "degraded" if self.count(Severity.WARNING) else "healthy"

    @property
    def ok(self) -> bool:
        """Whether there is no error and no required check was skipped: exit status 0 of `doctor`."""
        return self.status in ("healthy", "degraded")

    @property
    def not_run(self) -> tuple[CheckResult, ...]:
        """The skipped and crashed checks."""
        return tuple(r for r in self.results if r.status in (CheckStatus.SKIPPED, CheckStatus.CRASHED))

    @property
    def unread(self) -> tuple[CheckResult, ...]:
        """The required checks that gave no answer although what they need was asked for: exit status 3."""
        return tuple(r for r in self.not_run if r.unread)

    @property
    def weaknesses(self) -> tuple[Finding, ...]:
        """The findings about the design of the topology that are not errors: known weaknesses of every installation.

        Without those that do harm on this broker now.
        """
        design = (f for f in self.findings if f.group == "design" and f.severity is not Severity.ERROR)
        return tuple(f for f in design if not any(c.code in HARM for c in f.consequences))

    @property
    def upgrade_notes(self) -> tuple[Finding, ...]:
        """The findings about a later RabbitMQ version that are not errors."""
        return tuple(f for f in self.findings if f.group == "upgrade" and f.severity is not Severity.ERROR)

    @property
    def problems(self) -> tuple[Finding, ...]:
        """The findings about this installation as it is now, worst first: all but weaknesses and upgrade notes."""
        others = {f.key for f in (*self.weaknesses, *self.upgrade_notes)}
        return tuple(f for f in self.findings if f.key not in others)

    @property
    def headline(self) -> str:
        """The status with the numbers, in one line; of `unknown` also the first reason."""
        first = (
            next((r.reason for r in (*self.unread, *self.not_run) if r.required), None)
            if self.status == "unknown"
            else None
        )
        part = f"; {len(self.results)} of {self.of} checks chosen" if self.of else ""
        return f"{self.status}: {self._counts}" + (f" ({first})" if first else "") + part

    @property
    def verdict(self) -> str:
        """The summary line: the headline and the worst finding."""
        serious = [f for f in self.problems if f.severity is not Severity.INFO]
        worst = [f for f in serious if f.severity is Severity.ERROR] or serious[:1]
        if not worst:
            return self.headline
        return f"{self.headline}; {worst[0].detail}" + (f" (and {len(worst) - 1} more)" if len(worst) > 1 else "")

    @property
    def _counts(self) -> str:
        passed, problems = sum(r.status is CheckStatus.PASSED for r in self.results), self.problems
        errors, warnings = (sum(f.severity is s for f in problems) for s in (Severity.ERROR, Severity.WARNING))
        found = [counted(errors, "error")] if errors else []
        found += [counted(warnings, "warning")] if warnings else []
        known = [counted(len(self.weaknesses), "known weakness", "known weaknesses")] if self.weaknesses else []
        checked = any(r.group in ON_BROKER and r not in self.not_run for r in self.results)
        if known and not found and checked and self.status != "unknown":
            known = [f"no problems except {known[0]}"]  # never an all-clear above a list of what is wrong
        found += known
        if not passed and not found and problems:
            return counted(len(problems), "finding") + " of severity info"
        ran = [f"{passed} passed"] + ([f"{len(self.not_run)} skipped"] if self.not_run else [])
        return "; ".join(", ".join(part) for part in (found, ran) if part)

    def at_least(self, severity: Severity) -> tuple[Finding, ...]:
        """The findings of that severity or worse.

        >>> [finding.code for finding in ops.doctor(only=["AT101", "AT305"]).at_least(Severity.WARNING)]
        ['AT305']
        """
        return tuple(f for f in self.findings if f.severity.rank >= severity.rank)
