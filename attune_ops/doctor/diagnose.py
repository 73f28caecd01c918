"""A diagnosis: every check runs on the same facts, and their problems become one report.

Pure: without a clock all durations are 0, so the same facts give the same report byte for byte.
"""

from __future__ import annotations

import difflib
import gc
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TypeAlias

import msgspec

from attune_ops.doctor.alike import Found, alike, together
from attune_ops.doctor.checks import GROUPS, all_checks
from attune_ops.doctor.checks.causes import EXPLAINED_BY, MISLEADING, Rows, root_causes
from attune_ops.doctor.findings import (
    Baseline,
    Check,
    CheckResult,
    CheckStatus,
    Consequence,
    Finding,
    NotRead,
    Problem,
    Report,
    Severity,
    Subject,
    Unknown,
)
from attune_ops.doctor.urgency import worst_first
from attune_ops.model.docs_address import docs_address
from attune_ops.model.errors import ConfigError
from attune_ops.model.facts import Facts, Source
from attune_ops.model.passive import PASSIVE_DECLARE

IN_VHOST = ("queue", "exchange", "binding", "route", "consumer", "connection", "policy", "operator policy")

_Judged: TypeAlias = tuple[Check, Problem, Severity]  # a problem before it is known what explains it


def diagnose(
    facts: Facts,
    checks: Sequence[Check] | None = None,
    *,
    severities: Mapping[str, Severity | None] | None = None,
    thresholds: Mapping[str, float] | None = None,
    known: Baseline | None = None,
    clock: Callable[[], float] | None = None,
    explained_by: Rows = EXPLAINED_BY,
    docs_url: str | None = None,
) -> Report:
    """Runs the checks (default: all) and returns the report.

    `severities` gives codes another severity, None disables one; `thresholds` replaces defaults by name; `known` is
    the baseline, and its findings are left out. `docs_url` is the address of the documentation. `clock` returns
    seconds and gives the durations. A check with an unmet need is skipped with the reason. A check that raises is
    `crashed`, and the others continue.
    """
    severities, now = severities or {}, clock or (lambda: 0.0)
    started = now()
    chosen = [c for c in (all_checks() if checks is None else checks) if severities.get(c.code, c.severity) is not None]
    with garbage_collection_paused():
        runs = [(c, _run(facts, c, thresholds or {}, now)) for c in chosen]
        found = [(c, p, severities.get(c.code) or p.severity or c.severity) for c, run in runs for p in run.problems]
        causes = root_causes([(c.code, p) for c, p, _ in found], explained_by)
        roots = [(found[i][1], finding) for i, finding in _root_causes(facts, found, causes, docs_url)]
        grouped = (_of_one_cause(facts, several) for several in alike(facts, roots))
        misleading = _misleading(facts, runs)
        findings = _without_damage(worst_first(grouped, facts), misleading)
    new = tuple(f for f in findings if known is None or not known.accepts(f))
    return Report(
        facts=facts,
        results=_results(runs, found, causes, findings, new),
        findings=new,
        taken_at=facts.taken_at,
        duration_ms=(now() - started) * 1000,
        known=len(findings) - len(new),
        notes=_no_commands(misleading, new),
        of=0 if checks is None or len(checks) == len(all_checks()) else len(all_checks()),
    )


