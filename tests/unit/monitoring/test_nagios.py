"""What a Nagios plug-in says of tables, without a broker; tests/live/monitoring/test_check_formats.py has the rest."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from attune_ops.cli._main import main
from attune_ops.inventory.queues import queues
from attune_ops.inventory.workers import workers
from attune_ops.monitoring.nagios import outcome
from tests.unit.doctor.checks import world
from tests.unit.facts import NOW, worker


@pytest.mark.parametrize(
    ("ago", "line"),
    [
        (timedelta(minutes=59), "WORKERS CRITICAL - w9: crashed"),
        (timedelta(hours=1), "WORKERS OK - 4 workers checked"),
        (timedelta(days=20), "WORKERS OK - 4 workers checked"),
    ],
)
def test_a_crash_is_critical_for_one_hour(ago: timedelta, line: str) -> None:
    at = NOW - ago
    crashed = worker(9, status="inactive", last_heartbeat=at, updated=at + timedelta(seconds=120))
    facts = world.registered(world.healthy("attune-0.6"), *map(worker, (1, 2, 3)), crashed)
    assert outcome(workers(facts), (), ()).line.partition(" |")[0] == line


def test_a_worker_that_was_set_inactive_and_consumes_is_critical() -> None:
    """Nothing is scheduled to it. One that stops cleanly is listed with its consumer for up to 10 s more."""
    for topology, updated, line in (
        (world.SEPTEMBER, 300, "CRITICAL - w1: set inactive"), (world.SEPTEMBER, 0, "OK - 3 workers checked"),
        ("attune-0.6", 20, "OK - 3 workers checked"),  # its next heartbeat sets it active: it stops
    ):  # fmt: skip
        row = worker(1, status="inactive", last_heartbeat=NOW - timedelta(seconds=20),
                     updated=NOW - timedelta(seconds=updated))  # fmt: skip
        facts = world.registered(world.healthy(topology), row, worker(2), worker(3))
        assert outcome(workers(facts), (), ()).line.startswith(f"WORKERS {line}")


@pytest.mark.parametrize(
    ("queue", "line"),
    [
        (world.EVENTS, "QUEUES OK - 21 queues checked"),
        (world.REQUESTS, f"QUEUES CRITICAL - {world.REQUESTS}: 5 messages and no consumer"),
    ],
)
def test_a_backlog_is_critical_where_a_service_consumes_it(queue: str, line: str) -> None:
    facts = world.queues(world.without_consumers(world.healthy("attune-0.6"), queue), queue, messages=5)
    assert outcome(queues(facts), (), ()).line.partition(" |")[0] == line


@pytest.mark.parametrize("spelling", ["--format nagios", "--format=nagios", "-o nagios", "-onagios", "-vo nagios"])
def test_an_error_is_unknown_however_the_format_is_written(
    spelling: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """An exit status of 2 would be critical."""
    monkeypatch.chdir(tmp_path)
    assert main(["queues", *spelling.split(), "--no-such-option"]) == 3
    assert capsys.readouterr().out.startswith("UNKNOWN - No such option")
    assert main(["queues", "-o", "csv", "nagios", "--no-such-option"]) == 2
