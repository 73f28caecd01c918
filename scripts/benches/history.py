"""A month of 28 workers in the recorded history, ten million rows: one worker's trend and story."""

from __future__ import annotations

import os
import resource
import statistics
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from attune_ops.monitoring.history_files import Folder
from attune_ops.monitoring.history_schema import SCHEMA
from attune_ops.monitoring.history_writer import ROWS_PER_FILE, parquet
from benches import Result, Site, process_ms

WORKERS, INTERVAL_S, DAYS = 28, 15, int(os.environ.get("ATTUNE_OPS_BENCH_DAYS", "30"))
ROWS = 2 * WORKERS + 2  # of a reading: a queue and a row for each worker, a node, the reading itself
READINGS = ROWS_PER_FILE // ROWS + 1  # in a file, as a recorder writes it
PROMISED_MS, RUNS = 2000.0, 3
CLUSTER = "bench"


def measure(site: Site) -> Iterator[Result]:
    """The whole command as a process; nothing listens where the broker would be."""
    folder = site.folder / "history"
    rows = generate(folder)
    size = sum(f.stat().st_size for f in folder.rglob("*.parquet"))
    files = len(list(folder.rglob("*.parquet")))
    print(f"  {rows:,} rows in {files} files, {size / 1e6:.0f} MB", file=sys.stderr)
    environment = {
        **os.environ, "ATTUNE_OPS_AMQP_URL": "amqp://127.0.0.1:9/%2F",
        "ATTUNE_OPS_MANAGEMENT_URL": "http://127.0.0.1:9",
    }  # fmt: skip
    base = [sys.executable, "-m", "attune_ops", "history"]
    where = ["--folder", str(folder), "--cluster", CLUSTER, "--since", f"{DAYS}d", "--format", "json"]
    for what, words in (
        ("one worker's queue, a month", ["show", "--worker", "w17"]),
        ("one worker's states, a month", ["show", "w17", "--of", "workers"]),
        ("one worker's story, a month", ["story", "worker", "w17"]),
    ):
        times = [spent([*base, *words, *where], environment) for _ in range(RUNS)]
        of = f"{what} of {rows:,} rows"
        yield Result(f"history: {of}", "the promised time", min(t for t, _ in times), PROMISED_MS, None, RUNS)
        cpu = statistics.median(c for _, c in times)
        yield Result(f"history: {of}, processor time", "the promised time", cpu, PROMISED_MS, 1.0, RUNS)
    _, cpu = spent([*base, "show", *where], environment)
    yield Result(f"history: all {WORKERS} queues, processor time", "the promised time of one", cpu, PROMISED_MS)


def spent(command: list[str], environment: dict[str, str]) -> tuple[float, float]:
    """How long a process takes, and its processor time, on which other work on the machine has no effect; ms."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    took = process_ms(command, environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return took, 1000 * (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def generate(folder: Path) -> int:
    """Writes the files as a recorder would have; returns the number of rows."""
    first = datetime.now(UTC).replace(microsecond=0) - timedelta(days=DAYS) + timedelta(minutes=5)
    total, rows, at = DAYS * 86400 // INTERVAL_S - 40, 0, 0
    while at < total:
        time = first + timedelta(seconds=INTERVAL_S * at)
        tomorrow = (time + timedelta(days=1)).replace(hour=0, minute=0, second=0)
        count = min(READINGS, total - at, -(-int((tomorrow - time).total_seconds()) // INTERVAL_S))
        made = file_rows(time, count, at)
        path = Path(Folder(str(folder)).day_path(CLUSTER, "/", time.date()), f"bench.0.{time:%Y%m%dT%H%M%S%f}Z.parquet")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(parquet(made))
        rows, at = rows + made.num_rows, at + count
    assert sum(pq.read_metadata(f).num_rows for f in folder.rglob("*.parquet")) == rows
    return rows


def file_rows(begin: datetime, count: int, number: int) -> pa.Table:
    """The rows of `count` readings; depths and states change over the day."""
    times = [begin + timedelta(seconds=INTERVAL_S * i) for i in range(count)]
    shared = {"time": times, "recorder": ["bench.0"] * count}
    parts = [
        shared | {"kind": ["reading"] * count, "state": ["ok"] * count, "interval_s": [float(INTERVAL_S)] * count},
        shared | {
            "kind": ["node"] * count, "name": ["rabbit@bench"] * count, "state": ["running"] * count,
            "disk_free": [10**10 - 1000 * (number + i) for i in range(count)], "disk_free_limit": [50_000_000] * count,
            "memory_used": [10**8] * count, "memory_limit": [10**9] * count,
        },
    ]  # fmt: skip
    for worker in range(1, WORKERS + 1):
        depths = [(number + i) * worker % 997 for i in range(count)]
        states = ["stale" if (number + i + worker) % 2000 < 6 else "ready" for i in range(count)]
        of = shared | {"worker_id": [worker] * count, "messages": depths}
        parts.append(of | {
            "kind": ["queue"] * count, "name": [f"worker.{worker}.executions"] * count, "ready": depths,
            "unacked": [worker % 10] * count, "consumers": [1] * count, "publish_rate": [0.2 * d for d in depths],
            "deliver_rate": [0.2 * d for d in depths], "max_length": [10_000] * count,
        })  # fmt: skip
        parts.append(of | {
            "kind": ["worker"] * count, "name": [f"w{worker}"] * count, "state": states,
            "declared": [True] * count, "bound": [True] * count, "consumed": [s == "ready" for s in states],
            "last_heartbeat": times,
        })  # fmt: skip
    empty: list[None] = [None] * count
    return pa.concat_tables(
        pa.table([pa.array(p.get(n, empty), t) for n, t in zip(SCHEMA.names, SCHEMA.types, strict=True)], schema=SCHEMA)
        for p in parts
    )
