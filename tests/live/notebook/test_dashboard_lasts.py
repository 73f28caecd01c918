"""The dashboard over time on a real broker: what it holds does not grow, and its end leaves nothing.

By default 100 refreshes; `ATTUNE_OPS_TEST_REFRESHES=200` is the full run.
"""

from __future__ import annotations

import gc
import os
import threading
import time
import tracemalloc
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from attune_ops.drills.broker import settings_of_lab
from attune_ops.lab import Lab
from attune_ops.notebook.dashboard import collector
from attune_ops.notebook.dashboard.page import Dashboard
from attune_ops.ops import Ops
from tests.live.places import stopped_worker
from tests.world import Vhost, eventually, loaded

REFRESHES = int(os.environ.get("ATTUNE_OPS_TEST_REFRESHES", "100"))
HISTORY = 5  # looks kept for the chart; kept full before anything is measured, as it grows until then
GROWN_KB = 100  # 40 of it come without a leak
GROWN_OBJECTS = REFRESHES // 2  # of what a leak of one object a refresh would make


def sockets() -> int:
    """How many sockets this process has open, to whatever end."""
    folder = Path("/proc/self/fd")
    links = (os.readlink(folder / fd) for fd in os.listdir(folder) if (folder / fd).is_symlink())
    return sum(link.startswith("socket:") for link in links)


def refresh(board: Dashboard, times: int, stay: int = 1) -> None:
    """Has the reading thread look so many times, `stay` times at each tab, without waiting for the interval."""
    for turn in range(times):
        looks = board.collector.state.reads
        board.tabs.selected_index = turn // stay % len(board.views)
        board.collector.read_now()
        eventually(partial(looked_since, board, looks), within=60, every=0.002)


def looked_since(board: Dashboard, looks: int) -> bool:
    return board.collector.state.reads > looks


def instances() -> dict[str, object]:
    """The widgets that the kernel keeps."""
    from ipywidgets.widgets.widget import _instances

    made: dict[str, object] = _instances
    return made


def objects() -> Counter[str]:
    gc.collect()
    return Counter(repr(type(o)) for o in gc.get_objects())


def threads() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith("attune-ops")]


@pytest.mark.slow
@pytest.mark.nightly
def test_refreshes_hold_no_more_memory_and_the_end_leaves_nothing(
    vhost: Vhost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collector, "KEPT", HISTORY)
    ops = Ops(vhost.settings(f"sqlite:///{tmp_path}/registry.sqlite"))
    ops.topology_apply(apply=True, force=True)
    stopped_worker(ops.settings, "w1")
    gc.collect()
    before, widgets = sockets(), len(instances())
    board = Dashboard(ops, interval=3600.0)
    try:
        refresh(board, 4 * len(board.views))  # everything is loaded, every cache and the history are full
        tracemalloc.start(1)
        refresh(board, 2 * len(board.views))
        seen, held = objects(), tracemalloc.get_traced_memory()[0]
        refresh(board, REFRESHES, stay=10)
        more = objects() - seen
        grown = (tracemalloc.get_traced_memory()[0] - held) / 1024
    finally:
        tracemalloc.stop()
        board.close()
    assert sum(more.values()) < GROWN_OBJECTS, more.most_common(10)
    assert grown < GROWN_KB, f"{grown:.0f} kB more after {REFRESHES} refreshes"
    eventually(lambda: not threads(), within=20)
    assert len(instances()) <= widgets + 5, "the sentence that stays, its place, their layouts and style"
    eventually(lambda: sockets() <= before, within=20)
    eventually(lambda: not vhost.api("GET", "vhosts/{vhost}/connections").json(), within=60)


@pytest.mark.slow
def test_the_broker_restarts_and_the_kernel_stays_free(own_lab: Lab) -> None:
    ops = Ops(settings_of_lab(own_lab.state))
    ops.topology_apply(apply=True, force=True)
    node = own_lab.state.nodes[0].name
    board = Dashboard(ops, interval=0.5)
    try:
        view: Any = board.views[1]
        board.tabs.selected_index = 1

        def names() -> list[str]:
            return [row[0][0] for row in view.grid.content["rows"]]

        eventually(lambda: "attune.events.queue" in names(), within=60)
        own_lab.kill_node(node)
        eventually(lambda: "stale for" in board.status.value, within=60)
        age = board.status.value
        began = time.monotonic()
        view.grid.filter = "events"  # in the kernel's thread, while the reading one gets no answer
        board.tabs.selected_index = 0
        board.tabs.selected_index = 1
        assert time.monotonic() - began < loaded(5)
        assert view.grid.content["stale"], "what was read last stays, grey"
        assert names() == ["attune.events.queue"]
        eventually(lambda: "stale for" in board.status.value and board.status.value != age, within=60)
        own_lab.start_node(node)
        eventually(lambda: "stale for" not in board.status.value, within=120)
        eventually(lambda: not view.grid.content["stale"], within=60)
        assert names() == ["attune.events.queue"]
    finally:
        board.close()
    assert not threads()
