"""The overview of the dashboard shows what was recorded: a queue that grows, and when its limit is reached."""

from __future__ import annotations

from pathlib import Path

import pytest

from attune_ops.notebook.dashboard.page import Dashboard
from attune_ops.ops import Ops
from tests.world import Vhost, eventually


def test_the_overview_shows_the_trend_and_when_a_queue_is_full(
    vhost: Vhost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATTUNE_OPS_HISTORY", str(tmp_path / "h"))
    ops = Ops(vhost.settings(f"sqlite:///{tmp_path}/registry.sqlite"))
    board = Dashboard(ops, interval=3600.0)
    try:
        recorded = board.views[0].recorded  # type: ignore[attr-defined]
        eventually(lambda: "nothing is recorded yet" in recorded.widget.value, within=60)
    finally:
        board.close()
    with vhost.channel() as channel:
        channel.queue_declare("limited", durable=True, arguments={"x-max-length": 1000})
        for _ in range(4):
            for _ in range(20):
                channel.basic_publish("", "limited", b"{}")
            ops.history.record(seconds=0)
    (row,) = ops.history.show("limited").table.records()
    assert row["limit"] == 1000
    assert row["full_in"] is not None
    board = Dashboard(ops, interval=3600.0)
    try:
        recorded = board.views[0].recorded  # type: ignore[attr-defined]
        eventually(lambda: "limited" in recorded.widget.value, within=60)
        for expected in ("full_in", "1000", "█", "disk_full_in"):
            assert expected in recorded.widget.value
    finally:
        board.close()
