"""`serve` with 10,000 workers, each with series of its own: a scrape, memory over 1,000 scrapes, the readings."""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

from benches import Result, Site
from benches.doctor import WORKERS, workers

SCRAPES, SCRAPE_MS, MEMORY_MB, GROWTH = 1_000, 200.0, 200.0, 1.05
INTERVAL_S = 5.0


def measure(site: Site) -> Iterator[Result]:
    """A process of its own with the default limit of series, and one in which each worker has its series."""
    settings = site.settings(registry="served")
    plain = {name: value for name, value in os.environ.items() if not name.startswith("ATTUNE_OPS")}
    with workers(settings, WORKERS):
        for most in (1_000, WORKERS):
            yield from served(plain | site.environment(settings), most)


def served(environment: dict[str, str], most: int) -> Iterator[Result]:
    """Scrapes a `serve` after its second reading."""
    command = [sys.executable, "-m", "attune_ops", "serve", "--port", "0", "--interval", f"{INTERVAL_S:g}s",
               "--max-workers", str(most)]  # fmt: skip
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        found = re.search(r"serving (\S+)/ and", process.stderr.readline())
        assert found is not None
        url = f"{found[1]}/metrics"
        while b"\nattune_ops_worker_consumers{" not in (body := scrape(url)) or readings(body) < 4:
            time.sleep(1)
        before_mb, began, first = rss_mb(process.pid), time.monotonic(), readings(scrape(url))
        times, sizes = [], []
        while len(times) < SCRAPES or readings(scrape(url)) < first + 2:  # with two readings between them
            started = time.perf_counter()
            sizes.append(len(scrape(url)))
            times.append((time.perf_counter() - started) * 1000)
        last = readings(scrape(url))
        spent = time.monotonic() - began
        after_mb, most_mb = rss_mb(process.pid), rss_mb(process.pid, "VmHWM")
    finally:
        process.terminate()
        process.wait(20)
    name = f"serve, 10,000 workers, {most:,} with series"
    middle, size = statistics.median(times), sizes[-1] / 1e6
    yield Result(f"{name}: a scrape ({size:.1f} MB)", "the promise", middle, SCRAPE_MS, 1.0, SCRAPES)
    slow = sorted(times)[int(len(times) * 0.99)]
    yield Result(f"{name}: 99 % of the scrapes", "the promise", slow, SCRAPE_MS, None, len(times))
    yield Result(f"{name}: memory", "the promise", after_mb, MEMORY_MB, 1.0, SCRAPES, unit="MB")
    yield Result(f"{name}: memory at most", "the promise", most_mb, MEMORY_MB, 1.0, SCRAPES, unit="MB")
    yield Result(f"{name}: memory after 1,000 scrapes", "before", after_mb, before_mb, GROWTH, SCRAPES, unit="MB")
    most_readings = spent / INTERVAL_S + 1
    yield Result(f"{name}: readings", "one an interval", last - first, most_readings, 1.0, SCRAPES, unit="readings")


def scrape(url: str) -> bytes:
    with urlopen(url, timeout=60) as answer:
        body: bytes = answer.read()
    return body


def readings(body: bytes) -> float:
    """The number of readings that the metrics state."""
    found = re.search(rb"^attune_ops_readings_total (\S+)$", body, re.MULTILINE)
    assert found is not None
    return float(found[1])


def rss_mb(process: int, name: str = "VmRSS") -> float:
    """The memory of a process, VmRSS now or VmHWM at most."""
    found = re.search(rf"^{name}:\s+(\d+) kB$", Path(f"/proc/{process}/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024 / 1e6
