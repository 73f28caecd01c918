"""A result in one line for Nagios, Icinga and what else runs their plug-ins: status, reason, performance data."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta
from enum import IntEnum
from typing import Any

import msgspec

from attune_ops.doctor.findings import Report, Severity
from attune_ops.doctor.health_check import Health
from attune_ops.doctor.reports import LATE, Reports
from attune_ops.model.table import Cell, Kind, Table
from attune_ops.model.units import counted
from attune_ops.monitoring.thresholds import CRASH_ALERT_S, Range, ranges

NAMED = 5  # problems in the line
NUMBERS = (Kind.INTEGER, Kind.NUMBER, Kind.AGE)
NOT_MEASURED = ("id", "worker_id", "concurrency")
HEALTHY_STATES = ("ready", "starting", "stopped")
COUNTS = ("errors", "warnings", "infos", "passed", "skipped")


class Status(IntEnum):
    """The exit statuses of a plug-in."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3


WORST_FIRST = (Status.CRITICAL, Status.WARNING, Status.UNKNOWN, Status.OK)


class Measure(msgspec.Struct, frozen=True):
    """A number of a subject; None is unknown."""

    subject: str
    metric: str
    value: float | None


class Outcome(msgspec.Struct, frozen=True):
    """The exit status and the line."""

    status: Status
    line: str


def outcome(value: Any, warn: Iterable[str], crit: Iterable[str]) -> Outcome:
    """Judges a table of queues or workers, a report or a health check; raises `ConfigError` for a wrong threshold."""
    if isinstance(value, Report):
        return _of_report(value, warn, crit)
    if isinstance(value, Reports):
        return _of_reports(value, warn, crit)
    if isinstance(value, Health):
        return _of_health(value, warn, crit)
    return _of_table(value, warn, crit)


def _of_report(report: Report, warn: Iterable[str], crit: Iterable[str]) -> Outcome:
    """Errors are critical and warnings a warning, unless there are other thresholds for them."""
    limits = _limits(warn, crit)
    measures = _counts(report)
    problems = [(Status.UNKNOWN, f"{r.code} was not run: {r.reason}") for r in report.unread]
    problems += _problems(measures, *limits)
    first = "; ".join(f"{f.code} {f.title}" for f in report.problems[:1])
    return _made("DOCTOR", problems, report.headline + (f"; {first}" if first else ""), measures, *limits)


def _of_reports(reports: Reports, warn: Iterable[str], crit: Iterable[str]) -> Outcome:
    """Each environment by the same thresholds; one that was not diagnosed is unknown."""
    limits = _limits(warn, crit)
    problems: list[tuple[Status, str]] = []
    measures: list[Measure] = []
    for e in reports.environments:
        if e.report is None:
            problems.append((Status.UNKNOWN, f"{e.env}: {e.headline}"))
            continue
        if e.silent:
            problems.append((Status.UNKNOWN, f"{e.env}: incomplete, {LATE}"))
        problems += [(Status.UNKNOWN, f"{e.env}: {r.code} was not run: {r.reason}") for r in e.report.unread[:1]]
        own = _counts(e.report, e.env)
        problems += _problems(own, *limits)
        measures += own
    return _made("DOCTOR", problems, reports.headline, measures, *limits)


def _limits(warn: Iterable[str], crit: Iterable[str]) -> tuple[dict[str, Range], dict[str, Range]]:
    limits = ranges(warn, COUNTS), ranges(crit, COUNTS)
    limits[1].setdefault("errors", Range("0", 0, 0))
    limits[0].setdefault("warnings", Range("0", 0, 0))
    return limits


def _counts(report: Report, env: str = "") -> list[Measure]:
    numbers = dict(zip(COUNTS, [report.count(s) for s in (Severity.ERROR, Severity.WARNING, Severity.INFO)],
                       strict=False))  # fmt: skip
    numbers |= {"passed": len(report.results) - len(report.not_run), "skipped": len(report.not_run)}
    return [Measure(env, name, float(number)) for name, number in numbers.items()]


def _of_health(health: Health, warn: Iterable[str], crit: Iterable[str]) -> Outcome:
    known = ("healthy", "duration_ms")
    limits = ranges(warn, known), ranges(crit, known)
    measures = [
        Measure("", "healthy", float(health.healthy)),
        Measure("", "duration_ms", round(health.duration_ms, 1)),
    ]
    problems = [] if health.healthy else [(Status.CRITICAL, health.line)]
    return _made("HEALTH", [*problems, *_problems(measures, *limits)], health.line, measures, *limits)


