"""The diagnoses of several environments in a terminal: a verdict line each, first and last, and the findings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from attune_ops.doctor import report_text, view_screen
from attune_ops.doctor.reports import NOT_DIAGNOSED, Reports
from attune_ops.doctor.screen import Screen, Screens
from attune_ops.render import text

if TYPE_CHECKING:
    from rich.console import RenderableType

    from attune_ops.render.terminal import Closing


def as_table(screens: Screens) -> Any:
    """How many have which status, a line an environment, the findings of each, and a line each to quote."""
    from rich.console import Group
    from rich.text import Text

    from attune_ops.render.terminal import Narrow

    reports, closing = screens.reports, list(_closing(screens.reports))
    if screens.summary:
        return Group(*(c.line for c in closing))
    lines: list[RenderableType] = [Text(reports.headline, "bold"), *_verdicts(reports)]
    for e in reports.environments:
        if (named := e.named) is not None and (named.problems or screens.every or screens.design or screens.upgrade):
            screen = Screen(named, screens.every, screens.design, screens.upgrade, quiet=not screens.every)
            lines += ["", Text(text.visible(e.env), "bold underline"), view_screen.as_table(screen)]
    if not screens.quiet:
        lines += ["", *closing]
    return Narrow(Group(*lines), view_screen.WIDEST)


def marks(reports: Reports) -> dict[str, tuple[str, str]]:
    """Mark and style of each environment's verdict."""
    words = {**report_text.VERDICTS, NOT_DIAGNOSED: "crashed"}
    return {e.env: report_text.MARKS[words[e.status]] for e in reports.environments}


def _verdicts(reports: Reports) -> Iterator[RenderableType]:
    from rich.text import Text

    from attune_ops.render.terminal import Hanging

    width = max((len(text.visible(e.env)) for e in reports.environments), default=0)
    for e in reports.environments:
        mark, style = marks(reports)[e.env]
        line = f"{mark} {text.visible(e.env):<{width}}  {text.visible(e.headline)}{e.incomplete}"
        yield Hanging(Text(line, style, overflow="fold"), width + 4)


def _closing(reports: Reports) -> Iterator[Closing]:
    """The verdict of each environment, with its worst finding and its command: lines to quote."""
    for e in reports.environments:
        mark, style = marks(reports)[e.env]
        problems = e.report.problems if e.report else ()
        yield view_screen.closing(f"{mark} {e.env}: {e.verdict}{e.incomplete}", style, problems)
