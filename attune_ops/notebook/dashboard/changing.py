"""The views that can change something: each says first what it would do, and does it in the background."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import ipywidgets as w

from attune_ops.inventory.orphans import orphans
from attune_ops.model.errors import AttuneOpsError, SourceError
from attune_ops.model.startup_progress import Step
from attune_ops.notebook.dashboard import fragments as html
from attune_ops.notebook.dashboard.collecting import Errand, Seen
from attune_ops.notebook.dashboard.views import ROWS, View, bar, pane
from attune_ops.render import form

if TYPE_CHECKING:
    from attune_ops.drills.journal import Timeline
    from attune_ops.ops import Ops

SHOWN = ("kind", "queue", "worker", "messages", "consumers", "why")  # of an orphan
FIRST = "worker-crash"  # the drill that is offered: it needs no broker of its own


class _Acting(View):
    """A view with an errand and a place for its outcome."""

    def __init__(self, ops: Ops, refresh: Callable[[], None]) -> None:
        self.ops = ops
        self.outcome = w.HTML()
        self.confirm = w.Text(placeholder="the environment's name", description="Confirm")
        self.confirm.layout.display = None if ops.settings.protected else "none"
        self._refresh = refresh
        self._errand = Errand()

    def close(self) -> None:
        self._errand.stop()

    def told(self, outcome: object) -> None:
        """Shows a value or an error."""
        self.outcome.value = (
            html.message(str(outcome)) if isinstance(outcome, AttuneOpsError) else form(outcome, "html")
        )

    def act(self, what: Callable[[], object], done: Callable[[object], None]) -> None:
        """Does something in the background; one thing at a time."""
        if not self._errand.busy:
            self.outcome.value = html.message("working …")  # before it runs: it may be done at once
            self._errand.run(what, done)


class Orphans(_Acting):
    """The orphans, and their clean-up in two steps: the plan for the chosen queue, then its deletion."""

    title = "Orphans"

    def __init__(self, ops: Ops, refresh: Callable[[], None]) -> None:
        super().__init__(ops, refresh)
        self.body = pane()
        self.queue = w.Dropdown(options=(), description="Queue")
        self.grace = w.BoundedFloatText(10, min=0, max=1440, step=1, description="grace (min)")
        self.plan = w.Button(description="Show the plan", disabled=True)
        self.delete = w.Button(description="Delete it", button_style="danger", disabled=True)
        self._planned: tuple[str, timedelta] | None = None
        self.plan.on_click(lambda button: self._make_plan())
        self.delete.on_click(lambda button: self._do_delete())
        for control in (self.queue, self.grace):
            control.observe(lambda change: self._unplan(), "value")
        controls = bar(self.queue, self.grace, self.confirm, self.plan, self.delete)
        self.widget = w.VBox([self.body, controls, self.outcome])

    def show(self, seen: Seen) -> None:
        """Shows what was read last."""
        assert seen.facts is not None
        try:
            table = orphans(seen.facts)
        except SourceError as e:
            self.body.value = html.message(str(e))
            return
        self.body.value = html.listing(table.select(SHOWN).limit(ROWS), {}, seen.stale)
        names = tuple(str(r["queue"]) for r in table.records() if r["kind"] == "queue")
        if names != self.queue.options:
            chosen = self.queue.value
            self.queue.options = names
            if chosen in names:
                self.queue.value = chosen

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

        self.told(outcome)
        ripe = isinstance(outcome, ReapResult) and outcome.count("deletes") > 0
        self.delete.disabled = not ripe or planned != self._planned

    def _do_delete(self) -> None:
        planned, self._planned = self._planned, None
        self.delete.disabled = True
        if planned is not None:  # what the plan was shown for, whatever is chosen by now
            self.act(lambda: self._reap(planned, True), self._deleted)

    def _deleted(self, outcome: object) -> None:
        self.told(outcome)
        self._refresh()

    def _unplan(self) -> None:
        """Another queue or grace period wants a plan of its own."""
        self._planned = None
        self.plan.disabled = self.queue.value is None
        self.delete.disabled = True


class Startup(_Acting):
    """A start-up for real, with steps left out, to see the error that follows."""

    title = "Start-up"

    def __init__(self, ops: Ops, refresh: Callable[[], None]) -> None:
        super().__init__(ops, refresh)
        self.worker = w.Text("dashboard-worker", description="Worker")
        self.skip = w.SelectMultiple(options=[str(s) for s in Step][1:-1], description="Leave out", rows=5)
        self.run = w.Button(description="Start it", tooltip="Registers and declares, then stops it cleanly")
        self.run.on_click(lambda button: self.act(self._start, self._started))
        note = w.HTML(html.message("It is taken for real on this installation, then stopped cleanly."))
        self.widget = w.VBox([note, bar(self.worker, self.skip, self.confirm, self.run), self.outcome])

    def _start(self) -> object:
        return self.ops.startup(
            worker=self.worker.value, skip=tuple(self.skip.value), confirm=self.confirm.value or None
        )

    def _started(self, outcome: object) -> None:
        self.told(outcome)
        self._refresh()


class Drills(_Acting):
    """A drill in the background: its lines as they come, and its timeline as it grows."""

    title = "Drills"

    def __init__(self, ops: Ops, refresh: Callable[[], None]) -> None:
        from attune_ops.drills.catalog import all_drills

        super().__init__(ops, refresh)
        self._drills = all_drills()
        self.drill = w.Dropdown(options=sorted(self._drills), value=FIRST, description="Drill")
        self.seconds = w.BoundedFloatText(5, min=1, max=600, description="messages (s)")
        self.rate = w.BoundedFloatText(20, min=1, max=5000, description="per second")
        self.workers = w.BoundedIntText(2, min=1, max=20, description="workers")
        self.run = w.Button(description="Run it")
        self.stop = w.Button(description="Stop", disabled=True, tooltip="Undoes what was done so far")
        self.about, self.picture, self.timeline = w.HTML(), w.HTML(), w.HTML()
        self._lines: list[str] = []
        self.drill.observe(lambda change: self._tell(), "value")
        self.run.on_click(lambda button: self._begin())
        self.stop.on_click(lambda button: self._errand.ask_to_stop())
        controls = bar(self.drill, self.seconds, self.rate, self.workers, self.confirm, self.run, self.stop)
        # A drill types the environment's name on any but the lab, protected or not.
        self.confirm.layout.display = "none" if ops.settings.on_lab else None
        self._tell()
        self.widget = w.VBox([self.about, controls, self.outcome, self.picture, self.timeline])

    def _tell(self) -> None:
        where = "It runs in a virtual host of its own, only where drills are allowed."
        self.about.value = html.message(f"{self._drills[self.drill.value].hypothesis} {where}")

    def _begin(self) -> None:
        if self._errand.busy:
            return
        self._lines.clear()
        self.picture.value = self.timeline.value = ""
        self.run.disabled, self.stop.disabled = True, False
        told = {"duration": self.seconds.value, "rate": self.rate.value, "workers": self.workers.value}
        self.act(lambda: self._play(self.drill.value, self.confirm.value or None, told), self._ended)

    def _play(self, drill: str, confirm: str | None, told: dict[str, Any]) -> object:
        from attune_ops.drills.runner import run

        return run(drill, self.ops.settings, confirm=confirm, on_progress=self._note, on_timeline=self._draw, **told)

    def _note(self, line: str) -> None:
        self._errand.heed()
        self._lines.append(line)
        self.timeline.value = html.lines(self._lines)

    def _draw(self, timeline: Timeline) -> None:
        self._errand.heed()
        self.picture.value = html.picture(timeline)

    def _ended(self, outcome: object) -> None:
        self.picture.value = ""  # the journal has it, whole
        self.told(outcome)
        self.run.disabled, self.stop.disabled = False, True
        self._refresh()
