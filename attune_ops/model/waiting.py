"""Waiting until something is so: the one loop with a timeout."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from attune_ops.model import deadline

T = TypeVar("T")


def wait_until(
    read: Callable[[], T],
    done: Callable[[T], object] = bool,
    *,
    timeout: float,
    interval: float = 0.1,
    on_wait: Callable[[T, float], None] | None = None,
) -> T:
    """Reads until `done` is true of the value or `timeout` s have passed, and returns the last value either way.

    It reads once at least; the timeout counts from the end of the first read. `on_wait` gets each value that is not
    the last one, and the seconds that are left. `interval` in s.
    """
    value = read()
    until = time.monotonic() + timeout
    while not done(value) and (left := until - time.monotonic()) > 0:
        if on_wait is not None:
            on_wait(value, left)
        time.sleep(min(interval, left))
        deadline.ended()  # the loop has its own limit: each read has the whole time
        value = read()
    return value
