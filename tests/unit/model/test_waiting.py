"""Waiting ends with the first value that is right, or with the last one when the time is over."""

from __future__ import annotations

import time

from attune_ops.model.waiting import wait_until


def test_it_ends_with_the_first_value_that_is_right() -> None:
    values, waited = iter((1, 2, 3, 4)), list[int]()
    found = wait_until(
        lambda: next(values), lambda v: v == 3, timeout=10, interval=0.001, on_wait=lambda v, left: waited.append(v)
    )
    assert (found, waited, next(values)) == (3, [1, 2], 4)


def test_it_reads_once_without_a_timeout_and_returns_the_last_value() -> None:
    reads = list[int]()
    assert wait_until(lambda: reads.append(1), timeout=0) is None
    assert reads == [1]


def test_it_ends_in_time_whatever_the_interval() -> None:
    began = time.monotonic()
    assert wait_until(lambda: False, timeout=0.05, interval=60) is False
    assert 0.05 <= time.monotonic() - began < 10
