"""The views that only show: each draws what was read into its own widgets."""

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
from attune_ops.notebook.dashboard.collecting import Seen
from attune_ops.render import form

ROWS = 200  # drawn at most: a browser has to stay usable
SHOWN = ("name", "messages", "ready", "unacked", "consumers", "publish_rate", "deliver_rate")
CHARTED = 5  # queues in the chart: the deepest
ANY = "any"


class View:
    """A tab: its title, its widget, and how it shows what was read."""

    title = ""
    widget: w.Widget

    def show(self, seen: Seen) -> None:
        """Draws."""

    def close(self) -> None:
        """Stops what the view has under way."""


def bar(*controls: w.Widget) -> w.HBox:
    """Controls in a row that wraps, each with room for its whole label."""
    for control in controls:
        if hasattr(control.style, "description_width"):
            control.style.description_width = "initial"
        if isinstance(control, (w.BoundedFloatText, w.BoundedIntText)):
            control.layout.width = "12em"
        elif isinstance(control, (w.Button, w.ToggleButton)):
            control.layout.width = "auto"
    return w.HBox(controls, layout=w.Layout(flex_flow="row wrap", grid_gap="4px 12px"))


def pane() -> w.HTML:
    """A place for a long list. It scrolls itself, so that it stays where it was scrolled to when it is drawn anew."""
    return w.HTML(layout=w.Layout(max_height="40em", overflow="auto"))


class Overviewed(View):
    """The verdict, alarms and rates, and the depths over the time that the dashboard is open."""

    title = "Overview"

    def __init__(self) -> None:
        self.body, self.chart = w.HTML(), w.Output()
        self.widget = w.VBox([self.body, self.chart])

    def show(self, seen: Seen) -> None:
        """Shows what was read last."""
        assert seen.facts is not None
        self.body.value = html.overview(seen.facts, seen.stale)
        data = form(self._history(seen), "chart")._repr_mimebundle_()
        self.chart.outputs = ({"output_type": "display_data", "data": data, "metadata": {}},)

    def _history(self, seen: Seen) -> History:
        assert seen.facts is not None
        deepest = sorted(seen.depths, key=lambda name: -seen.depths[name][-1])[:CHARTED]
        times = list(seen.times)
        samples = [
            Sample(time.astimezone(UTC), name, depth)
            for name in deepest
            for time, depth in zip(times[::-1], list(seen.depths[name])[::-1], strict=False)
        ]
        return History(seen.facts.vhost, tuple(sorted(samples, key=lambda s: s.time)))


class Listing(View):
    """A table with a filter and an order; with `lines` each row has a line of its queue's depths."""

    def __init__(self, title: str, read: Callable[[Facts], Table], orders: Sequence[str], *, lines: bool = False):
        self.title, self._read, self._lines = title, read, lines
        self.filter = w.Text(placeholder="part of a name, or /regular expression/", description="Filter")
        self.order = w.Dropdown(options=orders, value=orders[0], description="Sort by")
        self.descending = w.ToggleButton(description="largest first", value=False)
        self.body = pane()
        self._seen: Seen | None = None
        for control in (self.filter, self.order, self.descending):
            control.observe(self._again, "value")
        self.widget = w.VBox([bar(self.filter, self.order, self.descending), self.body])

    def show(self, seen: Seen) -> None:
        """Shows what was read last."""
        assert seen.facts is not None
        self._seen = seen
        try:
            table = self._narrowed(self._read(seen.facts))
        except (SourceError, ConfigError) as e:  # not read; or a regular expression that is half typed
            self.body.value = html.message(str(e))
            return
        self.body.value = html.listing(table, seen.depths if self._lines else {}, seen.stale)

    def _narrowed(self, table: Table) -> Table:
        """What the filter leaves, in order, at most `ROWS`."""
        words = self.filter.value.strip()
        if words:
            table = table.matching(words if words.startswith("/") and words.endswith("/") else f"*{words}*")
        return table.sorted(("-" if self.descending.value else "") + self.order.value).limit(ROWS)

    def _again(self, change: Any) -> None:
        if self._seen is not None:
            with self._seen.lock:
                self.show(self._seen)


def queue_list() -> Listing:
    """The queues, each with a line of its depths."""
    return Listing("Queues", lambda facts: queues(facts).select(SHOWN), SHOWN, lines=True)


def binding_list() -> Listing:
    """The bindings."""
    return Listing("Bindings", bindings, ("source", "destination", "routing_key"))


class Doctor(View):
    """The findings, by severity and group."""

    title = "Doctor"

    def __init__(self) -> None:
        self.severity = w.Dropdown(options=(ANY, "error", "warning", "info"), description="Severity")
        self.group = w.Dropdown(options=(ANY,), description="Group")
        self.body = w.HTML()
        self._seen: Seen | None = None
        self.severity.observe(self._again, "value")
        self.group.observe(self._again, "value")
        self.widget = w.VBox([bar(self.severity, self.group), self.body])

    def show(self, seen: Seen) -> None:
        """Shows what was read last."""
        self._seen = seen
        if seen.report is None:
            return
        groups = (ANY, *dict.fromkeys(r.group for r in seen.report.results))
        if groups != self.group.options:
            chosen = self.group.value
            self.group.options = groups
            self.group.value = chosen if chosen in groups else ANY
        self.body.value = html.findings(seen.report, self.severity.value, self.group.value, seen.stale)

    def _again(self, change: Any) -> None:
        if self._seen is not None:
            with self._seen.lock:
                self.show(self._seen)
