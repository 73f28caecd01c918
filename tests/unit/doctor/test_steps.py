"""What a worker costs in a diagnosis and a report, in calls: their number is the same beside any load."""

from __future__ import annotations

import cProfile
from collections.abc import Callable

import pytest

from attune_ops.doctor.diagnose import diagnose
from attune_ops.doctor.html_report import report_html
from attune_ops.model.facts import Facts
from tests.unit.doctor.checks.world import healthy, without_consumers
from tests.unit.facts import worker


def none_consumes(facts: Facts) -> Callable[[], object]:
    silent = without_consumers(facts, *(q.name for q in facts.actual.queues or () if q.name.startswith("worker.")))
    return lambda: diagnose(silent)


def report_of(facts: Facts) -> Callable[[], object]:
    report = diagnose(facts)
    return lambda: report_html(report)


@pytest.mark.parametrize(
    ("made", "most"),
    [
        pytest.param(none_consumes, 300, id="none-consumes"),  # it was 340
        pytest.param(report_of, 950, id="report"),  # it was 1,599
    ],
)
def test_a_worker_takes_few_steps(made: Callable[[Facts], Callable[[], object]], most: int) -> None:
    def calls(count: int) -> int:
        act = made(healthy(workers=tuple(map(worker, range(1, count + 1)))))
        profile = cProfile.Profile()
        profile.runcall(act)
        return sum(entry.callcount for entry in profile.getstats())

    calls(1)  # what is loaded once
    assert (calls(300) - calls(100)) / 200 < most
