"""The other pages of the live view: the detail of a row, and the help."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.events import Resize
from textual.screen import Screen
from textual.widgets import Footer, Static

from attune_ops.installation.config import Settings
from attune_ops.monitoring.live_detail import commands, detail
from attune_ops.monitoring.live_reading import Depths, Reading
from attune_ops.render.terminal import Visible
from attune_ops.render.text import visible

HELP = """\
Shows the installation as each reading finds it. Changes nothing without
a plan and a confirmation.

1 2 3 4, Tab   workers, queues, orphans, findings
↑ ↓ PgUp PgDn  move; Home, End: first and last row
Enter          detail: bindings, consumers, depth, findings, commands
/              filter as you type, by name, state or code;
               Enter keeps it, Esc clears it
s  S           sort by the next column, then worst first; reverse
x              change: reap an orphaned queue, or close the connection
               of an unknown consumer; shows the plan first
y              in a detail: copy the first command
p  r  d        pause; read now; dark or light
?  q           this help; quit (Ctrl-C: quit with status 130)

× error   ! warning   i info   √ fine   – at rest   — unknown
Depth: the last readings, the newest at the right; the top is the
largest one shown, a gap is a reading that failed.
Broker away: the last values stay, dimmed, with their age.
"""


class _Page(Screen[None]):
    """A page that Escape closes."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,backspace", "app.pop_screen", "Back")]


class HelpScreen(_Page):
    """The keys and the marks."""

    def compose(self) -> ComposeResult:
        """A text and the keys."""
        yield Static(Text("attune-ops watch: help", "bold"), classes="page-title")
        with VerticalScroll():
            yield Static(Text(HELP, overflow="fold"), classes="page")
        yield Footer(show_command_palette=False)


class DetailScreen(_Page):
    """What is known about one row; follows the readings."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("y", "copy", "Copy command")]

    def __init__(self, key: str, settings: Settings, depths: Depths, reading: Callable[[], Reading | None]) -> None:
        """`reading` gives the last reading."""
        super().__init__()
        self.key, self._secrets, self._depths, self._reading = key, settings.secrets, depths, reading

    def compose(self) -> ComposeResult:
        """A heading, the text, the keys."""
        yield Static(classes="page-title")
        with VerticalScroll():
            yield Static(classes="page")
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        """Draws it."""
        self.draw()

    def on_resize(self, event: Resize) -> None:
        """Draws it for the new size."""
        self.draw()

    def draw(self) -> None:
        """Draws it from the last reading."""
        reading = self._reading()
        if reading is None or reading.report is None or not self.query(".page"):
            return
        kind, _, name = self.key.partition(" ")
        at = f"{reading.report.facts.taken_at:%H:%M:%S}Z" + (", broker away" if reading.away else "")
        self.set_class(reading.away is not None, "stale")
        self.query_one(".page-title", Static).update(
            Text(f"{kind} {visible(name)}", "bold", overflow="ellipsis", no_wrap=True).append(f" · {at}", "dim")
        )
        shown = detail(self.key, reading.report, self._depths, self.size.width)
        self.query_one(".page", Static).update(Visible(shown, self._secrets))

    def action_copy(self) -> None:
        """Copies the first command, by the terminal (OSC 52)."""
        reading = self._reading()
        report = reading.report if reading is not None else None
        found = commands(self.key, report) if report is not None else []
        if found:
            self.app.copy_to_clipboard(found[0])
        self.notify(f"copied: {found[0]}" if found else "no command here", markup=False)
