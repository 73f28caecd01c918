"""How a `StartupReport` shows itself: its steps, a verdict, and the clean stop."""

from __future__ import annotations

from typing import Any

import msgspec

from attune_ops.model.table import Column, Kind, Table
from attune_ops.model.units import number
from attune_ops.render import text
from attune_ops.startup import view_ending, view_step_result
from attune_ops.startup.startup_report import StartupReport, StepResult

COLUMNS = (
    Column("step", Kind.CATEGORY),
    Column("status", Kind.CATEGORY),
    Column("duration_ms", Kind.NUMBER, unit="ms"),
    Column("detail"),
    Column("error_code", Kind.INTEGER, doc="the AMQP reply code"),
    Column("error"),
)


def as_table(report: StartupReport) -> Any:
    """The steps, then the verdict, then the clean stop."""
    from rich.console import Group
    from rich.text import Text

    line = Text(verdict(report), style="bold green" if report.ok else "bold red")
    ending = [view_ending.as_table(report.ending)] if report.ending else []
    return Group(*(view_step_result.as_table(s) for s in report.steps), line, *ending)


def summary(report: StartupReport) -> str:
    """The verdict, then the clean stop."""
    ending = view_ending.labelled(report.ending) if report.ending else []
    return "\n".join([verdict(report), *(f"{label} {line}" for label, line in ending)])


JSON = StartupReport


def as_json(report: StartupReport) -> Any:
    """`attune-ops/startup/1`."""
    return msgspec.to_builtins(report)


def rows(report: StartupReport) -> Table:
    """A row a step."""
    steps = tuple((s.step, s.status, s.duration_ms, s.detail, *_error(s)) for s in report.steps)
    return Table(f"start-up of {report.service}", COLUMNS, steps, taken_at=None)


def _error(step: StepResult) -> tuple[int | None, str | None]:
    return (step.error.code, step.error.text) if step.error else (None, None)


def verdict(report: StartupReport) -> str:
    """One line: who is ready after how long, or at which step the start-up failed."""
    who = f"the {text.visible(report.service)}"
    if report.worker is not None:
        who = f"worker {report.worker.id} {text.visible(repr(report.worker.name))}"
    if report.ok:
        return f"{who} is ready after {number(report.duration_ms)} ms"
    if report.runs:
        return f"{who} is ready after {number(report.duration_ms)} ms, but its set-up was refused"
    where = f" at {report.failed.step}" if report.failed else ""
    return f"start-up of {who} failed{where} after {number(report.duration_ms)} ms"
