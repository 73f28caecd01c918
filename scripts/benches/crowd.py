"""10,000 workers in the report and in the dashboard, without a browser: time, size, and the bare HTTP answers."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from datetime import timedelta

from attune_ops.ops import Ops
from benches import Result, Site
from benches.dashboard import refreshing
from benches.doctor import WORKERS, beat, settled, took, workers

REPORT_MS, REPORT_MB, RUNS = 5000.0, 10.0, 3


def measure(site: Site) -> Iterator[Result]:
    """January's topology with a consumer for each worker."""
    settings = site.settings(registry="crowd-of-10000")
    with workers(settings, WORKERS):
        settled(Ops(settings))
        report = site.folder / "large.html"
        times = [took(lambda: Ops(settings).report(str(report), replace=True)) for _ in range(RUNS)]
        size = report.stat().st_size / 1e6
        yield Result("report of 10,000 workers", "the promised time", statistics.median(times), REPORT_MS, 1.0, RUNS)
        yield Result("report of 10,000 workers, its size", "the promise", size, REPORT_MB, 1.0, unit="MB")
        beat(settings, ahead=timedelta())  # a refresh of stale workers diagnoses another state
        yield refreshing(settings, "10,000")
