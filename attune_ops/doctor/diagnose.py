"""A diagnosis: every check is asked about the same facts, and what they say becomes one report.

Pure: without a clock all durations are 0, so the same facts give the same report byte for byte.
"""

from __future__ import annotations

import difflib
import gc
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import msgspec

from attune_ops.doctor.checks import GROUPS, all_checks
from attune_ops.doctor.findings import (
    Check,
    CheckResult,
    CheckStatus,
    Consequence,
    Finding,
    Problem,
    Report,
    Severity,
    Subject,
)
from attune_ops.model.errors import ConfigError
from attune_ops.model.facts import Facts

IN_VHOST = ("queue", "exchange", "binding", "route", "consumer", "connection", "policy")

Key = tuple[str, str, str]


def diagnose(
    facts: Facts,
    checks: Sequence[Check] | None = None,
    *,
    severities: Mapping[str, Severity | None] | None = None,
    thresholds: Mapping[str, float] | None = None,
    known: Collection[Key] = (),
    clock: Callable[[], float] | None = None,
) -> Report:
    """Asks the checks (default: all) and returns the report.

    `severities` gives codes another severity, None switches one off; `thresholds` replaces defaults by name;
    `known` are the keys of findings to leave out (a baseline's). `clock` returns seconds and gives the durations.
    A check whose needs are not met is skipped with the reason; one that raises is `crashed`, the others go on.
    """
    severities, now = severities or {}, clock or (lambda: 0.0)
    started = now()
    asked = [c for c in (all_checks() if checks is None else checks) if severities.get(c.code, c.severity) is not None]
    with uncollected():
        answers = [_ask(facts, c, thresholds or {}, now) for c in asked]
    heard = [
        _finding(facts, c, p, severities.get(c.code)) for c, a in zip(asked, answers, strict=True) for p in a.problems
    ]
    causes = _causes(heard)
    findings = [f for f in _joined(heard, causes) if f is not None]
    new = tuple(f for f in findings if f.key not in known)
    return Report(
        facts=facts,
        results=_results(asked, answers, heard, causes, new),
        findings=new,
        taken_at=facts.taken_at,
        duration_ms=(now() - started) * 1000,
        known=len(findings) - len(new),
    )


