"""What an exporter says of readings that fail; tests/live/monitoring/test_serve.py has those that succeed again."""

from __future__ import annotations

import msgspec
import pytest

from attune_ops.installation.config import resolve
from attune_ops.model.facts import Source
from attune_ops.monitoring.exporter import Exporter
from tests.unit.doctor.checks import world
from tests.unit.monitoring.readings import NOWHERE, settings


def test_readings_that_fail_are_reported_once() -> None:
    lines = list[str]()
    exporter = Exporter(settings(), note=lines.append)
    for _ in range(3):
        exporter.read_once()
    assert exporter.failures == 3
    assert lines == [f"readings fail: {exporter.failure}"]
    assert "refused" in lines[0]


def test_a_log_that_cannot_be_written_ends_no_reading() -> None:
    def full(line: str) -> None:
        raise OSError(28, "No space left on device")

    exporter = Exporter(settings(), note=full)
    exporter.read_once()
    assert "refused" in (exporter.failure or "")


def test_the_broker_is_read_while_the_registry_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    healthy = world.healthy("attune-0.6")
    alarmed = world.change(healthy, alarms=("memory alarm on rabbit@a",))
    refused = {Source.REGISTRY: "registry: connection refused"}
    readings = [
        healthy,
        msgspec.structs.replace(healthy, registry=None, missing=refused),
        msgspec.structs.replace(alarmed, registry=None, missing=refused),
        msgspec.structs.replace(healthy, broker=None, earlier=None, missing={Source.BROKER: "broker: refused"}),
    ]
    monkeypatch.setattr("attune_ops.monitoring.exporter.collect", lambda *_, **__: readings.pop(0))
    exporter = Exporter(resolve({**NOWHERE, "database_url": "sqlite:////nowhere.db"}, {}))
    said = []
    while readings:
        exporter.read_once()
        made = exporter.own_metrics().decode()
        success = [int(f"\nattune_ops_reading_{name}success 1" in made) for name in ("", "broker_")]
        answers = [
            exporter.answer(p).body.decode().partition(": read ")[0].strip() for p in ("/healthz/broker", "/readyz")
        ]
        said.append((success, answers))
    away = "registry: connection refused"
    assert said == [
        ([1, 1], ["healthy", "ready"]),
        ([0, 1], ["healthy", away]),
        ([0, 1], ["not healthy: an alarm blocks publishers: memory alarm on rabbit@a", away]),
        ([0, 0], ["unknown: broker: refused", "broker: refused"]),
    ]
