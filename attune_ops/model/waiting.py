"""Waiting until something is so, or for a time: the one loop with a timeout, and what shows how long it takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from contextvars import ContextVar
from typing import TypeVar

from attune_ops.model import deadline

T = TypeVar("T")
SECOND_SAMPLE = "second sample"
OnProgress = Callable[[str], None]  # gets each line of progress
Display = Callable[[str, float], AbstractContextManager[object]]  # shows what is waited for, and of how many s

_display: ContextVar[Display | None] = ContextVar("display", default=None)


@contextmanager
def displayed_by(display: Display | None) -> Iterator[None]:
    """Shows the waits in the block by `display`; None shows none."""
    token = _display.set(display)
    try:
        yield
    finally:
        _display.reset(token)


def _displayed(what: str, seconds: float) -> AbstractContextManager[object]:
    display = _display.get()
    return nullcontext() if display is None else display(what, seconds)


def pause(seconds: float, what: str) -> None:
    """Sleeps; a display shows `what` it is for, and the time."""
    with _displayed(what, seconds):
        time.sleep(seconds)


def at_changes(reason: Callable[[T], str], say: Callable[[str, float], None]) -> Callable[[T, float], None]:
    """An `on_wait` that says why it waits, and the seconds that are left: at the first time, and when that changes."""
    said: str | None = None

    def on_wait(value: T, left: float) -> None:
        nonlocal said
        now = reason(value)
        if now != said:
            said = now
            say(now, left)

    return on_wait


def wait_until(
    read: Callable[[], T],
    done: Callable[[T], object] = bool,
    *,
    timeout: float,
    interval: float = 0.1,
    on_wait: Callable[[T, float], None] | None = None,
    what: str | None = None,
) -> T:
    """Reads until `done` is true of the value or `timeout` s have passed, and returns the last value either way.

    It reads once at least; the timeout counts from the end of the first read. `on_wait` gets each value that is not
    the last one, and the seconds that are left. `interval` in s. With `what` it waits for, a display shows the time.
    """
    value = read()
    until = time.monotonic() + timeout
    with ExitStack() as shown:
        while not done(value) and (left := until - time.monotonic()) > 0:
            if what is not None:
                shown.enter_context(_displayed(what, timeout))
                what = None
            if on_wait is not None:
                on_wait(value, left)
            time.sleep(min(interval, left))
            deadline.ended()  # the loop has its own limit: each read has the whole time
            value = read()
    return value
