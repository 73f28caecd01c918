"""The full-screen live view of `attune-ops watch`; needs Textual, the extra `monitoring`."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable
from typing import Any, ClassVar

import msgspec
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.events import Resize
from textual.message import Message
from textual.widgets import DataTable, Footer, Input, Static

from attune_ops.installation.config import Settings
from attune_ops.monitoring import live_head
from attune_ops.monitoring.live_change import offer
from attune_ops.monitoring.live_detail import actions
from attune_ops.monitoring.live_pages import DetailScreen, HelpScreen
from attune_ops.monitoring.live_reading import Reader, Reading
from attune_ops.monitoring.live_rows import TABS, Listing, chosen, listing, widths
from attune_ops.monitoring.live_style import STYLE
from attune_ops.monitoring.live_table import MOST_ROWS, Filter, Rows

UNREACHABLE = 3  # the exit status where the last reading was incomplete


class NewReading(Message):
    """A reading has ended; `listings` are its rows, an error is a bug."""

    def __init__(self, reading: Reading, listings: dict[str, Listing], error: Exception | None = None) -> None:
        super().__init__()
        self.reading, self.listings, self.error = reading, listings, error


class LiveView(App[int]):
    """The installation now: verdict, four numbers, and the workers, queues, orphans or findings."""

    CSS = STYLE
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "next_tab", "Next tab", priority=True, key_display="Tab"),
        # Before the table gets it, so that what is typed next goes to the filter.
        Binding("slash", "filter", "Filter", key_display="/", priority=True),
        Binding("s", "sort", "Sort"),
        Binding("S,shift+s", "reverse", "Reverse", show=False),
        Binding("p", "pause", "Pause"),
        Binding("x", "change", "Change"),
        Binding("r", "read", "Read now", show=False),
        Binding("d", "theme", "Dark or light", show=False),
        Binding("question_mark,f1", "help", "Help", key_display="?"),
        Binding("escape", "clear", "Clear", show=False),
        Binding("q", "quit_view", "Quit"),
        Binding("ctrl+c,ctrl+q", "interrupt", "Quit", show=False, priority=True),
    ]

    def __init__(
        self,
        settings: Settings,
        interval: float,
        seconds: float | None = None,
        with_target: Callable[[Any], Any] = lambda value: value,
    ) -> None:
        """`with_target` puts the options that chose this installation into the commands of a report or text."""
        super().__init__()
        self._with_target = with_target
        self.settings, self._seconds = settings, seconds
        self.reader = Reader(settings, interval, self._read)
        self.reading: Reading | None = None
        self.listings: dict[str, Listing] = {}
        self.view = TABS[0]
        self.sorts: dict[str, tuple[int | None, bool]] = dict.fromkeys(TABS, (None, False))
        self.words = ""
        self._began = time.monotonic()

    def compose(self) -> ComposeResult:
        """Title, verdict, numbers, tabs, the table, the filter, the keys."""
        yield Static(id="title")
        yield Static(id="verdict")
        with Horizontal(id="tiles"):
            for name in live_head.TILES:
                yield Static(id=f"tile-{name}", classes="tile")
        yield Static(id="tabs")
        yield Static(id="note")
        yield Rows(id="rows", cursor_type="row")
        yield Filter(placeholder="words of a name, a state or a code", id="filter")
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        """Starts to read, and to end at SIGTERM like at Ctrl-C."""
        self.theme = "textual-light" if os.environ.get("COLORFGBG", "").endswith(";15") else "textual-dark"
        self.query_one("#filter").display = False
        self.screen.set_focus(self.query_one(Rows))
        for number in (signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, self.action_interrupt)
        self.reader.start()
        self.set_interval(0.5, self._head)  # ages, and how long a reading takes
        if self._seconds is not None:
            self.set_timer(self._seconds, self.action_quit_view)
        self.draw()

    def on_unmount(self) -> None:
        """Starts no further reading."""
        self.reader.stop()

    def on_resize(self, event: Resize) -> None:
        """Draws for the new size."""
        self.call_after_refresh(self.draw)

    def _read(self, reading: Reading) -> None:
        """Makes the rows, once and in the reader's thread: those of 10,000 workers would hold the keys."""
        try:
            report = self._with_target(reading.report)
            rows = {} if report is None else {tab: listing(tab, report, self.reader.depths) for tab in TABS}
            self.post_message(NewReading(msgspec.structs.replace(reading, report=report), rows))
        except Exception as e:  # noqa: BLE001 - the view ends with it
            self.post_message(NewReading(reading, {}, e))

    def on_new_reading(self, event: NewReading) -> None:
        """Shows a reading."""
        if event.error is not None:
            raise event.error
        self.reading = event.reading
        self.listings = event.listings or self.listings
        self.draw()
        if isinstance(self.screen, DetailScreen):
            self.screen.draw()

    def draw(self) -> None:
        """Draws everything but the keys."""
        self._head()
        self._numbers()
        self._table()

    @property
    def stale(self) -> bool:
        """Whether the values are those of an earlier reading."""
        return self.reading is not None and self.reading.away is not None

    def _head(self) -> None:
        if not self.query("#tabs"):
            return
        base, width = self.screen_stack[0], self.size.width
        base.set_class(self.stale, "stale")
        base.query_one("#title", Static).update(live_head.title(self.settings, self.reader, self.reading, width))
        waited = time.monotonic() - self._began
        base.query_one("#verdict", Static).update(live_head.verdict(self.reading, waited, width))

    def _numbers(self) -> None:
        """The tiles and the tabs: they change with a reading, not with the time."""
        if not self.query("#tabs"):
            return
        base, width = self.screen_stack[0], self.size.width
        for name, tile in live_head.tiles(self.reading, self.reader.depths, width - 2).items():
            base.query_one(f"#tile-{name}", Static).update(tile)
        base.query_one("#tabs", Static).update(live_head.tabs(self.view, self.listings, width >= 70))

    def _table(self) -> None:
        base, found = self.screen_stack[0], self.listings.get(self.view)
        note = base.query_one("#note", Static)
        by, descending = self.sorts[self.view]
        rows = chosen(found.rows, self.words, by, descending) if found is not None else []
        base.query_one(Rows).fill(found, rows, by, descending, self.size.width - 2)
        if found is None or found.reason is not None:
            note.update(live_head.unread(found, self.reading))
        elif not rows:
            note.update(live_head.empty(self.view, self.words, len(found.rows)))
        else:
            order = live_head.note(self.view, found, self.words, by, descending)
            note.update(live_head.more(MOST_ROWS, len(rows), order) if len(rows) > MOST_ROWS else order)

    def on_key(self, event: Any) -> None:
        """The keys 1 to 4 choose the tab."""
        if event.key in "1234" and len(event.key) == 1 and not isinstance(self.focused, Input) and self._at_table:
            self._show(TABS[int(event.key) - 1])
            event.stop()

    @property
    def _at_table(self) -> bool:
        return len(self.screen_stack) == 1

    def _show(self, tab: str) -> None:
        if tab != self.view:
            self.view = tab
            self.query_one(Rows).forget()
        self.draw()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """The keys of the table work there only; all but a few do nothing on another page."""
        ours = ("next_tab", "filter", "sort", "reverse", "detail", "clear")
        typing = isinstance(self.focused, Input) and action in ("filter", "help")  # a letter like others
        if typing or (action in ours and not self._at_table):
            return False
        return action != "change" or self._at_table or isinstance(self.screen, DetailScreen)

    def action_next_tab(self) -> None:
        """Shows the next tab."""
        self._show(TABS[(TABS.index(self.view) + 1) % len(TABS)])

    def action_sort(self) -> None:
        """Sorts by the next column, numbers from large to small; after the last one worst first again."""
        found = self.listings.get(self.view)
        if found is None:
            return
        shown = list(widths(found.columns, self.size.width - 2))
        by, _ = self.sorts[self.view]
        at = 0 if by is None or by not in shown else shown.index(by) + 1
        after = shown[at] if at < len(shown) else None
        self.sorts[self.view] = (after, after is not None and found.columns[after].measured)
        self.draw()

    def action_reverse(self) -> None:
        """Sorts in the other order."""
        by, descending = self.sorts[self.view]
        self.sorts[self.view] = (by, not descending)
        self.draw()

    def action_filter(self) -> None:
        """Opens the filter."""
        field = self.query_one("#filter", Input)
        field.display = True
        self.screen.set_focus(field)

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filters as one types."""
        if event.input.id == "filter":
            self.words = event.value
            self._table()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Keeps the filter."""
        if event.input.id == "filter":
            event.input.display = bool(self.words)
            self.screen.set_focus(self.query_one(Rows))

    def action_clear(self) -> None:
        """Clears the filter."""
        field = self.query_one("#filter", Input)
        field.value, field.display = "", False
        self.screen.set_focus(self.query_one(Rows))

    def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        """Enter on a row."""
        self.action_detail()

    @property
    def selected(self) -> str | None:
        """The key of the row under the cursor."""
        return self.screen_stack[0].query_one(Rows).selected

    def action_detail(self) -> None:
        """Opens what is known about the row."""
        key = self.selected
        if key is not None and self._at_table:
            self.push_screen(DetailScreen(key, self.settings, self.reader.depths, lambda: self.reading))

    def action_pause(self) -> None:
        """Takes no further reading until the key is pressed again."""
        self.reader.paused = not self.reader.paused
        if not self.reader.paused:
            self.reader.now()
        self.draw()

    def action_read(self) -> None:
        """Reads now."""
        self.reader.now()

    def action_theme(self) -> None:
        """Dark or light."""
        self.theme = "textual-light" if self.theme == "textual-dark" else "textual-dark"

    def action_help(self) -> None:
        """The keys and what the marks mean."""
        if not isinstance(self.screen, HelpScreen):
            self.push_screen(HelpScreen())

    def action_change(self) -> None:
        """Plans a change of what the row is about."""
        key = self.screen.key if isinstance(self.screen, DetailScreen) else self.selected
        report = self.reading.report if self.reading else None
        if key is None or report is None:
            return
        if self.stale:
            self.notify("the broker is away: no change now", severity="warning", markup=False)
            return
        offered = actions(key, report)
        if not offered:
            self.notify("no change here: only orphaned queues and unknown consumers have one", markup=False)
        else:
            offer(self, offered, self.settings, self._with_target, self._changed)

    def _changed(self, changed: bool | None) -> None:
        if changed:
            self.reader.now()

    @property
    def failure(self) -> Exception | None:
        """The exception that ended the view: a bug."""
        return self._exception

    def _print_error_renderables(self) -> None:
        """Nothing: Textual would print local variables, and the caller raises `failure`."""

    def action_quit_view(self) -> None:
        """Ends the view: exit status 0, or 3 where the last reading did not see everything."""
        self.exit(UNREACHABLE if self._unseen else 0)

    def action_interrupt(self) -> None:
        """Ends the view: exit status 130, or 3 where the last reading did not see everything."""
        self.exit(UNREACHABLE if self._unseen else 130)

    @property
    def _unseen(self) -> bool:
        return self.reading is not None and self.reading.unseen
