"""The report of a start-up, as programs and people get it."""

from __future__ import annotations

import json

import msgspec

from attune_ops.model.startup_progress import Step
from attune_ops.render import form
from attune_ops.startup.startup_report import Ending, StartupReport, StepResult, StepStatus, WorkerRef


def test_the_report_is_the_settled_json() -> None:
    step = StepResult(Step.CONNECT, StepStatus.OK, 1.5, "RabbitMQ")
    report = StartupReport("worker", WorkerRef(1, "w1"), True, 1.5, (step,))
    data = json.loads(msgspec.json.encode(report))
    assert list(data)[:6] == ["schema", "service", "worker", "ok", "duration_ms", "steps"]
    assert data["schema"] == "attune-ops/startup/1"
    assert data["worker"] == {"id": 1, "name": "w1"}
    assert data["steps"] == [
        {"step": "connect", "status": "ok", "duration_ms": 1.5, "detail": "RabbitMQ", "error": None}
    ]


def test_the_clean_stop_has_its_lines_under_their_labels_and_in_markdown_after_them() -> None:
    ending = Ending(("consumer c cancelled", "connection closed"), ("queue q",))
    report = StartupReport("sensor", None, True, 1.5, (), ending)
    assert form(report, "text").splitlines()[1:] == [
        "stopped: consumer c cancelled",
        "         connection closed",
        "remains: queue q",
    ]
    assert form(report, "markdown").splitlines()[-2:] == ["stopped: connection closed", "remains: queue q"]
