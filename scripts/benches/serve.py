"""`serve` with 10,000 workers, each with series of its own: a scrape, memory, the readings and those of `watch`."""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.request import urlopen

from attune_ops.ops import Ops
from benches import Result, Site
from benches.doctor import WORKERS, settled, spent_by_broker, workers

SCRAPES, SCRAPE_MS, MEMORY_MB, GROWTH = 1_000, 200.0, 200.0, 1.05
INTERVAL_S = 5.0
IDLE_S, WATCHED_S = 10.0, 30.0


def measure(site: Site) -> Iterator[Result]:
    """A process of its own with the default limit of series, and one in which each worker has its series."""
    settings = site.settings(registry="served")
    plain = {name: value for name, value in os.environ.items() if not name.startswith("ATTUNE_OPS")}
    with workers(settings, WORKERS):
        ops = Ops(settings)
        settled(ops)
        broker = Broker(site)
        doctor = broker.busy_ms(lambda: ops.doctor())
        for most in (1_000, WORKERS):
            yield from served(plain | site.environment(settings), most, broker, doctor)
        yield watched(plain | site.environment(settings), broker, doctor)


class Broker:
    """What the broker takes for something, without what it takes at rest with so many queues and consumers."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._at_rest = spent_by_broker(site, lambda: time.sleep(IDLE_S)) / IDLE_S

    def busy_ms(self, act: Callable[[], object]) -> float:
        """The processor time meanwhile."""
        began = time.monotonic()
        spent = spent_by_broker(self._site, act)
        return spent - self._at_rest * (time.monotonic() - began)


def watched(environment: dict[str, str], broker: Broker, doctor: float) -> Result:
    """The readings of a `watch --json-lines`."""
    command = [sys.executable, "-m", "attune_ops", "watch", "--json-lines", "--interval", f"{INTERVAL_S:g}s",
               "--for", f"{WATCHED_S:g}s"]  # fmt: skip
    lines: list[bytes] = []
    spent = broker.busy_ms(lambda: lines.extend(subprocess.check_output(command, env=environment).splitlines()))
    what = "watch --json-lines, 10,000 workers: the broker's processor time for a reading"
    return Result(what, "for a doctor", spent / len(lines), doctor, runs=len(lines))


def served(environment: dict[str, str], most: int, broker: Broker, doctor: float) -> Iterator[Result]:
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
        before_mb, first, began = lowest_rss_mb(process.pid), next_reading(url), time.monotonic()
        times: list[float] = []
        sizes: list[int] = []

        def scrape_often() -> None:
            while len(times) < SCRAPES or readings(scrape(url)) < first + 2:  # with two readings between them
                started = time.perf_counter()
                sizes.append(len(scrape(url)))
                times.append((time.perf_counter() - started) * 1000)
            next_reading(url)

        busy = broker.busy_ms(scrape_often)
        last = readings(scrape(url))
        spent = time.monotonic() - began
        after_mb, most_mb = lowest_rss_mb(process.pid), rss_mb(process.pid, "VmHWM")
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
    what = f"{name}: the broker's processor time for a reading"
    yield Result(what, "for a doctor", busy / (last - first), doctor, runs=int(last - first))


def scrape(url: str) -> bytes:
    with urlopen(url, timeout=60) as answer:
        body: bytes = answer.read()
    return body


def readings(body: bytes) -> float:
    """The number of readings that the metrics state."""
    found = re.search(rb"^attune_ops_readings_total (\S+)$", body, re.MULTILINE)
    assert found is not None
    return float(found[1])


def next_reading(url: str) -> float:
    """Waits until a reading begins, and gives its number."""
    before = now = readings(scrape(url))
    while now == before:
        time.sleep(0.05)
        now = readings(scrape(url))
    return now


def lowest_rss_mb(process: int) -> float:
    """The memory between two readings: a reading that runs holds the broker's answers as well."""
    ends, lowest = time.monotonic() + INTERVAL_S, rss_mb(process)
    while time.monotonic() < ends:
        time.sleep(0.05)
        lowest = min(lowest, rss_mb(process))
    return lowest


def rss_mb(process: int, name: str = "VmRSS") -> float:
    """The memory of a process, VmRSS now or VmHWM at most."""
    found = re.search(rf"^{name}:\s+(\d+) kB$", Path(f"/proc/{process}/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024 / 1e6
