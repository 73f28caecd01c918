"""How a diagnosis is shown: the checks by group with their findings, and one summary line."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import TYPE_CHECKING, Any

from attune_ops.doctor import view_finding
from attune_ops.doctor.findings import CheckResult, CheckStatus, Finding, Report, Severity
from attune_ops.model.command_lines import CommandLine
from attune_ops.model.table import Table
from attune_ops.model.units import counted
from attune_ops.render import html, text, view_table, wire

if TYPE_CHECKING:
    import pandas as pd
    from rich.text import Text

    from attune_ops.render.terminal import CommandText, Hanging

Line = tuple[int, "Text | CommandText | Hanging"]  # indent, renderable

SCHEMA = "attune-ops/doctor/1"
FOLDED = 2  # skipped checks of one reason with a line each; more are on one line
FOLLOWING = 3  # consequences of one finding that a terminal shows
MARK, LABEL = 10, 12  # width of the mark of a check, and of the label of a heading line
SHOWN = 5  # findings of one check that a terminal shows; other formats have them all

# Mark and style of each outcome of a check: colour is never the only difference.
MARKS = {
    **view_finding.MARKS,
    "ok": ("√", "green"),
    "skipped": ("–", "dim"),
    "crashed": ("?", "magenta"),
}

VERDICTS = {"unhealthy": "error", "degraded": "warning", "unknown": "crashed", "healthy": "ok"}


def word(result: CheckResult) -> str:
    """The outcome of a check: ok, info, warning, error, skipped or crashed."""
    if result.status is CheckStatus.PASSED:
        return "ok"
    return str(result.severity or Severity.INFO) if result.status is CheckStatus.FAILED else str(result.status)


def as_table(report: Report) -> Any:
    """Groups of checks, a line each, their findings below them; the summary last. Wraps to the terminal."""
    from rich.console import Group
    from rich.padding import Padding
    from rich.text import Text

    first, *others = heading(report)
    lines: list[Line] = [(0, Text(first, overflow="fold")), *((0, _hanging(Text(line), LABEL)) for line in others)]
    printed = {f.detail: f.code for f in reversed(report.findings)}  # each reason is printed in full once
    for group, results in groupby(sorted(report.results, key=_order), key=lambda r: r.group):
        title = group.capitalize()
        lines += [(0, Text("")), (0, Text(title, style="bold")), (0, Text("─" * len(title)))]
        lines += _group(report, list(results), printed)
    if report.findings:
        worst = max(report.findings, key=lambda f: f.severity.rank)
        lines += [(0, Text("")), (0, Text(f"Why: attune-ops doctor --explain {worst.code}"))]
    mark, style = MARKS[VERDICTS[report.status]]
    lines += [(0, Text("")), (0, Text(f"{mark} {text.visible(report.verdict)}", style=style, overflow="fold"))]
    return Group(*(Padding(line, (0, 0, 0, indent)) if indent else line for indent, line in lines))


def _order(result: CheckResult) -> int:
    """By group, in the order of the codes: AT1xx first."""
    return int(result.code[2]) if result.code[2:3].isdigit() else 9


def _group(report: Report, results: list[CheckResult], printed: dict[str, str]) -> Iterator[Line]:
    for result in (r for r in results if r.status is not CheckStatus.SKIPPED):
        yield 0, _marked(result, f"{result.title} ({result.reason})" if result.reason else result.title)
        yield from _findings([f for f in report.findings if f.code == result.code])
    skipped = [r for r in results if r.status is CheckStatus.SKIPPED]
    for reason in dict.fromkeys(r.reason for r in skipped):
        alike = [r for r in skipped if r.reason == reason]
        if len(alike) <= FOLDED:
            yield from ((0, _marked(r, r.title)) for r in alike)
        else:
            mark, style = MARKS["skipped"]
            codes = f"{len(alike)} checks: {', '.join(r.code for r in alike)}"
            yield 0, _hanging(_plain(f"{mark} {'skipped':<8}{codes}", style), MARK)
        first = printed.setdefault(reason or "", alike[0].code)
        yield 4, _plain("reason: " + (str(reason) if first == alike[0].code else f"see {first}"), "dim")


def _findings(findings: list[Finding]) -> Iterator[Line]:
    for i, found in enumerate(findings[:SHOWN]):
        yield 4, _plain(found.detail)
        for consequence in found.consequences[:FOLLOWING]:
            yield 6, _plain(f"causes {consequence.code}: {consequence.detail}", "dim")
        if len(found.consequences) > FOLLOWING:
            yield 6, _plain(f"and {len(found.consequences) - FOLLOWING} more consequences", "dim")
        following = findings[i + 1] if i + 1 < min(len(findings), SHOWN) else None
        if following is None or _remedy(following) != _remedy(found):
            if found.remedy:
                yield 6, _hanging(_plain(f"→ {found.remedy}"), len("→ "))
            for command in found.commands:
                yield 6, _command("$ ", command, "bold")
            for look in found.inspect_commands:
                yield 6, _command("see $ ", look, "dim")
    if len(findings) > SHOWN:
        names = ", ".join(f.subject.name for f in findings[SHOWN : 4 * SHOWN])
        rest = len(findings) - SHOWN
        yield 4, _plain(f"and {rest} more: {names}" + (", …" if rest > 3 * SHOWN else ""))


def _remedy(found: Finding) -> tuple[str, tuple[CommandLine, ...], tuple[CommandLine, ...]]:
    return found.remedy, found.commands, found.inspect_commands


def _hanging(line: Text, indent: int) -> Hanging:
    from attune_ops.render.terminal import Hanging

    return Hanging(line, indent)


def _marked(result: CheckResult, said: str) -> Hanging:
    from rich.text import Text

    mark, style = MARKS[word(result)]
    line = Text(overflow="fold")
    line.append(f"{mark} {word(result):<8}", style=style).append(f"{result.code} {text.visible(said)}")
    return _hanging(line, MARK)


def _command(before: str, line: CommandLine, style: str) -> CommandText:
    from attune_ops.render.terminal import CommandText

    return CommandText(before, text.visible(str(line)), style)


def _plain(said: str, style: str = "") -> Text:
    from rich.text import Text

    return Text(text.visible(said), style=style, overflow="fold")


def heading(report: Report) -> list[str]:
    """The sources that were read, the users, and the response times; visible text, a line each."""
    facts = report.facts
    env = f", environment {facts.env}" if facts.env else ""
    source = "" if report.file is None else f"not live: file {report.file} of "
    topology = facts.recognition.line if facts.recognised and facts.recognition else facts.topology.name
    lines = [f"{topology} in virtual host {facts.vhost}{env}, {source}{text.moment(facts.taken_at)}"]
    lines += [f"{label:<{LABEL}}{said}" for label, said in _sources(report)]
    lines += [f"{'note':<{LABEL}}{note}" for note in report.notes]
    return [text.visible(line) for line in lines]


def _sources(report: Report) -> Iterator[tuple[str, str]]:
    facts, broker = report.facts, report.facts.broker
    if broker is not None and broker.version:
        yield "broker", f"{broker.product} {broker.version}" + (f", {broker.cluster}" if broker.cluster else "")
    for reach in facts.reach:
        if reach.error is None:
            user = f" as {reach.user}" if reach.user else ""
            tags = f" ({', '.join(reach.tags)})" if reach.tags else ""
            latency = f", {reach.latency_ms:.0f} ms" if reach.latency_ms is not None else ""
            yield str(reach.source), f"{reach.target}{user}{tags}{latency}"
    if facts.registry is not None:
        yield "workers", f"{len(facts.registry.workers)} registered, {len(facts.live_workers)} live"


def as_json(report: Report) -> dict[str, Any]:
    """`attune-ops/doctor/1`."""
    facts, broker, known = report.facts, report.facts.broker, report.known
    return {
        "schema": SCHEMA,
        "target": {
            "env": facts.env,
            "vhost": facts.vhost,
            "topology": facts.topology.name,
            "recognised": facts.recognised,
            "broker": None if broker is None else {
                "product": broker.product, "version": broker.version, "cluster": broker.cluster,
                "nodes": None if broker.nodes is None else [n.name for n in broker.nodes],
            },
            "registry": None if facts.registry is None else {
                "kind": facts.registry.kind, "workers": len(facts.registry.workers),
            },
        },
        "taken_at": wire.plain(report.taken_at),
        "duration_ms": round(report.duration_ms, 3),
        "summary": {"status": report.status, "verdict": report.verdict, "counts": counts(report), "known": known,
                    "unread": [r.code for r in report.unread],
                    "notes": list(report.notes)},
        "findings": [view_finding.data(f) for f in report.findings],
        "checks": [_check(r) for r in report.results],
    }  # fmt: skip


def counts(report: Report) -> dict[str, int]:
    """The findings by severity, and the passed and skipped checks."""
    return {
        **{str(s): report.count(s) for s in (Severity.ERROR, Severity.WARNING, Severity.INFO)},
        "ok": sum(r.status is CheckStatus.PASSED for r in report.results),
        "skipped": len(report.not_run),
    }


def _check(r: CheckResult) -> dict[str, Any]:
    status = word(r)
    return {
        "code": r.code, "check": r.check, "group": r.group, "title": r.title,
        "status": "skipped" if status == "crashed" else status, "reason": r.reason, "findings": r.findings,
        "duration_ms": round(r.duration_ms, 3),
    }  # fmt: skip


def rows(report: Report) -> Table:
    """A row a finding."""
    return Table(
        name="findings",
        columns=view_finding.COLUMNS,
        rows=tuple(view_finding.row(f) for f in report.findings),
        taken_at=report.taken_at,
        notes=(report.verdict,),
    )


def as_frame(report: Report) -> pd.DataFrame:
    """The findings, a row each; `attrs` hold status and verdict."""
    return view_table.as_frame(rows(report), {"status": report.status, "verdict": report.verdict})


def as_markdown(report: Report) -> str:
    """The verdict, the findings with their fix, and the outcome of each check."""
    lines = [f"**{text.markdown(text.visible(report.verdict))}**", ""]
    lines += [f"- {text.markdown(line)}" for line in heading(report)]
    if report.findings:
        lines += ["", "| | finding | what to do |", "| --- | --- | --- |"]
    for f in report.findings:
        said = text.markdown(text.visible(f.detail))
        said += f" ({counted(len(f.consequences), 'consequence')})" if f.consequences else ""
        do = text.markdown(text.visible(f.remedy)) + "".join(
            f"<br>`{text.visible(str(c))}`".replace("|", r"\|") for c in (*f.commands, *f.inspect_commands)
        )
        lines.append(f"| {f.severity} {f.code} | {said} | {do} |")
    lines += ["", "| check | | |", "| --- | --- | --- |"]
    for r in report.results:
        reason = text.markdown(text.visible(r.reason or ""))
        lines.append(f"| {r.code} {text.markdown(r.title)} | {word(r)} | {reason} |")
    return "\n".join(lines)


def as_junit(report: Report) -> str:
    """JUnit XML: a suite for each group, a case for each check; findings of severity error or warning are failures."""
    from attune_ops.doctor.junit import document

    return document(report)


def as_html(report: Report) -> str:
    """The verdict and the findings unfolded, the checks that hold folded by group."""
    groups = [(name, list(rs)) for name, rs in groupby(sorted(report.results, key=_order), key=lambda r: r.group)]
    return html.fragment(
        "report.html",
        report=report,
        groups=groups,
        word=word,
        heading=heading(report),
        marks=MARKS,
        verdicts=VERDICTS,
        shown=4 * SHOWN,
    )
