"""How a step of a start-up shows itself: one line, with the explanation below it where the step failed."""

from __future__ import annotations

from typing import Any

from attune_ops.render.text import visible
from attune_ops.startup.startup_report import StepResult, StepStatus

MARK = {StepStatus.OK: "✓", StepStatus.FAILED: "✗", StepStatus.SKIPPED: "–"}
STYLE = {StepStatus.OK: "green", StepStatus.FAILED: "bold red", StepStatus.SKIPPED: "yellow"}
INDENT = 20  # columns before the detail


def as_table(step: StepResult) -> Any:
    """The line, wrapped under its detail, and what explains a failure."""
    from rich.console import Group
    from rich.text import Text

    from attune_ops.render.terminal import Hanging, indented

    style = STYLE[step.status]
    detail_style = style if step.error else "dim" if step.status is StepStatus.SKIPPED else ""
    head = Text.assemble(
        (f" {MARK[step.status]} ", style),
        (f"{step.step:<8} ", "bold"),
        (f"{_duration(step):>7} ", "dim"),
        (_headline(step), detail_style),
    )
    explanation = step.error.explanation.splitlines() if step.error else []
    commands = [f"$ {c}" for c in step.error.commands] if step.error else []
    return Group(Hanging(head, INDENT), indented((INDENT, line, "") for line in [*explanation, *commands]))


def _duration(step: StepResult) -> str:
    """The duration of the step; nothing where it was skipped."""
    if step.status is StepStatus.SKIPPED:
        return ""
    return f"{step.duration_ms:.0f} ms" if step.duration_ms >= 100 else f"{step.duration_ms:.1f} ms"


def _headline(step: StepResult) -> str:
    """What the step did, or the error in its original text."""
    if step.error is None:
        return visible(step.detail)
    code = "" if step.error.code is None else f"{step.error.code} "
    return code + visible(" ".join(step.error.text.split()))