@contextmanager
def uncollected() -> Iterator[None]:
    """Keeps the garbage collector from walking through the facts again and again while they grow.

    They are plain values without cycles; with ten thousand workers it would take a tenth of the time.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def choose(checks: Sequence[Check], only: Iterable[str] = (), skip: Iterable[str] = ()) -> tuple[Check, ...]:
    """The checks named by code, name or group in `only` (default: all) and not in `skip`; raises `ConfigError`."""
    only, skip = set(only), set(skip)
    known = {word for c in checks for word in _words(c)} | set(GROUPS)
    for word in sorted(only | skip):
        if word not in known:
            near = difflib.get_close_matches(word, known, 3)
            hint = f"; did you mean {' or '.join(near)}?" if near else f"; groups are {', '.join(GROUPS)}"
            raise ConfigError(f"no check or group {word!r}{hint}")
    return tuple(c for c in checks if (not only or only & _words(c)) and not skip & _words(c))


def verify(severities: Mapping[str, object], thresholds: Mapping[str, float]) -> None:
    """Raises `ConfigError` for a code or threshold in the settings that no check has."""
    checks = all_checks()
    for kind, given, known in (
        ("check", severities, {c.code for c in checks}),
        ("threshold", thresholds, {t for c in checks for t in c.thresholds}),
    ):
        for name in sorted(set(given) - known):
            near = difflib.get_close_matches(name, known, 3) or sorted(known)
            raise ConfigError(f"no {kind} {name!r} in the doctor; there are {', '.join(near)}")


def _words(check: Check) -> set[str]:
    return {check.code, check.name, check.group}


class _Answer(msgspec.Struct, frozen=True):
    """What became of asking one check."""

    status: CheckStatus
    problems: tuple[Problem, ...] = ()
    reason: str | None = None
    duration_ms: float = 0.0


def _ask(facts: Facts, check: Check, thresholds: Mapping[str, float], now: Callable[[], float]) -> _Answer:
    if reason := check.skip_reason(facts):
        return _Answer(CheckStatus.SKIPPED, reason=reason)
    started = now()
    changed = {name: thresholds[name] for name in check.thresholds if name in thresholds}
    try:
        problems = tuple(check.function(facts, **changed))
    except Exception as e:  # noqa: BLE001 - one broken check must not keep the others from looking
        reason = f"the check itself failed: {type(e).__name__}: {e}"
        return _Answer(CheckStatus.CRASHED, reason=reason, duration_ms=(now() - started) * 1000)
    status = CheckStatus.FAILED if problems else CheckStatus.PASSED
    return _Answer(status, problems, duration_ms=(now() - started) * 1000)


class _Candidate(msgspec.Struct, frozen=True):
    """A finding that may yet turn out to be a consequence of another."""

    finding: Finding
    causes: tuple[tuple[str, str], ...]


def _finding(facts: Facts, check: Check, problem: Problem, severity: Severity | None) -> _Candidate:
    subject = problem.subject
    if subject.vhost is None and subject.kind in IN_VHOST:
        subject = Subject(subject.kind, subject.name, facts.vhost)
    made = Finding(
        code=check.code,
        check=check.name,
        group=check.group,
        severity=severity or problem.severity or check.severity,
        subject=subject,
        title=check.title,
        detail=problem.message,
        evidence=problem.evidence,
        remedy=problem.remedy,
        commands=problem.commands,
        inspect_commands=problem.inspect_commands,
    )
    return _Candidate(made, problem.causes)


def _causes(heard: Sequence[_Candidate]) -> list[int]:
    """For each finding the position of the one that explains it in the end, its own where none does."""
    first: dict[tuple[str, str], int] = {}
    for i, one in enumerate(heard):
        first.setdefault((one.finding.code, one.finding.subject.name), i)
    up = [next((first[c] for c in one.causes if first.get(c, i) != i), i) for i, one in enumerate(heard)]
    return [_top(i, up) for i in range(len(heard))]


def _top(start: int, up: Sequence[int]) -> int:
    """Where the way up ends; in a circle, which no explanation should make, its first member stands for all."""
    way = [start]
    while (above := up[way[-1]]) != way[-1]:
        if above in way:
            return min(way[way.index(above) :])
        way.append(above)
    return way[-1]


def _joined(heard: Sequence[_Candidate], causes: Sequence[int]) -> list[Finding | None]:
    """The findings with their consequences; None in the place of each that another one explains."""
    consequences: dict[int, list[Finding]] = {}
    for i, cause in enumerate(causes):
        if cause != i:
            consequences.setdefault(cause, []).append(heard[i].finding)
    found: list[Finding | None] = []
    for i, (one, cause) in enumerate(zip(heard, causes, strict=True)):
        taken = consequences.get(i, [])
        if cause != i:
            found.append(None)
        elif not taken:
            found.append(one.finding)
        else:
            worst = max((one.finding, *taken), key=lambda f: f.severity.rank).severity
            said = tuple(Consequence(f.code, f.subject, f.detail) for f in taken)
            found.append(msgspec.structs.replace(one.finding, severity=worst, consequences=said))
    return found


def _results(
    asked: Sequence[Check],
    answers: Sequence[_Answer],
    heard: Sequence[_Candidate],
    causes: Sequence[int],
    new: Sequence[Finding],
) -> tuple[CheckResult, ...]:
    severities: dict[str, list[Severity]] = {}
    explained: dict[str, set[str]] = {}
    counts: dict[str, int] = {}
    for i, one in enumerate(heard):
        severities.setdefault(one.finding.code, []).append(one.finding.severity)
        if causes[i] != i:
            explained.setdefault(one.finding.code, set()).add(heard[causes[i]].finding.code)
    for finding in new:
        counts[finding.code] = counts.get(finding.code, 0) + 1
    return tuple(
        CheckResult(
            code=c.code,
            check=c.name,
            group=c.group,
            title=c.title,
            status=a.status,
            severity=max(severities[c.code], key=lambda s: s.rank) if c.code in severities else None,
            reason=a.reason
            or ("explained by " + ", ".join(sorted(explained[c.code])) if c.code in explained else None),
            findings=counts.get(c.code, 0),
            duration_ms=a.duration_ms,
            required=c.required,
            may_recover=c.may_recover,
        )
        for c, a in zip(asked, answers, strict=True)
    )
