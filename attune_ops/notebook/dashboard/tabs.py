"""The tabs that only show what was read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC
from typing import Any

import ipywidgets as w
import msgspec

from attune_ops.inventory.bindings import bindings
from attune_ops.inventory.queues import queues, sort_keys
from attune_ops.model.errors import ConfigError, SourceError
from attune_ops.model.facts import Facts
from attune_ops.model.table import Table
from attune_ops.monitoring.view_history import Depth, depth_chart
from attune_ops.notebook.dashboard import fragments as html
from attune_ops.notebook.dashboard.collector import State
from attune_ops.notebook.dashboard.recorded import RecordedPanel
from attune_ops.notebook.dashboard.widgets import Findings, Grid
from attune_ops.ops import Ops

ROWS = 200  # drawn at most: a browser has to stay usable
SHOWN = ("name", "messages", "ready", "unacked", "consumers", "publish_rate", "deliver_rate")
CHARTED = 5  # queues in the chart: the deepest
COLORS = ("#4c78a8", "#f58518", "#54a24b", "#b279a2", "#e45756")  # as many as queues in the chart
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


class OverviewTab(Tab):
    """The verdict, alarms and rates, the queue depths since the dashboard was opened, and the recorded history."""

    title = "Overview"

    def __init__(self, ops: Ops) -> None:
        self.body, self.chart, self.recorded = w.HTML(), w.Output(), RecordedPanel(ops)
        self._colors: dict[str, str] = {}
        self.widget = w.VBox([self.body, self.chart, self.recorded.widget])

    def close(self) -> None:
        """Waits for a read of the history."""
        self.recorded.close()

    def show(self, state: State) -> None:
        """Draws what was read."""
        assert state.facts is not None
        self.body.value = html.overview(state.facts, state.stale)
        depths = self._depths(state)
        colors = self._colored(dict.fromkeys(name for _, name, _ in depths))
        data = depth_chart(state.facts.vhost, depths, colors)._repr_mimebundle_()
        self.chart.outputs = ({"output_type": "display_data", "data": data, "metadata": {}},)
        self.recorded.show(state)

    def _colored(self, names: Mapping[str, None]) -> dict[str, str]:
        """A colour for each queue of the chart: the same as before, or the first one that is free."""
        self._colors = {n: c for n, c in self._colors.items() if n in names}
        free = (c for c in COLORS if c not in self._colors.values())
        self._colors |= {n: next(free) for n in names if n not in self._colors}
        return self._colors

    def _depths(self, state: State) -> list[Depth]:
        deepest = sorted(state.depths, key=lambda name: -state.depths[name][-1])[:CHARTED]
        times = list(state.times)
        depths: list[Depth] = [
            (time.astimezone(UTC), name, depth)
            for name in deepest
            for time, depth in zip(times[::-1], list(state.depths[name])[::-1], strict=False)
        ]
        return sorted(depths, key=lambda d: d[0])


class TableTab(Tab):
    """A table with a filter and headings that sort."""

    def __init__(self, title: str, read: Callable[[Facts], Table], order: str) -> None:
        self.title, self._read = title, read
        self.widget = self.grid = Grid(title.lower(), order)
        self.grid.observe(self._again, ["filter", "order", "descending"])

    def show(self, state: State) -> None:
        """Draws what was read."""
        assert state.facts is not None
        self._state = state
        try:
            self._draw(state, state.facts)
        except (SourceError, ConfigError) as e:  # an incomplete regular expression, too
            self.grid.say(str(e))

    def _draw(self, state: State, facts: Facts) -> None:
        draw(self.grid, chosen(self.grid, self._read(facts)), state.stale)


class QueuesTab(TableTab):
    """The queues, each with a chart line of its depths; only the rows that are drawn are built."""

    def __init__(self) -> None:
        super().__init__("Queues", queues, "name")

    def _draw(self, state: State, facts: Facts) -> None:
        names = chosen(self.grid, sort_keys(facts, self.grid.order))
        order = {name: place for place, name in enumerate(map(str, names["name"]))}
        table = queues(facts, order).select(SHOWN)
        rows = tuple(sorted(table.rows, key=lambda row: order[str(row[0])]))
        table = msgspec.structs.replace(table, rows=rows, notes=(*table.notes, *names.notes))
        draw(self.grid, table, state.stale, state.depths)


def chosen(grid: Grid, table: Table) -> Table:
    """The rows that match the grid's filter in its order, at most `ROWS`; raises `ConfigError`."""
    words = grid.filter.strip()
    if words:
        table = table.matching(words if words.startswith("/") and words.endswith("/") else f"*{words}*")
    return table.sorted(("-" if grid.descending else "") + grid.order).limit(ROWS)


def draw(grid: Grid, table: Table, stale: str | None, depths: Mapping[str, Sequence[int]] | None = None) -> None:
    """Draws a table."""
    grid.content = dict(html.content(table, depths or {}, stale))


def binding_list() -> TableTab:
    """The bindings."""
    return TableTab("Bindings", bindings, "source")


class DoctorTab(Tab):
    """The findings, by severity and group."""

    title = "Doctor"

    def __init__(self) -> None:
        self.severity = w.Dropdown(options=(ANY, "error", "warning", "info"), description="Severity")
        self.group = w.Dropdown(options=(ANY,), description="Group")
        self.body = Findings()
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
