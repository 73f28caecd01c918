"""What an exporter says of readings that fail; tests/live/monitoring/test_serve.py has those that succeed again."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from attune_ops.installation.config import resolve
from attune_ops.model.errors import SourceError
from attune_ops.model.facts import Facts, Source
from attune_ops.monitoring.exporter import Exporter
from attune_ops.monitoring.recorder import Recorder, Recording
from tests.unit import facts as small
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


def exporter_of(monkeypatch: pytest.MonkeyPatch, *readings: Facts) -> Exporter:
    """An exporter that has read the last one of these."""
    left = list(readings)
    monkeypatch.setattr("attune_ops.monitoring.exporter.collect", lambda *_, **__: left.pop(0))
    made = Exporter(resolve({**NOWHERE, "database_url": "sqlite:////nowhere.db"}, {}))
    for _ in readings:
        made.read_once()
    return made


def said(exporter: Exporter, path: str) -> tuple[int, str]:
    answer = exporter.answer(path)
    return answer.status, answer.body.decode().partition("; read ")[0].strip()


def test_unknown_alarms_are_not_healthy(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = {Source.ALARMS: "GET /api/health/checks/alarms: 500 for u:Sekrit42x"}
    read = msgspec.structs.replace(world.change(world.healthy("attune-0.6"), alarms=None), missing=refused)
    exporter = exporter_of(monkeypatch, read)
    assert said(exporter, "/healthz/broker") == (503, "unknown: GET /api/health/checks/alarms: 500 for u:***")
    assert exporter.answer("/readyz").status == 200


def test_of_workers_with_one_name_the_newest_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until February 2026 a name was not unique; `health worker` takes the newest row, and an id before a name."""
    crashed = small.worker(
        1, name="w", status="inactive", last_heartbeat=small.NOW - timedelta(hours=1), updated=small.NOW
    )
    read = world.registered(world.healthy("attune-0.6"), crashed, small.worker(2, name="w"), small.worker(3, name="1"))
    exporter = exporter_of(monkeypatch, read)
    assert said(exporter, "/healthz/worker/w") == (200, "healthy: worker w: ready")
    assert said(exporter, "/healthz/worker/1") == (503, "not healthy: worker 1: crashed")


def test_no_answer_has_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    away = msgspec.structs.replace(
        world.healthy(), broker=None, earlier=None, missing={Source.BROKER: "the proxy refused u:Sekrit42x"}
    )
    exporter = exporter_of(monkeypatch, away)
    for path in ("/", "/readyz", "/healthz/broker", "/healthz/worker/w1"):
        assert "Sekrit42x" not in exporter.answer(path).body.decode(), path


def test_a_recording_and_a_log_on_a_full_disk_end_no_reading(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def full(line: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("attune_ops.monitoring.exporter.collect", lambda *_, **__: world.healthy())
    recorder = Recorder(settings(), str(tmp_path / "h"))
    (tmp_path / "h").write_text("in the way")
    exporter = Exporter(settings(), record=Recording(recorder, full), note=full)
    exporter.read_once()
    assert (exporter.failure, exporter.reading is None) == (None, False)
    assert "a history is a folder" in (exporter.recording_failure or "")


def test_a_reading_that_fails_is_not_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    """`attune_ops_recording_success` is of the last reading, also where there is nothing to record."""

    def broken(*_: object, **__: object) -> Facts:
        raise SourceError("refused")

    exporter = Exporter(settings(), record=lambda facts: None)
    monkeypatch.setattr("attune_ops.monitoring.exporter.collect", lambda *_, **__: world.healthy())
    exporter.read_once()
    assert b"\nattune_ops_recording_success 1.0" in exporter.own_metrics()
    monkeypatch.setattr("attune_ops.monitoring.exporter.collect", broken)
    exporter.read_once()
    assert b"\nattune_ops_recording_success 0.0" in exporter.own_metrics()


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
