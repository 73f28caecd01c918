"""The widgets of the dashboard: a bar, and a tab for each view."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import ipywidgets as w

from attune_ops.notebook.dashboard import fragments as html
from attune_ops.notebook.dashboard.changing import Drills, Orphans, Startup
from attune_ops.notebook.dashboard.collecting import Collector, Seen
from attune_ops.notebook.dashboard.views import Doctor, Overviewed, View, bar, binding_list, queue_list

if TYPE_CHECKING:
    from attune_ops.doctor.findings import Report
    from attune_ops.model.facts import Facts
    from attune_ops.ops import Ops

SHORTEST_S = 1.0


class Dashboard(w.VBox):  # type: ignore[misc]
    """A live view; `close` (or its button) stops everything. `collector.seen` is what it knows."""

    children: tuple[w.Widget, ...]

    def __init__(self, ops: Ops, every: float) -> None:
        self._ops = ops
        self.collector = Collector(self._read, self._show, every)
        self.views: tuple[View, ...] = (
            Overviewed(), queue_list(), binding_list(), Orphans(ops, self._refresh), Doctor(),
            Startup(ops, self._refresh), Drills(ops, self._refresh),
        )  # fmt: skip
        self.status = w.HTML("reading …")
        self.pause = w.ToggleButton(description="Pause", tooltip="Stop reading")
        self.every = w.BoundedFloatText(every, min=SHORTEST_S, max=3600, step=1, description="every (s)")
        self.now = w.Button(description="Refresh")
        self.stop = w.Button(description="Close", tooltip="Stop everything")
        self.tabs = w.Tab([v.widget for v in self.views], titles=[v.title for v in self.views])
        self.pause.observe(self._on_pause, "value")
        self.every.observe(self._on_every, "value")
        self.tabs.observe(lambda change: self._draw(), "selected_index")
        self.now.on_click(lambda button: self._refresh())
        self.stop.on_click(lambda button: self.close())
        super().__init__([bar(self.pause, self.now, self.every, self.stop), self.status, self.tabs])
        self.collector.start()

    def close(self) -> None:
        """Stops the reading and whatever is under way; only a sentence stays. A second call does nothing."""
        self.collector.stop()
        for view in self.views:
            view.close()
        self.status.value = html.message("This dashboard is closed: run the cell again to open it.")
        gone = [widget for child in self.children if child is not self.status for widget in _with_parts(child)]
        self.children = (self.status,)
        for widget in gone:
            widget.close()

    def _read(self) -> tuple[Facts, Report]:
        facts = self._ops.facts()
        return facts, self._ops.doctor(facts=facts)

    def _show(self, seen: Seen) -> None:
        self.status.value = html.status(seen.facts, seen.report, seen.stale, seen.looks)
        self._draw()

    def _draw(self) -> None:
        """Draws the tab that is seen; the others are drawn when they are chosen."""
        seen, chosen = self.collector.seen, self.tabs.selected_index
        if chosen is not None and seen.facts is not None:
            with seen.lock:
                self.views[chosen].show(seen)

    def _refresh(self) -> None:
        self.collector.look_now()

    def _on_pause(self, change: Any) -> None:
        self.collector.paused = bool(change["new"])
        self.pause.description = "Paused" if change["new"] else "Pause"

    def _on_every(self, change: Any) -> None:
        self.collector.every = float(change["new"])


def _with_parts(widget: w.Widget) -> Iterator[w.Widget]:
    """A widget and all that it is made of: closing one leaves these open, and the kernel keeps what is open."""
    for part in (*getattr(widget, "children", ()), getattr(widget, "layout", None), getattr(widget, "style", None)):
        if part is not None:
            yield from _with_parts(part)
    yield widget
