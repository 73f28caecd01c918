"""The widgets of the dashboard: a bar of controls, the status and the tabs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import ipywidgets as w

from attune_ops.doctor.diagnose import garbage_collection_paused
from attune_ops.notebook.dashboard import fragments as html
from attune_ops.notebook.dashboard.action_tabs import DrillsTab, OrphansTab, StartupTab
from attune_ops.notebook.dashboard.collector import Collector, State
from attune_ops.notebook.dashboard.tabs import DoctorTab, OverviewTab, QueuesTab, Tab, bar, binding_list

if TYPE_CHECKING:
    from attune_ops.doctor.findings import Report
    from attune_ops.model.facts import Facts
    from attune_ops.ops import Ops

SHORTEST_S = 1.0


class Dashboard(w.VBox):  # type: ignore[misc]
    """A live dashboard; `close` (or its button) stops everything. `collector.state` has what was read."""

    children: tuple[w.Widget, ...]

    def __init__(self, ops: Ops, interval: float) -> None:
        self._ops = ops
        self.collector = Collector(self._read, self._show, interval)
        self.views: tuple[Tab, ...] = (
            OverviewTab(ops), QueuesTab(), binding_list(), OrphansTab(ops, self._refresh), DoctorTab(),
            StartupTab(ops, self._refresh), DrillsTab(ops, self._refresh),
        )  # fmt: skip
        self._where = str(ops.settings.amqp)
        self.status = w.HTML(html.status(None, None, None, 0, self._where))
        self.pause = w.ToggleButton(description="Pause", tooltip="Stop reading")
        self.interval = w.BoundedFloatText(interval, min=SHORTEST_S, max=3600, step=1, description="interval (s)")
        self.now = w.Button(description="Refresh")
        self.stop = w.Button(description="Close", tooltip="Stop everything")
        self.tabs = w.Tab([v.widget for v in self.views], titles=[v.title for v in self.views])
        self.tabs.layout.display = "none"  # until something was read
        self.pause.observe(self._on_pause, "value")
        self.interval.observe(self._on_interval, "value")
        self.tabs.observe(lambda change: self._draw(), "selected_index")
        self.now.on_click(lambda button: self._refresh())
        self.stop.on_click(lambda button: self.close())
        super().__init__([bar(self.pause, self.now, self.interval, self.stop), self.status, self.tabs])
        self.collector.start()

    def close(self) -> None:
        """Stops reading and running tasks, and closes all widgets but the status. A second call does nothing."""
        self.collector.stop()
        for view in self.views:
            view.close()
        self.status.value = html.message("This dashboard is closed. Run the cell again to open it.")
        gone = [widget for child in self.children if child is not self.status for widget in _with_parts(child)]
        self.children = (self.status,)
        for widget in gone:
            widget.close()

    def _read(self) -> tuple[Facts, Report]:
        with garbage_collection_paused():
            facts = self._ops.facts()
            return facts, self._ops.doctor(facts=facts)

    def _show(self, state: State) -> None:
        self.status.value = html.status(state.facts, state.report, state.stale, state.reads, self._where)
        self.tabs.layout.display = None if state.facts is not None else "none"
        self._draw()

    def _draw(self) -> None:
        """Draws the selected tab; the others are drawn when they are selected."""
        state, chosen = self.collector.state, self.tabs.selected_index
        if chosen is not None and state.facts is not None:
            with state.lock:
                self.views[chosen].show(state)

    def _refresh(self) -> None:
        self.collector.read_now()

    def _on_pause(self, change: Any) -> None:
        self.collector.paused = bool(change["new"])
        self.pause.description = "Paused" if change["new"] else "Pause"

    def _on_interval(self, change: Any) -> None:
        self.collector.interval = float(change["new"])


def _with_parts(widget: w.Widget) -> Iterator[w.Widget]:
    """A widget and its parts: closing a widget leaves its parts open, and the kernel keeps open widgets."""
    for part in (*getattr(widget, "children", ()), getattr(widget, "layout", None), getattr(widget, "style", None)):
        if part is not None:
            yield from _with_parts(part)
    yield widget
