"""\"Declared\" is said only of what a read-back finds: a queue that is gone in the next moment is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from attune_ops.installation.amqp_write import declare_exchange, declare_queue
from attune_ops.model.startup_progress import Step
from attune_ops.model.topology import Exchange, Queue
from attune_ops.startup import steps
from attune_ops.startup.sequence import run_startup
from attune_ops.startup.startup_report import StepStatus
from attune_ops.topology import apply
from attune_ops.topology.apply import apply_topology
from tests.world import Vhost

RELEASES = ["attune-2026-01", "attune-2026-09", "attune-0.6"]


class Deleting:
    """Declares on the real broker, and deletes one object right after its declare was answered."""

    def __init__(self, vhost: Vhost, name: str) -> None:
        self._vhost, self._name, self.deleted = vhost, name, 0

    def queue(self, channel: Any, queue: Queue, **options: Any) -> Any:
        answer = declare_queue(channel, queue, **options)
        if queue.name == self._name:
            self._delete(f"queues/{{vhost}}/{queue.name}")
        return answer

    def exchange(self, channel: Any, exchange: Exchange) -> None:
        declare_exchange(channel, exchange)
        if exchange.name == self._name:
            self._delete(f"exchanges/{{vhost}}/{exchange.name}")

    def _delete(self, path: str) -> None:
        self.deleted += 1
        self._vhost.api("DELETE", path)


@pytest.mark.parametrize("topology", RELEASES)
@pytest.mark.parametrize(
    ("name", "step"), [("worker.1.executions", Step.DECLARE), ("attune.notifications", Step.SETUP)]
)
def test_a_start_up_says_declared_of_what_is_there(
    vhost: Vhost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, topology: str, name: str, step: Step
) -> None:
    deleting = Deleting(vhost, name)
    monkeypatch.setattr(steps, "declare_queue", deleting.queue)
    monkeypatch.setattr(steps, "declare_exchange", deleting.exchange)
    # With a binding to the exchange the set-up would fail there: January's topology has one.
    report = run_startup(vhost.settings(f"sqlite:///{tmp_path}/r.sqlite", topology), "worker", "w1")
    assert deleting.deleted == 1
    assert report.failed is not None
    assert (report.failed.step, report.failed.status) == (step, StepStatus.FAILED)
    assert report.failed.error is not None
    assert report.failed.error.code == 404
    if topology != RELEASES[0] or step is Step.DECLARE:
        assert "reading back what was declared: 404 NOT_FOUND" in report.failed.detail
        assert f" {name!r} in vhost" in report.failed.detail


@pytest.mark.parametrize("topology", RELEASES)
def test_topology_apply_says_declared_of_what_is_there(
    vhost: Vhost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, topology: str
) -> None:
    deleting = Deleting(vhost, "attune.events.queue")
    monkeypatch.setattr(apply, "declare_queue", deleting.queue)
    monkeypatch.setattr(apply, "SETTLING_S", 1.0)
    done = apply_topology(vhost.settings(f"sqlite:///{tmp_path}/r.sqlite", topology), write=True)
    assert deleting.deleted == 1
    said = {o.name: o.status for o in done.outcomes}
    assert said["attune.events.queue"] == "lost"
    assert said["attune.events"] == "declared"
    queues = {name for name, status in said.items() if status == "declared" and name.endswith(".queue")}
    assert queues == vhost.names("queues")