def _of_table(table: Table, warn: Iterable[str], crit: Iterable[str]) -> Outcome:
    """Each row by the thresholds, and by what the table itself says of it; no row at all is unknown."""
    numbers = [c.name for c in table.columns if c.kind in NUMBERS and c.name not in NOT_MEASURED]
    limits, what = (ranges(warn, numbers), ranges(crit, numbers)), table.name.removesuffix("s")
    if not table.rows:
        return _made(table.name.upper(), [(Status.UNKNOWN, f"there is no such {what}")], "", [], *limits)
    problems: list[tuple[Status, str]] = []
    measures: list[Measure] = []
    judge = _JUDGES[table.name]
    for row in table.records():
        subject = str(row["name"] if row["name"] is not None else row["id"])
        status, reason = judge(row)
        if status is not Status.OK:
            problems.append((status, f"{subject}: {reason}"))
        wanted = [n for n in numbers if any(n in limit for limit in limits)]
        measures += [Measure(subject, name, _number(row[name])) for name in wanted]
    problems += _problems(measures, *limits)
    total = Measure("", table.name, len(table.rows))
    return _made(table.name.upper(), problems, f"{counted(len(table.rows), what)} checked", [total, *measures], *limits)


def _queue(row: dict[str, Cell]) -> tuple[Status, str]:
    alert = row["alert"]
    if alert is None:
        return Status.UNKNOWN, "messages or consumers unknown"
    if alert == "no consumer":
        return Status.CRITICAL, f"{row['messages']} messages and no consumer"
    harmless = alert in ("ok", "unread")
    critical = alert == "unavailable"
    return Status.OK if harmless else Status.CRITICAL if critical else Status.WARNING, str(alert)


def _worker(row: dict[str, Cell]) -> tuple[Status, str]:
    state = row["state"]
    if state is None:
        return Status.UNKNOWN, "state unknown"
    if state == "unregistered":
        return Status.WARNING, "its queues exist, and it is not registered"
    heartbeat = row["heartbeat"]
    if state == "crashed" and isinstance(heartbeat, timedelta) and heartbeat.total_seconds() >= CRASH_ALERT_S:
        return Status.OK, "crashed"
    return Status.OK if state in HEALTHY_STATES else Status.CRITICAL, str(state)


_JUDGES: dict[str, Callable[[dict[str, Cell]], tuple[Status, str]]] = {"queues": _queue, "workers": _worker}


def _number(cell: Cell) -> float | None:
    if isinstance(cell, timedelta):
        return round(cell.total_seconds(), 1)
    return float(cell) if isinstance(cell, int | float) else None


def _problems(
    measures: Iterable[Measure], warn: dict[str, Range], crit: dict[str, Range]
) -> Iterable[tuple[Status, str]]:
    for m in measures:
        limits = ((Status.CRITICAL, crit.get(m.metric)), (Status.WARNING, warn.get(m.metric)))
        name = f"{m.subject}: {m.metric}" if m.subject else m.metric
        if m.value is None:
            yield Status.UNKNOWN, f"{name} unknown"
            continue
        for status, limit in limits:
            if limit is not None and limit.alerts(m.value):
                yield status, f"{name} is {m.value:g} ({'critical' if status == 2 else 'warning'}: {limit.text})"
                break


def _made(
    name: str,
    problems: Iterable[tuple[Status, str]],
    fine: str,
    measures: Iterable[Measure],
    warn: dict[str, Range],
    crit: dict[str, Range],
) -> Outcome:
    found = sorted(problems, key=lambda p: WORST_FIRST.index(p[0]))
    status = found[0][0] if found else Status.OK
    said = [text for _, text in found[:NAMED]]
    said += [f"and {len(found) - NAMED} more"] if len(found) > NAMED else []
    details = "; ".join(said or [fine]) if name != "DOCTOR" else "; ".join([fine, *said])
    data = " ".join(_data(m, warn, crit) for m in measures if m.value is not None)
    text = " ".join(f"{name} {status.name} - {details}".replace("|", "/").split())
    return Outcome(status, f"{text} | {data}" if data else text)


def _data(m: Measure, warn: dict[str, Range], crit: dict[str, Range]) -> str:
    """One number as performance data: 'label'=value;warn;crit."""
    label = f"{m.subject} {m.metric}".strip().replace("=", "_").replace("'", "''")
    limits = ";".join(limit[m.metric].text if m.metric in limit else "" for limit in (warn, crit)).rstrip(";")
    return f"'{label}'={m.value:.10g}" + (f";{limits}" if limits else "")
