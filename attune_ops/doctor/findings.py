"""Checks, the problems that they yield, findings, and the report."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

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


ON_BROKER = ("topology", "routes", "workers", "flow")  # groups of checks that examine the broker

SubjectKind = Literal[
    "queue", "exchange", "binding", "route", "worker", "execution", "consumer", "connection", "node",
    "broker", "registry", "policy",
]  # fmt: skip


class Subject(msgspec.Struct, frozen=True):
    """What a problem is about."""

    kind: SubjectKind
    name: str
    vhost: str | None = None


class Problem(msgspec.Struct, frozen=True):
    """What a check yields: one problem of one subject.

    `message` says what is wrong, with numbers; `evidence` holds the same as data; `remedy` says what to do.
    `commands` fix it when run as printed, `inspect_commands` only show more (both are made in
    `attune_ops.model.command_lines`). `severity` overrides the check's own.
    `related` names what the problem depends on, by role; `checks.causes` says which findings about it explain this.
    """

    subject: Subject
    message: str
    evidence: dict[str, Any] = {}
    remedy: str = ""
    commands: tuple[CommandLine, ...] = ()
    inspect_commands: tuple[CommandLine, ...] = ()
    severity: Severity | None = None
    related: dict[str, tuple[str, ...]] = {}


# Takes `Facts`; keyword-only parameters are thresholds, whose defaults the settings may replace by name.
CheckFunction = Callable[..., Iterator[Problem]]


class Check(msgspec.Struct, frozen=True):
    """One question about the facts.

    `code` is stable and never reused; `name` is its slug; `title` is a positive sentence, and its denial is the
    finding.
    The function's docstring is the explanation page. The check is skipped where one source of `needs` is missing,
    where no connection to one of `needs_attempt` was attempted, or where none of `needs_response` responded.
    `required`: skipping it makes the status `unknown`. `may_recover`: the problem can disappear without a change.
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

    def skip_reason(self, facts: Facts) -> str | None:
        """The reason to skip this check for these facts, or None."""
        if self.needs_attempt and not any(r.source in self.needs_attempt for r in facts.reach):
            return facts.missing.get(self.needs_attempt[0], "no connection was attempted")
        if self.needs_response and not any(r.source in self.needs_response and r.error is None for r in facts.reach):
            return facts.missing.get(self.needs_response[0], "no source responded")
        return facts.missing_reason(self.needs)

    @property
    def thresholds(self) -> dict[str, float]:
        """The thresholds that the settings can change, with their defaults."""
        return dict(getattr(self.function, "__kwdefaults__", None) or {})

    @property
    def explanation(self) -> str:
        """The text of `doctor --explain CODE`."""
        import inspect

        return inspect.getdoc(self.function) or ""


class Unknown(Exception):
    """Raised by a check that cannot answer, with the reason: it is skipped, unless it yielded problems before."""


class CheckPages(Shown, msgspec.Struct, frozen=True):
    """The explanation pages of some checks: the output of `doctor --explain` and the content of docs/checks.md."""

    checks: tuple[Check, ...]


class Consequence(msgspec.Struct, frozen=True):
    """A finding of another check that this finding explains."""

    code: str
    subject: Subject
    detail: str


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

    @property
    def key(self) -> tuple[str, str, str]:
        """What identifies a finding in another report: code, kind and name of the subject."""
        return self.code, self.subject.kind, self.subject.name


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


class Report(Shown, msgspec.Struct, frozen=True):
    """The outcome of one diagnosis; the same facts give the same report, byte for byte.

    `known` is the number of findings left out because the baseline has them. `file` is the file that was read instead
    of a live broker. `notes` are remarks about the request itself.
    """

    facts: Facts
    results: tuple[CheckResult, ...]
    findings: tuple[Finding, ...]
    taken_at: datetime
    duration_ms: float = 0.0
    known: int = 0
    file: str | None = None
    notes: tuple[str, ...] = ()

    def count(self, severity: Severity) -> int:
        """The number of findings of that severity."""
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
    def not_run(self) -> tuple[CheckResult, ...]:
        """The skipped and crashed checks."""
        return tuple(r for r in self.results if r.status in (CheckStatus.SKIPPED, CheckStatus.CRASHED))

    @property
    def unread(self) -> tuple[CheckResult, ...]:
        """The required checks that gave no answer although what they need was asked for: exit status 3."""
        return tuple(r for r in self.not_run if r.unread)

    @property
    def verdict(self) -> str:
        """The summary line: the status, the numbers, and the worst finding or the reason of `unknown`."""
        return f"{self.status}: {self._counts}{self._remark}"

    @property
    def _counts(self) -> str:
        passed = sum(r.status is CheckStatus.PASSED for r in self.results)
        errors, warnings, infos = map(self.count, (Severity.ERROR, Severity.WARNING, Severity.INFO))
        parts = [counted(errors, "error"), counted(warnings, "warning")] if errors or warnings else []
        parts += [f"{passed} passed" if passed or not infos else counted(infos, "finding") + " of severity info"]
        return ", ".join([*parts, *([f"{len(self.not_run)} skipped"] if self.not_run else [])])

    @property
    def _remark(self) -> str:
        serious = self.at_least(Severity.WARNING)
        if self.status == "unknown":
            return f" ({next(r for r in (*self.unread, *self.not_run) if r.required).reason})"
        if self.status == "degraded" and all(f.group == "design" for f in serious):
            checked = any(r.group in ON_BROKER and r not in self.not_run for r in self.results)
            remark = f"; all warnings are about the design of {self.facts.topology.name}"
            return remark + (", no problems on the broker" if checked else "")
        if not serious:
            return ""
        worst = self.at_least(Severity.ERROR) or serious[:1]
        return f"; {worst[0].detail}" + (f" (and {len(worst) - 1} more)" if len(worst) > 1 else "")

    def at_least(self, severity: Severity) -> tuple[Finding, ...]:
        """The findings of that severity or worse."""
        return tuple(f for f in self.findings if f.severity.rank >= severity.rank)
