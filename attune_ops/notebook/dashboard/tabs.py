"""The tabs that only show what was read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC
from typing import Any

import ipywidgets as w

from attune_ops.inventory.bindings import bindings
from attune_ops.inventory.queues import queues
from attune_ops.model.errors import ConfigError, SourceError
from attune_ops.model.facts import Facts
from attune_ops.model.table import Table
from attune_ops.monitoring.history import History, Sample
from attune_ops.notebook.dashboard import fragments as html
from attune_ops.notebook.dashboard.collector import State
from attune_ops.render import form

ROWS = 200  # drawn at most: a browser has to stay usable
SHOWN = ("name", "messages", "ready", "unacked", "consumers", "publish_rate", "deliver_rate")
CHARTED = 5  # queues in the chart: the deepest
ANY = "any"


class Tab:
    """A tab with its title and its widget."""

    title = ""
    widget: w.Widget
    _state: State | None = None  # of the last `show`, in a tab that redraws itself

    def show(self, state: State) -> None:
        """Draws what was read."""

    def close(self) -> None:
        """Stops the tab's running task."""

    def _again(self, change: Any) -> None:
        if self._state is not None:
            with self._state.lock:
                self.show(self._state)


def bar(*controls: w.Widget) -> w.HBox:
    """Controls in a row that wraps, each wide enough for its label."""
    for control in controls:
        if hasattr(control.style, "description_width"):
            control.style.description_width = "initial"
        if isinstance(control, (w.BoundedFloatText, w.BoundedIntText)):
            control.layout.width = "12em"
        elif isinstance(control, (w.Button, w.ToggleButton)):
            control.layout.width = "auto"
    return w.HBox(controls, layout=w.Layout(flex_flow="row wrap", grid_gap="4px 12px"))


def pane() -> w.HTML:
    """A container for a long list. It scrolls itself, so that it keeps its scroll position when it is redrawn."""
    return w.HTML(layout=w.Layout(max_height="40em", overflow="auto"))


class OverviewTab(Tab):
    """The verdict, alarms and rates, and the queue depths since the dashboard was opened."""

    title = "Overview"

    def __init__(self) -> None:
        self.body, self.chart = w.HTML(), w.Output()
        self.widget = w.VBox([self.body, self.chart])

    def show(self, state: State) -> None:
        """Draws what was read."""
        assert state.facts is not None
        self.body.value = html.overview(state.facts, state.stale)
        data = form(self._history(state), "chart")._repr_mimebundle_()
        self.chart.outputs = ({"output_type": "display_data", "data": data, "metadata": {}},)

    def _history(self, state: State) -> History:
        assert state.facts is not None
        deepest = sorted(state.depths, key=lambda name: -state.depths[name][-1])[:CHARTED]
        times = list(state.times)
        samples = [
            Sample(time.astimezone(UTC), name, depth)
            for name in deepest
            for time, depth in zip(times[::-1], list(state.depths[name])[::-1], strict=False)
        ]
        return History(state.facts.vhost, tuple(sorted(samples, key=lambda s: s.time)))


class TableTab(Tab):
    """A table with a filter and a sort order; with `lines` each row has a chart line of its queue's depths."""

    def __init__(self, title: str, read: Callable[[Facts], Table], orders: Sequence[str], *, lines: bool = False):
        self.title, self._read, self._lines = title, read, lines
        self.filter = w.Text(placeholder="part of a name, or /regular expression/", description="Filter")
        self.order = w.Dropdown(options=orders, value=orders[0], description="Sort by")
        self.descending = w.ToggleButton(description="largest first", value=False)
        self.body = pane()
        for control in (self.filter, self.order, self.descending):
            control.observe(self._again, "value")
        self.widget = w.VBox([bar(self.filter, self.order, self.descending), self.body])

    def show(self, state: State) -> None:
        """Draws what was read."""
        assert state.facts is not None
        self._state = state
        try:
            table = self._filtered(self._read(state.facts))
        except (SourceError, ConfigError) as e:  # not read, or an incomplete regular expression
            self.body.value = html.message(str(e))
            return
        self.body.value = html.listing(table, state.depths if self._lines else {}, state.stale)

    def _filtered(self, table: Table) -> Table:
        """The rows that match the filter, sorted, at most `ROWS`."""
        words = self.filter.value.strip()
        if words:
            table = table.matching(words if words.startswith("/") and words.endswith("/") else f"*{words}*")
        return table.sorted(("-" if self.descending.value else "") + self.order.value).limit(ROWS)


def queue_list() -> TableTab:
    """The queues, each with a chart line of its depths."""
    return TableTab("Queues", lambda facts: queues(facts).select(SHOWN), SHOWN, lines=True)


def binding_list() -> TableTab:
    """The bindings."""
    return TableTab("Bindings", bindings, ("source", "destination", "routing_key"))


class DoctorTab(Tab):
    """The findings, by severity and group."""

    title = "Doctor"

    def __init__(self) -> None:
        self.severity = w.Dropdown(options=(ANY, "error", "warning", "info"), description="Severity")
        self.group = w.Dropdown(options=(ANY,), description="Group")
        self.body = w.HTML()
        self.severity.observe(self._again, "value")
        self.group.observe(self._again, "value")
        self.widget = w.VBox([bar(self.severity, self.group), self.body])

    def show(self, state: State) -> None:
        """Draws what was read."""
        self._state = state
        if state.report is None:
            return
        groups = (ANY, *dict.fromkeys(r.group for r in state.report.results))
        if groups != self.group.options:
            chosen = self.group.value
            self.group.options = groups
            self.group.value = chosen if chosen in groups else ANY
        self.body.value = html.findings(state.report, self.severity.value, self.group.value, state.stale)
