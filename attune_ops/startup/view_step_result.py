"""How a step of a start-up shows itself: one line, with the explanation below it where the step failed."""

from __future__ import annotations

from typing import Any

from attune_ops.render.text import visible
from attune_ops.startup.startup_report import StepError, StepResult, StepStatus

MARK = {StepStatus.OK: "✓", StepStatus.FAILED: "✗", StepStatus.SKIPPED: "–"}
STYLE = {StepStatus.OK: "green", StepStatus.FAILED: "bold red", StepStatus.SKIPPED: "yellow"}
INDENT = 20  # columns before the detail


def as_table(step: StepResult) -> Any:
    """The line, wrapped under its detail."""
    from rich.console import Group
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 1, 0, 0), expand=True)
    for options in ({"width": 2, "justify": "right"}, {"width": 8}, {"width": 7, "justify": "right"}, {"ratio": 1}):
        grid.add_column(**options)
    style = STYLE[step.status]
    grid.add_row(
        Text(MARK[step.status], style=style),
        Text(step.step, style="bold"),
        Text(took(step), style="dim"),
        Text(headline(step), style=style if step.error else "dim" if step.status is StepStatus.SKIPPED else ""),
    )
    below = [Padding(Text(line), (0, 0, 0, INDENT)) for line in explanation(step.error)]
    return Group(grid, *below)


def as_text(step: StepResult) -> str:
    """The same without colours, each line uncut."""
    head = f" {MARK[step.status]} {step.step:<8} {took(step):>7} {headline(step)}".rstrip()
    return "\n".join([head, *(" " * INDENT + line for line in explanation(step.error))])


def took(step: StepResult) -> str:
    """The duration of the step; nothing where it was skipped."""
    if step.status is StepStatus.SKIPPED:
        return ""
    return f"{step.duration_ms:.0f} ms" if step.duration_ms >= 100 else f"{step.duration_ms:.1f} ms"


def headline(step: StepResult) -> str:
    """What the step did, or the error in its original text."""
    if step.error is None:
        return visible(step.detail)
    code = "" if step.error.code is None else f"{step.error.code} "
    return code + visible(" ".join(step.error.text.split()))


def explanation(error: StepError | None) -> list[str]:
    """The paragraphs below a failed step, and the commands to run."""
    if error is None:
        return []
    return [visible(p) for p in error.explanation.splitlines()] + [f"$ {visible(c)}" for c in error.commands]
