"""Recorders killed at random moments, two at once in one folder: each confirmed reading is there, whole and once."""

from __future__ import annotations

import contextlib
import multiprocessing as mp
import os
import random
import signal
import time
from collections import Counter
from multiprocessing.connection import Connection
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from attune_ops.monitoring.history_read import recorded
from attune_ops.monitoring.recorder import Recorder
from tests.unit.monitoring.readings import at, queues, settings, whole

KILLS = int(os.environ.get("ATTUNE_OPS_TEST_KILLS", "30"))
QUEUES = 20
ROWS = QUEUES + 1 + 3  # of a reading: its queues, itself, three workers


def endless(folder: str, first: float, confirmed: Connection) -> None:
    """Records as fast as it can, and confirms each reading when it is on the disk."""
    recorder = Recorder(settings(), folder)
    there = queues(**{f"q{i}": i for i in range(QUEUES)})
    for i in range(1_000_000):
        reading = at(first + i / 1000, queues=there)
        assert recorder.add(reading) == ROWS
        confirmed.send(reading.taken_at)


def test_killed_at_random_moments(tmp_path: Path) -> None:
    context = mp.get_context("forkserver")  # starts each from a process that has everything imported
    context.set_forkserver_preload([__name__, "pyarrow.dataset"])
    chance, confirmed = random.Random(20260116), list[object]()
    for round_ in range(KILLS // 2):
        pairs = [context.Pipe(duplex=False) for _ in range(2)]
        both = [
            context.Process(target=endless, args=(str(tmp_path), 1000.0 * (2 * round_ + i), ours[1]), daemon=True)
            for i, ours in enumerate(pairs)
        ]
        for process, (_, sent) in zip(both, pairs, strict=True):
            process.start()
            sent.close()
        assert pairs[0][0].poll(30), "the first reading"
        for process in both:
            time.sleep(chance.uniform(0, 0.1))
            assert process.pid is not None
            os.kill(process.pid, signal.SIGKILL)
        for process, (received, _) in zip(both, pairs, strict=True):
            process.join(10)
            with contextlib.suppress(EOFError, OSError):
                while True:
                    confirmed.append(received.recv())
        found = Counter(row["time"] for row in pq.read_table(tmp_path, columns=["time"]).to_pylist())
        lost = [t for t in confirmed if found[t] != ROWS]
        assert not lost, f"round {round_}: of {len(confirmed)} readings {len(lost)} are not whole"
        assert set(found.values()) == {ROWS}, "an unconfirmed reading is whole too, or not there"
    assert len(confirmed) >= KILLS // 2, "one a round at least, however busy the machine is"
    times = recorded(settings(), str(tmp_path), "attune").readings(whole()).times
    assert len(times) == len(set(times)) >= len(confirmed)


@pytest.mark.parametrize("name", ["time", "cluster", "vhost", "day"])
def test_what_is_left_after_a_kill_hides_nothing(tmp_path: Path, name: str) -> None:
    """A file that was being written begins with a dot, so that other readers skip it too."""
    recorder = Recorder(settings(), str(tmp_path))
    recorder.add(at(0))
    (file,) = tmp_path.rglob("*.parquet")
    (file.parent / f".{file.name}.part").write_bytes(b"PAR1 half")
    assert name in pq.read_table(tmp_path).column_names
    recorder.close()
    again = Recorder(settings(), str(tmp_path))
    again.add(at(10))
    assert [p.name for p in tmp_path.rglob("*.part")] == [], "the next recorder removes it"
    again.close()
