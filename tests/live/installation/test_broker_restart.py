"""The broker goes away in the middle: what a start-up says then, and how a service comes back."""

from __future__ import annotations

import sqlite3
import threading
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest

from attune_ops import lab
from attune_ops.installation.config import Settings, resolve
from attune_ops.installation.management import open_management
from attune_ops.model.errors import SourceError
from attune_ops.model.startup_progress import Step
from attune_ops.ops import Ops
from attune_ops.startup.processes import start_service
from attune_ops.startup.sequence import run_startup
from attune_ops.startup.standins.job import Behaviour
from attune_ops.startup.startup_report import StepResult
from tests.world import eventually


def settings_of(made: lab.Lab) -> Settings:
    state = made.state
    target = {"amqp_url": state.amqp_url, "management_url": state.management_url, "database_url": state.database_url}
    return resolve(target | {"topology": "attune-2026-01"}, {})


def status_of(settings: Settings, name: str) -> str:
    assert settings.database is not None
    with sqlite3.connect(settings.database.file) as connection:
        return str(connection.execute("SELECT status FROM worker WHERE name = ?", [name]).fetchone()[0])


@pytest.mark.slow
def test_killed_in_the_middle_and_started_again(module_lab: lab.Lab, tmp_path: Path) -> None:
    settings = settings_of(module_lab)
    node = module_lab.state.nodes[0].name

    def kill(step: StepResult) -> None:
        if step.step is Step.REGISTER:
            module_lab.kill_node(node)

    report = run_startup(settings, "worker", "w1", on_step=kill)
    assert report.failed is not None
    assert report.failed.step is Step.DECLARE
    assert report.failed.error is not None
    assert "connection was lost" in report.failed.error.explanation
    assert settings.database is not None
    with sqlite3.connect(settings.database.file) as connection:
        assert not connection.execute("SELECT name FROM worker").fetchall(), "its new row is deleted"

    module_lab.start_node(node)
    with start_service(settings, "worker", "w2", tmp_path / "w2.jsonl", Behaviour(reconnect=True)) as worker:
        worker.wait_for("ready", timeout=30)
        first = worker.worker_id
        module_lab.kill_node(node)
        worker.wait_for("reconnecting", timeout=30)
        assert status_of(settings, "w2") == "active", "it is expected back"
        module_lab.start_node(node)
        eventually(lambda: Counter(e["event"] for e in worker.events())["ready"] == 2, within=30)
        assert worker.worker_id == first
    assert status_of(settings, "w2") == "inactive"


@pytest.mark.slow
def test_a_broker_that_starts_lacks_no_queue(module_lab: lab.Lab) -> None:
    """From 4.0 on it answers for some 50 ms before it counts any queue: these are neither missing nor crashed."""
    ops = Ops(settings_of(module_lab))
    ops.topology_apply(apply=True, force=True)
    wanted = {q.name for q in ops.facts().topology.base_queues}
    node = module_lab.state.nodes[0].name
    module_lab.kill_node(node)
    seen: list[tuple[set[str], set[str]]] = []
    over = threading.Event()

    def look() -> None:
        with open_management(ops.settings) as management:
            while not over.is_set():
                with suppress(SourceError):
                    queues = management.queues(management.bindings())
                    seen.append(({q.name for q in queues}, {q.name for q in queues if q.is_silent}))

    reader = threading.Thread(target=look)
    reader.start()
    try:
        module_lab.start_node(node)
        eventually(lambda: seen)
    finally:
        over.set()
        reader.join()
    assert [lacking for names, silent in seen if (lacking := (wanted - names) | silent)] == []


@pytest.mark.slow
def test_a_publisher_that_an_alarm_blocks_still_stops(module_lab: lab.Lab, tmp_path: Path) -> None:
    settings = settings_of(module_lab)
    sensor = start_service(settings, "sensor", "sensor", tmp_path / "sensor.jsonl", Behaviour(rate=100))
    sensor.wait_for("confirmed")
    module_lab.ctl("set_vm_memory_high_watermark", "absolute", "1000")
    try:
        sensor.wait_for("blocked")
        assert sensor.stop() == 0
    finally:
        module_lab.ctl("set_vm_memory_high_watermark", "0.4")
    outcomes = Counter(e["event"] for e in sensor.events())
    assert outcomes["indeterminate"] == 1
    assert outcomes["attempted"] == outcomes["confirmed"] + 1
    assert sensor.events()[-1]["event"] == "ended"
