"""What a diagnosis says: checks, the problems they yield, findings, and the report they add up to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

import msgspec

from attune_ops.model.display import Shown
from attune_ops.model.facts import Facts, Source
from attune_ops.model.severity import Severity as Severity


class CheckStatus(StrEnum):
    """How a check ended. Skipped and crashed mean "could not look"; neither passes for healthy."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"
    CRASHED = "crashed"


ON_BROKER = ("topology", "routes", "workers", "flow")  # groups of checks that look at what is there

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
    """What a check yields: one cause.

    `message` says what is wrong, with numbers; `evidence` holds the same as data; `remedy` says what to do.
    `commands` fix it when run as printed, `inspect_commands` only show more (both are made in
    `attune_ops.model.command_lines`). `severity` overrides the check's own.
    `causes` are (code, subject's name) of problems that explain this one: where one of them was found, it takes
    this one in as its consequence, so that one cause gives one finding.
    """

    subject: Subject
    message: str
    evidence: dict[str, Any] = {}
    remedy: str = ""
    commands: tuple[str, ...] = ()
    inspect_commands: tuple[str, ...] = ()
    severity: Severity | None = None
    causes: tuple[tuple[str, str], ...] = ()


# Takes `Facts`; keyword-only parameters are thresholds, whose defaults the settings may replace by name.
CheckFunction = Callable[..., Iterator[Problem]]


class Check(msgspec.Struct, frozen=True):
    """One question about the facts.

    `code` is stable and never reused; `name` is its slug; `title` is a positive sentence whose denial is the finding.
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
            return facts.missing.get(self.needs_attempt[0], "nothing was connected to")
        if self.needs_response and not any(r.source in self.needs_response and r.error is None for r in facts.reach):
            return facts.missing.get(self.needs_response[0], "nothing answered")
        return facts.missing_reason(self.needs)

    @property
    def thresholds(self) -> dict[str, float]:
        """The numbers that the settings may change, with their defaults."""
        return dict(getattr(self.function, "__kwdefaults__", None) or {})

    @property
    def explanation(self) -> str:
        """The text of `doctor --explain CODE`."""
        import inspect

        return inspect.getdoc(self.function) or ""


class CheckPages(Shown, msgspec.Struct, frozen=True):
    """The explanation pages of some checks: what `doctor --explain` shows and docs/checks.md holds."""

    checks: tuple[Check, ...]


class Consequence(msgspec.Struct, frozen=True):
    """What another check found and what this finding's cause explains."""

    code: str
    subject: Subject
    detail: str


class Finding(Shown, msgspec.Struct, frozen=True):
    """A problem together with the check that found it, and what follows from it."""

    code: str
    check: str
    group: str
    severity: Severity
    subject: Subject
    title: str
    detail: str
    evidence: dict[str, Any]
    remedy: str
    commands: tuple[str, ...]
    inspect_commands: tuple[str, ...] = ()
    consequences: tuple[Consequence, ...] = ()

    @property
    def key(self) -> tuple[str, str, str]:
        """What tells findings of two reports apart: code, kind and name of the subject."""
        return self.code, self.subject.kind, self.subject.name


class CheckResult(msgspec.Struct, frozen=True):
    """How one check ended, with its findings' number.

    `reason` says why it could not look, or which findings of other checks explain what it found.
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


class Report(Shown, msgspec.Struct, frozen=True):
    """The outcome of one diagnosis; the same facts give the same report, byte for byte.

    `known` is the number of findings left out because a baseline has them. `file` is the file that was judged in place
    of a live broker. `notes` say what is odd about the question itself.
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
        """unhealthy with an error, degraded with a warning, unknown where a check that matters could not look."""
        if self.count(Severity.ERROR):
            return "unhealthy"
        if any(r.required for r in self.not_run):
            return "unknown"
        return "degraded" if self.count(Severity.WARNING) else "healthy"

    @property
    def not_run(self) -> tuple[CheckResult, ...]:
        """The checks that could not look, crashed ones included."""
        return tuple(r for r in self.results if r.status in (CheckStatus.SKIPPED, CheckStatus.CRASHED))

    @property
    def verdict(self) -> str:
        """One sentence to quote: the status, the numbers, and what is worst or was not seen."""
        return f"{self.status}: {self._counts}{self._remark}"

    @property
    def _counts(self) -> str:
        held = sum(r.status is CheckStatus.PASSED for r in self.results)
        errors, warnings, infos = map(self.count, (Severity.ERROR, Severity.WARNING, Severity.INFO))
        parts = [f"{errors} error{'s' * (errors != 1)}"] if errors or warnings else []
        parts += [f"{warnings} warning{'s' * (warnings != 1)}"] if errors or warnings else []
        if held or not infos:
            parts += [f"{held} check{'s' * (held != 1)} hold{'s' * (held == 1)}"]
        else:
            parts += [f"{infos} finding{'s' * (infos != 1)} of severity info"]
        return ", ".join([*parts, *([f"{len(self.not_run)} could not look"] if self.not_run else [])])

    @property
    def _remark(self) -> str:
        serious = self.at_least(Severity.WARNING)
        if self.status == "unknown":
            first = next(r for r in self.not_run if r.required)
            return f" ({first.reason})"
        if self.status == "unhealthy":
            errors = self.at_least(Severity.ERROR)
            return f"; {errors[0].detail}" + (f" (and {len(errors) - 1} more)" if len(errors) > 1 else "")
        if serious and all(f.group == "design" for f in serious):
            looked = any(r.group in ON_BROKER and r not in self.not_run for r in self.results)
            said = f"; all warnings are of the design of {self.facts.topology.name}"
            return said + (", nothing on the broker is amiss" if looked else "")
        return f"; {serious[0].detail}" if serious else ""

    def at_least(self, severity: Severity) -> tuple[Finding, ...]:
        """The findings of that severity or worse."""
        return tuple(f for f in self.findings if f.severity.rank >= severity.rank)
