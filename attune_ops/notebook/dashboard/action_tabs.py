"""The tabs that can change something: each shows its plan first and acts in the background."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import ipywidgets as w

from attune_ops.inventory.orphans import orphans
from attune_ops.model.errors import AttuneOpsError, ConfigError, SourceError
from attune_ops.model.startup_progress import Step
from attune_ops.notebook.dashboard import fragments as html
from attune_ops.notebook.dashboard.collector import BackgroundTask, State
from attune_ops.notebook.dashboard.tabs import Tab, bar, chosen, draw
from attune_ops.notebook.dashboard.widgets import Grid
from attune_ops.render import form

if TYPE_CHECKING:
    from attune_ops.drills.journal import Timeline
    from attune_ops.ops import Ops

SHOWN = ("kind", "queue", "worker", "messages", "consumers", "why")  # columns of an orphan
FIRST = "worker-crash"  # the preselected drill: it needs no broker of its own


class _ActionTab(Tab):
    """A tab with a background task and its outcome."""

    def __init__(self, ops: Ops, refresh: Callable[[], None]) -> None:
        self.ops = ops
        self.outcome = w.HTML()
        self.confirm = w.Text(placeholder="the environment's name", description="Confirm")
        self.confirm.layout.display = None if ops.settings.protected else "none"
        self._refresh = refresh
        self._task = BackgroundTask()

    def close(self) -> None:
        self._task.stop()

    def show_outcome(self, outcome: object) -> None:
        """Shows a value or an error."""
        self.outcome.value = (
            html.message(str(outcome)) if isinstance(outcome, AttuneOpsError) else form(outcome, "html")
        )

    def act(self, what: Callable[[], object], done: Callable[[object], None]) -> None:
        """Runs something in the background, one task at a time."""
        if not self._task.busy:
            self.outcome.value = html.message("running …")  # set first: the task may end at once
            self._task.run(what, done)


class OrphansTab(_ActionTab):
    """The orphans, and their deletion in two steps: the dry run for the selected queue, then the deletion."""

    title = "Orphans"

    def __init__(self, ops: Ops, refresh: Callable[[], None]) -> None:
        super().__init__(ops, refresh)
        self.grid = Grid("orphans", "queue")
        self.queue = w.Dropdown(options=(), description="Queue")
        self.grace = w.BoundedFloatText(10, min=0, max=1440, step=1, description="grace (min)")
        self.plan = w.Button(description="Dry run", disabled=True)
        self.delete = w.Button(description="Delete queue", button_style="danger", disabled=True)
        self._planned: tuple[str, timedelta] | None = None
        self.plan.on_click(lambda button: self._make_plan())
        self.delete.on_click(lambda button: self._do_delete())
        for control in (self.queue, self.grace):
            control.observe(lambda change: self._unplan(), "value")
        controls = bar(self.queue, self.grace, self.confirm, self.plan, self.delete)
        self.grid.observe(self._again, ["filter", "order", "descending"])
        self.widget = w.VBox([self.grid, controls, self.outcome])

    def show(self, state: State) -> None:
        """Draws what was read."""
        assert state.facts is not None
        self._state = state
        try:
            table = orphans(state.facts)
            seen = chosen(self.grid, table.select(SHOWN))
        except (SourceError, ConfigError) as e:
            self.grid.say(str(e))
            return
        draw(self.grid, seen, state.stale)
        names = tuple(str(r["queue"]) for r in table.records() if r["kind"] == "queue")
        if names != self.queue.options:
            before = self.queue.value
            self.queue.options = names
            if before in names:
                self.queue.value = before

    def _reap(self, planned: tuple[str, timedelta], apply: bool) -> object:
        queue, grace = planned
        exactly = f"/^{re.escape(queue)}$/"
        return self.ops.reap(exactly, grace=grace, apply=apply, confirm=self.confirm.value or None)

    def _make_plan(self) -> None:
        if self.queue.value is None:
            return
        self._planned = planned = self.queue.value, timedelta(minutes=self.grace.value)
        self.delete.disabled = True
        self.act(lambda: self._reap(planned, False), lambda outcome: self._plan_made(planned, outcome))

    def _plan_made(self, planned: tuple[str, timedelta], outcome: object) -> None:
        from attune_ops.cleanup.candidates import ReapResult

        self.show_outcome(outcome)
        ripe = isinstance(outcome, ReapResult) and outcome.count("deletes") > 0
        self.delete.disabled = not ripe or planned != self._planned

    def _do_delete(self) -> None:
        planned, self._planned = self._planned, None
        self.delete.disabled = True
        if planned is not None:  # the queue of the dry run, whatever is selected by now
            self.act(lambda: self._reap(planned, True), self._deleted)

    def _deleted(self, outcome: object) -> None:
        self.show_outcome(outcome)
        self._refresh()

    def _unplan(self) -> None:
        """Another queue or grace period needs its own dry run."""
        self._planned = None
        self.plan.disabled = self.queue.value is None
        self.delete.disabled = True


class StartupTab(_ActionTab):
    """A start-up on this installation, with steps skipped to see the error that follows."""

    title = "Start-up"

    def __init__(self, ops: Ops, refresh: Callable[[], None]) -> None:
        super().__init__(ops, refresh)
        self.worker = w.Text("dashboard-worker", description="Worker")
        self.skip = w.SelectMultiple(options=[str(s) for s in Step][1:-1], description="Skip", rows=5)
        self.run = w.Button(description="Start", tooltip="Registers and declares, then stops cleanly")
        self.run.on_click(lambda button: self.act(self._start, self._started))
        note = w.HTML(html.message("Runs the start-up sequence on this installation, then stops cleanly."))
        self.widget = w.VBox([note, bar(self.worker, self.skip, self.confirm, self.run), self.outcome])

    def _start(self) -> object:
        return self.ops.startup(
            worker=self.worker.value, skip=tuple(self.skip.value), confirm=self.confirm.value or None
        )

    def _started(self, outcome: object) -> None:
        self.show_outcome(outcome)
        self._refresh()


class DrillsTab(_ActionTab):
    """A drill in the background, with its log lines and its growing timeline."""

    title = "Drills"

    def __init__(self, ops: Ops, refresh: Callable[[], None]) -> None:
        from attune_ops.drills.catalog import all_drills

        super().__init__(ops, refresh)
        self._drills = all_drills()
        self.drill = w.Dropdown(options=sorted(self._drills), value=FIRST, description="Drill")
        self.seconds = w.BoundedFloatText(5, min=1, max=600, description="messages (s)")
        self.rate = w.BoundedFloatText(20, min=1, max=5000, description="per second")
        self.workers = w.BoundedIntText(2, min=1, max=20, description="workers")
        self.run = w.Button(description="Run")
        self.stop = w.Button(description="Stop", disabled=True, tooltip="Stops the drill and undoes its changes")
        self.about, self.picture, self.timeline = w.HTML(), w.HTML(), w.HTML()
        self._lines: list[str] = []
        self.drill.observe(lambda change: self._tell(), "value")
        self.run.on_click(lambda button: self._begin())
        self.stop.on_click(lambda button: self._task.cancel())
        controls = bar(self.drill, self.seconds, self.rate, self.workers, self.confirm, self.run, self.stop)
        # A drill needs the environment's name on any environment but the lab, protected or not.
        self.confirm.layout.display = "none" if ops.settings.on_lab else None
        self._tell()
        self.widget = w.VBox([self.about, controls, self.outcome, self.picture, self.timeline])

    def _tell(self) -> None:
        where = "It runs in a scratch virtual host, only on an environment that allows drills."
        self.about.value = html.message(f"{self._drills[self.drill.value].hypothesis} {where}")

    def _begin(self) -> None:
        if self._task.busy:
            return
        self._lines.clear()
        self.picture.value = self.timeline.value = ""
        self.run.disabled, self.stop.disabled = True, False
        options = {"duration": self.seconds.value, "rate": self.rate.value, "workers": self.workers.value}
        self.act(lambda: self._play(self.drill.value, self.confirm.value or None, options), self._ended)

    def _play(self, drill: str, confirm: str | None, options: dict[str, Any]) -> object:
        from attune_ops.drills.runner import run

        return run(drill, self.ops.settings, confirm=confirm, on_progress=self._note, on_timeline=self._draw, **options)

    def _note(self, line: str) -> None:
        self._task.check_interrupt()
        self._lines.append(line)
        self.timeline.value = html.lines(self._lines)

    def _draw(self, timeline: Timeline) -> None:
        self._task.check_interrupt()
        self.picture.value = html.picture(timeline)

    def _ended(self, outcome: object) -> None:
        self.picture.value = ""  # the journal has the whole timeline
        self.show_outcome(outcome)
        self.run.disabled, self.stop.disabled = False, True
        self._refresh()
