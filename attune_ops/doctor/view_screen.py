"""How a diagnosis is shown in a terminal: the verdict, the findings, worst first, a line for each group of checks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from attune_ops.doctor import report_text
from attune_ops.doctor.checks import GROUPS
from attune_ops.doctor.findings import CheckResult, CheckStatus, Finding, Report, Severity
from attune_ops.doctor.screen import Screen
from attune_ops.model.units import counted
from attune_ops.render import text

if TYPE_CHECKING:
    from rich.console import RenderableType

    from attune_ops.render.terminal import Closing

FULL = 3  # findings of one check that are shown in full; --all shows all
WORST = 5  # findings that are shown in full
CONSEQUENCES = 20  # of one finding that --all shows
NAMED = 8  # codes or names in one line
WIDEST = 100  # columns of a text: a longer line is hard to read
MARGIN = 9  # columns of the severity
LABEL = 18  # columns of the label of a line that sums up
REASONS = 3  # why checks were skipped; more would not leave a healthy installation on one screen

STYLES = {Severity.ERROR: "bold red", Severity.WARNING: "bold yellow", Severity.INFO: "cyan"}


def as_table(screen: Screen) -> Any:
    """The verdict first and last; between them what an operator needs. Wraps to the terminal."""
    from rich.console import Group

    from attune_ops.render.terminal import Narrow

    report = screen.report
    if screen.summary:
        return _closing(report).line
    lines: list[RenderableType] = [_verdict(report)]
    if not screen.quiet:
        lines += _target(report, full=screen.every)
    for block in _blocks(screen):
        lines += ["", *block]
    if not screen.quiet:
        lines += ["", *(_every_check(report) if screen.every else _sums(screen))]
        lines += ["", *_why(report), _closing(report)]
    return Narrow(Group(*lines), WIDEST)


def _verdict(report: Report) -> RenderableType:
    mark, style = report_text.MARKS[report_text.VERDICTS[report.status]]
    return _hanging(_text(f"{mark} {report.headline}", f"bold {style}"), 2)


def _target(report: Report, *, full: bool) -> Iterator[RenderableType]:
    """What was checked: in full, or topology, workers, time and broker."""
    first, *others = report_text.heading(report) if full else report_text.short_heading(report)
    yield _hanging(_text(first), 2)
    yield from (_hanging(_text(line), report_text.LABEL) for line in others)


# The findings


def _blocks(screen: Screen) -> Iterator[list[RenderableType]]:
    """The findings in blocks with an empty line between: of one check together, those of severity info last."""
    report = screen.report
    findings = [*report.problems]
    findings += report.weaknesses if _chosen(screen, "design") else ()
    findings += report.upgrade_notes if _chosen(screen, "upgrade") else ()
    findings.sort(key=lambda f: -f.severity.rank)
    brief = [] if screen.every else [f for f in findings if f.severity is Severity.INFO and f in report.problems]
    room, left = WORST, list[Finding]()
    for _, alike in groupby((f for f in findings if f not in brief), key=lambda f: (f.severity, f.code)):
        members = list(alike)
        if not screen.every and members[0] in report.problems:
            if room <= 0:
                left += members
                continue
            room -= min(len(members), FULL)
        yield list(_alike(members, every=screen.every))
    if left:
        yield [_left(left)]
    if brief:
        lines: list[RenderableType] = []
        for code, infos in groupby(brief, key=lambda f: f.code):
            members = list(infos)
            lines += [_head(f) for f in members[:FULL]] + list(_more(code, members[FULL:]))
        yield lines


def _left(findings: Sequence[Finding]) -> RenderableType:
    """The findings after the worst ones, by code."""
    return _body(f"and {len(findings):,} more findings: {_codes(findings, 12)}; --all shows them", "bold", 4)


def _chosen(screen: Screen, group: str) -> bool:
    """Whether findings of this group are shown in full: on request, or where no other check ran."""
    return screen.every or bool(getattr(screen, group)) or {r.group for r in screen.report.results} == {group}


def _alike(findings: Sequence[Finding], *, every: bool) -> Iterator[RenderableType]:
    """Findings of one check: the text that they have in common is printed once."""
    shown = findings if every else findings[:FULL]
    for i, found in enumerate(shown):
        following = shown[i + 1] if i + 1 < len(shown) else None
        yield _head(found)
        yield from _reasons(found, every=every)
        if following is None or (following.remedy, following.commands) != (found.remedy, found.commands):
            before = shown[i - 1] if i else None
            again = before and before.remedy == found.remedy and before.commands != found.commands
            yield from _fix(found, remedy=not again, every=every)
    yield from _more(findings[0].code, findings[len(shown) :])


def _head(found: Finding) -> RenderableType:
    from attune_ops.render.terminal import Headline

    label = f"{str(found.severity).upper():<{MARGIN}}"
    link = found.docs if "://" in found.docs else report_text.page(found.code, found.check)
    return Headline(label, STYLES[found.severity], text.visible(found.detail), found.code, link)


def _reasons(found: Finding, *, every: bool) -> Iterator[RenderableType]:
    if found.cause:
        yield _body(f"cause: {found.cause}", "", len("cause: "))
    if found.consequences and every:
        shown = found.consequences[:CONSEQUENCES]
        yield from (_body(f"causes {c.code}: {c.detail}", "dim", len("causes ")) for c in shown)
        if len(found.consequences) > len(shown):
            yield _body(f"causes {len(found.consequences) - len(shown):,} more findings", "dim", len("causes "))
    elif found.consequences:
        codes = _some(dict.fromkeys(c.code for c in found.consequences))
        yield _body(f"causes {counted(len(found.consequences), 'more finding')}: {codes}", "dim", len("causes "))


def _fix(found: Finding, *, remedy: bool, every: bool) -> Iterator[RenderableType]:
    from attune_ops.render.terminal import CommandText, Indented

    if found.remedy and remedy:
        yield _body(f"→ {found.remedy}", "", len("→ "))
    for command in found.commands:
        yield Indented(CommandText("$ ", text.visible(str(command)), "bold"), MARGIN)
    for command in found.inspect_commands if every or not found.commands else ():
        yield Indented(CommandText("see $ ", text.visible(str(command)), "dim"), MARGIN)


def _more(code: str, others: Sequence[Finding]) -> Iterator[RenderableType]:
    if others:
        names = _some(f.subject.name for f in others)
        yield _body(f"and {len(others)} more {code}: {names}", "", 4)


# The checks


def _sums(screen: Screen) -> Iterator[RenderableType]:
    """A line for each group of passed checks, one for the skipped, for known weaknesses and for upgrade notes."""
    report = screen.report
    mark, style = report_text.MARKS["ok"]
    for group in GROUPS:
        passed = sum(r.status is CheckStatus.PASSED for r in report.results if r.group == group)
        if passed:
            yield _sum(f"{mark} {group.capitalize()}", f"{passed} passed", style)
    if report.not_run:
        yield _sum("– Skipped", _skipped(report.not_run), "dim")
    if report.known:
        yield _sum("– Baseline", counted(report.known, "known finding"), "dim")
    for label, group, findings in (
        ("! Known weaknesses", "design", report.weaknesses),
        ("i Upgrade notes", "upgrade", report.upgrade_notes),
    ):
        if findings and not _chosen(screen, group):
            codes = _codes(findings, NAMED)
            of = f" of {report.facts.topology.name}" if group == "design" else ""
            yield _sum(label, f"{len(findings)}{of}: {codes}; --{group} shows {_them(findings)}")


def _them(findings: Sequence[Finding]) -> str:
    return "it" if len(findings) == 1 else "them"


def _skipped(results: Sequence[CheckResult]) -> str:
    """How many checks were skipped, by reason."""
    reasons: dict[str, list[str]] = {}
    for r in results:
        reasons.setdefault(r.reason or "", []).append(r.code)
    parts = [f"{_some(codes, 3)}" + (f": {reason}" if reason else "") for reason, codes in reasons.items()]
    others = [code for codes in list(reasons.values())[REASONS:] for code in codes]
    more = [f"{_some(others)} (--all shows why)"] if others else []
    return f"{len(results)}; " + "; ".join(parts[:REASONS] + more)


def _every_check(report: Report) -> Iterator[RenderableType]:
    """Each check by group: its title where it passed; where it did not, its name and why."""
    printed: dict[str | None, str] = {}  # each reason is printed in full once
    for group in GROUPS:
        results = [r for r in report.results if r.group == group]
        if results:
            yield _text(group.capitalize(), "bold")
        for r in results:
            yield _check(r, printed)
        if results and group != GROUPS[-1]:
            yield ""


def _check(r: CheckResult, printed: dict[str | None, str]) -> RenderableType:
    word = report_text.word(r)
    mark, style = report_text.MARKS[word]
    said = report_text.outcome(r)
    if r.status in (CheckStatus.SKIPPED, CheckStatus.CRASHED):
        first = printed.setdefault(r.reason, r.code)
        said = f"{r.check}: {r.reason if first == r.code else f'see {first}'}"
    line = _text(f"{mark} {word:<8}", "dim" if r.explained else style) + _text(f"{r.code} {said}")
    return _hanging(line, 10)


# The last lines


def _why(report: Report) -> Iterator[RenderableType]:
    if report.problems:
        yield _text(f"Why: attune-ops doctor --explain {report.problems[0].code}", "dim")


def _closing(report: Report) -> Closing:
    mark, style = report_text.MARKS[report_text.VERDICTS[report.status]]
    return closing(f"{mark} {report.verdict}", style, report.problems)


def closing(verdict: str, style: str, problems: Sequence[Finding]) -> Closing:
    """The verdict again, with the command of the worst finding, after `see` where it only shows more: to quote."""
    from attune_ops.render.terminal import Closing

    worst = next((f for f in problems if f.severity is not Severity.INFO), None)
    commands = worst.commands or worst.inspect_commands if worst else ()
    command = text.visible(str(commands[0])) if commands else ""
    return Closing(text.visible(verdict), style, "$ " if worst and worst.commands else "see $ ", command)


# Text


def _text(said: str, style: str = "") -> Any:
    from rich.text import Text

    return Text(text.escaped(said), style=style, overflow="fold")


def _hanging(line: Any, indent: int) -> RenderableType:
    from attune_ops.render.terminal import Hanging

    return Hanging(line, indent)


def _body(said: str, style: str, indent: int) -> RenderableType:
    from attune_ops.render.terminal import Indented

    return Indented(_hanging(_text(said, style), indent), MARGIN)


def _sum(label: str, said: str, style: str = "") -> RenderableType:
    from rich.text import Text

    line = Text(f"{label:<{LABEL}} ", style=style, overflow="fold").append(text.visible(said))
    return _hanging(line, LABEL + 1)


def _codes(findings: Iterable[Finding], limit: int) -> str:
    """The codes of the findings, each once, with the number of its findings where there are several."""
    counts = Counter(f.code for f in findings)
    return _some((code if n == 1 else f"{code} ({n:,})" for code, n in counts.items()), limit)


def _some(words: Iterable[str], limit: int = NAMED) -> str:
    """The words, at most `limit` of them."""
    found = list(words)
    return ", ".join(found[:limit]) + (f" and {len(found) - limit} more" if len(found) > limit else "")