@contextmanager
def garbage_collection_paused() -> Iterator[None]:
    """Disables the garbage collector while facts are read, checked or written; also a decorator.

    Facts are plain values without cycles; with ten thousand workers their collection takes a tenth of the time. They
    count as old afterwards: the next collection of young objects would visit each of them once more.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        if not gc.get_freeze_count():
            gc.freeze()
            gc.unfreeze()
        gc.enable()


def choose(checks: Sequence[Check], only: Iterable[str] = (), skip: Iterable[str] = ()) -> tuple[Check, ...]:
    """The checks in `only` (default: all) and not in `skip`, by code, name or group; raises `ConfigError`."""
    only, skip = set(only), set(skip)
    known = {word for c in checks for word in _words(c)} | set(GROUPS)
    for word in sorted(only | skip):
        if word not in known:
            raise ConfigError(f"no check or group {word!r}; {_hint(word, known, GROUPS)}")
    return tuple(c for c in checks if (not only or only & _words(c)) and not skip & _words(c))


def verify(severities: Mapping[str, object], thresholds: Mapping[str, float]) -> None:
    """Raises `ConfigError` for an unknown code or threshold in the settings."""
    checks = all_checks()
    for kind, given, known in (
        ("check", severities, {c.code for c in checks}),
        ("threshold", thresholds, {t for c in checks for t in c.thresholds}),
    ):
        for name in sorted(set(given) - known):
            raise ConfigError(f"no {kind} {name!r} in the doctor; {_hint(name, known, sorted(known))}")


def _hint(word: str, known: Collection[str], choices: Iterable[str]) -> str:
    near = difflib.get_close_matches(word, known, 3)
    return f"did you mean {' or '.join(near)}?" if near else f"choose from {', '.join(choices)}"


def _words(check: Check) -> set[str]:
    return {check.code, check.name, check.group}


class _Run(msgspec.Struct, frozen=True):
    """The outcome of one check."""

    status: CheckStatus
    problems: tuple[Problem, ...] = ()
    reason: str | None = None
    duration_ms: float = 0.0
    unread: bool = False
    lost: bool = False  # the query for the executions failed: then the check is required, although they are optional


def _run(facts: Facts, check: Check, thresholds: Mapping[str, float], now: Callable[[], float]) -> _Run:
    if reason := check.skip_reason(facts):
        passive = facts.by_passive_declare
        if check.passive and passive is not facts and check.skip_reason(passive) is None:
            return _by_passive_declare(_run(passive, check, thresholds, now))
        lost = [s for s in check.sources(facts) if facts.could_not_read(s)]
        return _Run(CheckStatus.SKIPPED, reason=reason, unread=bool(lost), lost=Source.EXECUTIONS in lost)
    started = now()
    changed = {name: thresholds[name] for name in check.thresholds if name in thresholds}
    problems: list[Problem] = []
    reason, unread = None, False
    try:
        problems.extend(check.function(facts, **changed))
        status = CheckStatus.FAILED if problems else CheckStatus.PASSED
    except Unknown as e:
        status, reason = (CheckStatus.FAILED, None) if problems else (CheckStatus.SKIPPED, str(e))
        unread = isinstance(e, NotRead)
    except Exception as e:  # noqa: BLE001 - a crashed check must not stop the others
        problems, status, unread = [], CheckStatus.CRASHED, True
        reason = f"the check itself failed: {type(e).__name__}: {e}"
    return _Run(status, tuple(problems), reason, (now() - started) * 1000, unread)


def _by_passive_declare(run: _Run) -> _Run:
    """What a check said of facts by passive declare: named so, and without commands, which need the management API."""
    problems = tuple(
        msgspec.structs.replace(
            p,
            message=f"{p.message} ({PASSIVE_DECLARE})",
            evidence={**p.evidence, "origin": PASSIVE_DECLARE},
            commands=(),
            inspect_commands=(),
        )
        for p in run.problems
    )
    return msgspec.structs.replace(run, problems=problems, reason=run.reason or f"by {PASSIVE_DECLARE}")


def _finding(facts: Facts, check: Check, problem: Problem, severity: Severity, docs: str) -> Finding:
    return Finding(
        code=check.code,
        check=check.name,
        group=check.group,
        severity=severity,
        subject=_in_vhost(problem.subject, facts.vhost),
        title=check.title,
        detail=problem.message,
        evidence=problem.evidence,
        remedy=problem.remedy,
        commands=problem.commands,
        inspect_commands=problem.inspect_commands,
        cause=problem.cause,
        others=tuple([_in_vhost(s, facts.vhost) for s in problem.others]),
        docs=docs,
    )


def _in_vhost(subject: Subject, vhost: str) -> Subject:
    if subject.vhost is None and subject.kind in IN_VHOST:
        return Subject(subject.kind, subject.name, vhost)
    return subject


def _root_causes(
    facts: Facts, found: Sequence[_Judged], causes: Sequence[int], docs_url: str | None
) -> Iterator[tuple[int, Finding]]:
    """The root causes by position, each with the problems that follow from it, and as severe as the worst of these."""
    following: dict[int, list[_Judged]] = {i: [] for i, cause in enumerate(causes) if cause == i}
    for each, (i, cause) in zip(found, enumerate(causes), strict=True):
        if cause != i:
            following[cause].append(each)
    for i, others in following.items():
        check, problem, severity = found[i]
        worst = max({severity, *(s for *_, s in others)}, key=lambda s: s.rank)
        finding = _finding(facts, check, problem, worst, docs_address("checks", check.anchor, docs_url))
        consequences = tuple([Consequence(c.code, _in_vhost(p.subject, facts.vhost), p.message) for c, p, _ in others])
        yield i, msgspec.structs.replace(finding, consequences=consequences) if others else finding


def _of_one_cause(facts: Facts, several: Sequence[Found]) -> Finding:
    """One finding of those with one cause, with all of their subjects and consequences."""
    first = several[0][1]
    if len(several) == 1:
        return first
    problem = together([p for p, _ in several])
    return msgspec.structs.replace(
        first,
        detail=problem.message,
        cause=problem.cause,
        evidence=problem.evidence,
        remedy=problem.remedy,
        commands=problem.commands,
        others=tuple(f.subject for _, f in several[1:]),
        consequences=tuple(c for _, f in several for c in f.consequences),
    )


def _misleading(facts: Facts, runs: Sequence[tuple[Check, _Run]]) -> dict[str, str]:
    """By code, what the checks of `MISLEADING` found: also those that are not chosen, or disabled."""
    chosen = {c.code: run for c, run in runs}
    checks = (c for c in all_checks() if c.code in MISLEADING)
    made = {c.code: chosen.get(c.code) or _run(facts, c, {}, lambda: 0.0) for c in checks}
    return {code: run.problems[0].message for code, run in made.items() if run.problems}


def _no_commands(misleading: Mapping[str, str], new: Sequence[Finding]) -> tuple[str, ...]:
    """Notes in place of what is not among the findings, because its check is not chosen or the baseline has it."""
    reported = {f.code for f in new}
    hidden = ((code, said) for code, said in misleading.items() if code not in reported)
    return tuple(f"{code}: {said}; so no command is printed that changes anything" for code, said in hidden)


def _without_damage(findings: list[Finding], misleading: Collection[str]) -> list[Finding]:
    """Of two brokers, or by another release: that first, and no command of another finding that changes anything."""
    if not misleading:
        return findings
    wrong = sorted((f for f in findings if f.code in misleading), key=lambda f: f.code)
    return wrong + [_without_commands(f) for f in findings if f not in wrong]


def _without_commands(finding: Finding) -> Finding:
    """The finding without its commands, those of its single problems in the evidence too."""
    evidence = dict(finding.evidence)
    if "each" in evidence:
        evidence["each"] = [{k: v for k, v in each.items() if k != "commands"} for each in evidence["each"]]
    return msgspec.structs.replace(finding, commands=(), evidence=evidence)


def _results(
    runs: Sequence[tuple[Check, _Run]],
    found: Sequence[_Judged],
    causes: Sequence[int],
    findings: Sequence[Finding],
    new: Sequence[Finding],
) -> tuple[CheckResult, ...]:
    severities: dict[str, set[Severity]] = {}
    explained: dict[str, set[str]] = {}
    # As severe as the worst consequence, as every form shows it.
    for code, severity in {(f.code, f.severity) for f in findings} | {(c.code, severity) for c, _, severity in found}:
        severities.setdefault(code, set()).add(severity)
    for code, cause in {(found[i][0].code, found[cause][0].code) for i, cause in enumerate(causes) if cause != i}:
        explained.setdefault(code, set()).add(cause)
    counts = Counter(finding.code for finding in new)
    return tuple(
        CheckResult(
            code=c.code,
            check=c.name,
            group=c.group,
            title=c.title,
            status=run.status,
            severity=max(severities[c.code], key=lambda s: s.rank) if c.code in severities else None,
            reason=run.reason
            or ("explained by " + ", ".join(sorted(explained[c.code])) if c.code in explained else None),
            findings=counts[c.code],
            duration_ms=run.duration_ms,
            required=c.required or run.lost,
            unread=run.lost or (c.required and run.unread),
            may_recover=c.may_recover,
        )
        for c, run in runs
    )
