"""What the overview shows of the recorded history: growing queues, and when a queue or a disk is full."""

from __future__ import annotations

import time

import ipywidgets as w

from attune_ops.model.errors import AttuneOpsError
from attune_ops.model.table import Table
from attune_ops.notebook.dashboard import fragments as html
from attune_ops.notebook.dashboard.collector import BackgroundTask, State
from attune_ops.ops import Ops
from attune_ops.render import form

EVERY_S = 60.0
SINCE = "24h"
SHOWN = 10  # queues: those that are full first, then those that grow fastest
QUEUES = ("queue", "trend", "last", "p95", "growth", "full_in", "limit")
NODES = ("node", "disk", "disk_free", "disk_full_in", "memory", "memory_used", "memory_full_in")


class RecordedPanel:
    """Trends of the last 24 hours, read in the background once a minute: the history may be large."""

    def __init__(self, ops: Ops) -> None:
        self.widget = w.HTML()
        self._ops, self._task, self._next = ops, BackgroundTask(), 0.0

    def show(self, state: State) -> None:
        """Reads the history again if the last time is a minute ago."""
        cluster = state.facts.broker.cluster if state.facts and state.facts.broker else None
        if time.monotonic() < self._next or cluster is None:
            return
        if self._task.run(lambda: self._read(cluster), self._done):
            self._next = time.monotonic() + EVERY_S

    def close(self) -> None:
        """Waits for a read in progress."""
        self._task.stop()

    def _read(self, cluster: str) -> str:
        queues, nodes = (
            self._ops.history.show(of=of, since=SINCE, cluster=cluster).table for of in ("queues", "nodes")
        )
        queues = queues.where(lambda r: bool(r["last"] or r["growth"] or r["full_in"] is not None))
        parts = [fullest(queues).limit(SHOWN).select(QUEUES), nodes.select(NODES)]
        return "".join(
            [html.message(f"Recorded in the last {SINCE}:"), *(str(form(t, "html")) for t in parts if t.rows)]
        )

    def _done(self, outcome: object) -> None:
        self.widget.value = html.message(str(outcome)) if isinstance(outcome, AttuneOpsError) else str(outcome)


def fullest(queues: Table) -> Table:
    """The queues that reach their limit soonest first, then those that grow fastest."""
    return queues.sorted("-growth").sorted("full_in")
