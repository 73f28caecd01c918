"""What an exporter says of readings that fail; tests/live/monitoring/test_serve.py has those that succeed again."""

from __future__ import annotations

from attune_ops.monitoring.exporter import Exporter
from tests.unit.monitoring.readings import settings


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
