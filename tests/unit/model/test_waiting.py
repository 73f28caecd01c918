"""Waiting ends with the first value that is right, or with the last one when the time is over."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from attune_ops.model.waiting import displayed_by, pause, wait_until


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


def test_a_display_is_there_while_it_waits_and_not_without_a_wait() -> None:
    shown = list[object]()

    @contextmanager
    def display(what: str, seconds: float) -> Iterator[None]:
        shown.append((what, seconds))
        yield
        shown.append("end")

    with displayed_by(display):
        assert wait_until(lambda: True, timeout=9, what="it")
        wait_until(lambda: False, timeout=0, what="it")
        assert shown == []
        wait_until(lambda: False, timeout=0.01, what="it")
        pause(0, "a sample")
        wait_until(lambda: False, timeout=0.01)
        with displayed_by(None):
            pause(0, "nothing")
    pause(0, "nothing")
    assert shown == [("it", 0.01), "end", ("a sample", 0), "end"]
