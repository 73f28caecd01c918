"""The dashboard in a real kernel: its widgets get their values from the reading thread, and the kernel stays free."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.world import Vhost, clean_environment

CELLS = (
    "import threading, time, attune_ops\nops = attune_ops.connect()\nboard = ops.dashboard(interval=1)\nboard",
    "started = time.perf_counter(); print(f'free after {time.perf_counter() - started:.3f} s')\n"
    "deadline = time.monotonic() + 60\n"
    "while board.collector.state.reads < 3 and time.monotonic() < deadline: time.sleep(0.1)",
    "board.tabs.selected_index = 1\ntime.sleep(0.5)\nprint(len(board.views[1].grid.content['rows']) > 0)",
    "board.close()\nprint([t.name for t in threading.enumerate() if t.name.startswith('attune-ops')])",
)


@pytest.mark.slow
def test_widgets_show_the_queues_and_nothing_is_left(vhost: Vhost, tmp_path: Path) -> None:
    import nbclient  # takes seconds: not in each process that collects the tests
    import nbformat

    vhost.api("PUT", "queues/{vhost}/seen-by-the-thread", {"durable": True})
    environment = clean_environment(tmp_path) | vhost.environment
    environment["ATTUNE_OPS_DATABASE_URL"] = f"sqlite:///{tmp_path}/registry.sqlite"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code) for code in CELLS])
    client = nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3")
    client.execute(env={**os.environ, **environment})
    shown = notebook.cells[0].outputs[-1]["data"]
    assert "application/vnd.jupyter.widget-view+json" in shown
    assert "text/plain" in shown
    state = json.dumps(notebook.metadata.widgets)
    assert "seen-by-the-thread" in state
    assert "This dashboard is closed" in state
    assert notebook.cells[2].outputs[0]["text"] == "True\n"
    assert notebook.cells[3].outputs[0]["text"] == "[]\n"
