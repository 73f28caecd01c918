"""What `lab status` shows has room in 80 columns, the URL in one piece."""

from __future__ import annotations

import io
from datetime import UTC, datetime

from rich.console import Console

from attune_ops.installation.config.running_lab import LabNode, RunningLab
from attune_ops.lab.control import COLUMNS, row
from attune_ops.model.table import Table
from attune_ops.render import form

NAME = "the-longest-name-of-a-lab-there"[:31]


def test_a_long_name_leaves_the_url_whole() -> None:
    node = LabNode("attune-1@localhost", "/f", 25001, 25002, 25003, 25004)
    lab = RunningLab(NAME, "/f", "rabbitmq-server", "attune", (node,), 25005, datetime.now(UTC), version="3.10.8")
    console = Console(file=io.StringIO(), width=80, color_system=None)
    with console.capture() as capture:
        console.print(form(Table("lab", COLUMNS, (row(lab, node),), None), "table"))
    shown = capture.get().splitlines()[1]
    assert NAME in shown
    assert "http://127.0.0.1:25002" in shown
