"""From when on a worker without a connection is called crashed: a new connection is not listed at once."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from attune_ops.doctor.diagnose import diagnose
from attune_ops.doctor.findings import Severity
from attune_ops.model.registry import Worker
from attune_ops.model.worker_process import CRASHED_AFTER, worker_process
from tests.unit.doctor.checks.world import (
    JANUARY,
    SEPTEMBER,
    healthy,
    without_bindings,
    without_consumers,
    without_queues,
)
from tests.unit.facts import NOW, worker

YEAR_AGO = NOW - timedelta(days=365)
JUST = NOW - CRASHED_AFTER + timedelta(seconds=1)
LONG = NOW - CRASHED_AFTER


@pytest.mark.parametrize(
    ("heartbeat", "created", "state", "words"),
    [
        (JUST, YEAR_AGO, "unlisted", "no connection is listed yet"),
        (LONG, YEAR_AGO, "gone", "crashed: no connection"),
        (NOW + timedelta(seconds=3), YEAR_AGO, "unlisted", "no connection is listed yet"),  # the database's clock
        (None, JUST, "unlisted", "no connection is listed yet"),
        (None, LONG, "gone", "crashed: no connection"),
    ],
)
def test_the_boundary(heartbeat: datetime | None, created: datetime, state: str, words: str) -> None:
    registered = worker(1, last_heartbeat=heartbeat, created=created)
    facts = without_queues(healthy(JANUARY, (registered, worker(2))), "worker.1.executions")
    process = worker_process(facts, registered)
    assert (process.state, process.words, process.connection) == (state, words, "")


def test_a_worker_that_stopped_has_no_connection() -> None:
    """A clean stop writes its status: nothing is about to be listed."""
    stopped = worker(1, status="inactive", last_heartbeat=JUST, updated=NOW, created=YEAR_AGO)
    process = worker_process(without_queues(healthy(JANUARY, (stopped, worker(2))), "worker.1.executions"), stopped)
    assert (process.state, process.words) == ("gone", "no connection")


@pytest.mark.parametrize(
    ("heartbeat", "remedy"), [(JUST, "Run the doctor again after 45 s"), (LONG, "Start the worker's process again")]
)
def test_what_the_checks_advise(heartbeat: datetime, remedy: str) -> None:
    """A second process of a live worker would take its executions, and a restart would end them."""
    w1 = worker(1, last_heartbeat=heartbeat, created=YEAR_AGO)
    advised = {
        "AT401": without_queues(healthy(JANUARY, (w1, worker(2))), "worker.1.executions"),
        "AT403": without_consumers(healthy(SEPTEMBER, (w1, worker(2))), *_queues_of(w1)),
    }
    unread = without_consumers(healthy(SEPTEMBER, (w1, worker(2))), *_queues_of(w1))
    advised["AT402"] = without_bindings(unread, lambda b: b.destination == "worker.1.cancel")
    for code, facts in advised.items():
        (finding,) = (f for f in diagnose(facts).at_least(Severity.ERROR) if f.code == code)
        assert finding.remedy.startswith(remedy)
        assert finding.commands == ()


def _queues_of(owner: Worker) -> list[str]:
    return [q.name for q in healthy(SEPTEMBER).topology.worker_queues(owner.id)]
