"""Calls in several threads at once: results, errors, and an end that waits for nobody."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from functools import partial

import pytest

from attune_ops.installation.side_by_side import SideBySide


def test_results_and_errors_come_back() -> None:
    with SideBySide(2) as pool:
        asked = [pool.submit(partial(divmod, 6, i)) for i in (3, 2, 0, 1)]
        assert [f.result() for f in (asked[0], asked[1], asked[3])] == [(2, 0), (3, 0), (6, 0)]
        with pytest.raises(ZeroDivisionError):
            asked[2].result()


def test_at_once_but_never_more() -> None:
    together = threading.Barrier(3)
    with SideBySide(3) as pool:
        for future in [pool.submit(lambda: together.wait(10)) for _ in range(6)]:
            future.result(10)


def test_the_threads_end() -> None:
    before = threading.active_count()
    with SideBySide(4) as pool:
        pool.submit(lambda: None).result()
    deadline = time.monotonic() + 10
    while threading.active_count() > before:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_call_that_never_returns_does_not_hold_up_the_end() -> None:
    program = (
        "import time; from attune_ops.installation.side_by_side import SideBySide\n"
        "with SideBySide(1) as pool:\n    pool.submit(lambda: time.sleep(60))\n    raise KeyboardInterrupt"
    )
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=50, check=False)
    assert b"KeyboardInterrupt" in done.stderr
    assert time.monotonic() - started < 30
