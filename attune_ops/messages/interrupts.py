"""Signals while messages are in flight: noted at once, acted on between two calls of pika.

An exception out of a signal handler leaves pika's state inconsistent: about one of a hundred interrupted runs hung.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

from attune_ops.model import deadline

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
END_S = 3.0  # from the signal to the end of all waits
GRACE_S = 3.5  # from the signal to an interrupt in a call that does not return all the same: a write to a pipe


class _Held:
    """The handlers that are replaced, and the signal that arrived."""

    def __init__(self, ends: bool) -> None:
        self._ends = ends
        self.before: dict[int, Any] = {}
        self.arrived: int | None = None
        self.forced = False  # whether pika was interrupted in a call: its connections are unusable
        self._alarm: threading.Timer | None = None

    def note(self, number: int, frame: FrameType | None) -> None:
        """Handles a signal; a second one interrupts at once."""
        if self.arrived is not None:
            self.forced = True
            self.act(frame)
            return
        self.arrived = number
        if self._ends:
            deadline.end_within(END_S)
        main = threading.main_thread().ident
        assert main is not None
        self._alarm = threading.Timer(GRACE_S, signal.pthread_kill, (main, number))
        self._alarm.daemon = True
        self._alarm.start()

    def act(self, frame: FrameType | None = None) -> None:
        """Calls the handler that was there before, where a signal arrived; it raises KeyboardInterrupt."""
        number, self.arrived = self.arrived, None
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if number is not None:
            self.before[number](number, frame)


_held: _Held | None = None


@contextlib.contextmanager
def held(*, ends: bool = False) -> Iterator[None]:
    """Within the block a signal interrupts only in `interruption_point`, and at the end of the block.

    With `ends` all waits of the command then end within END_S.

    In a thread other than the main one, and inside another such block, it does nothing.
    """
    global _held
    if _held is not None or threading.current_thread() is not threading.main_thread():
        yield
        return
    mine = _Held(ends)
    handlers = {s: signal.getsignal(s) for s in SIGNALS}
    mine.before = {s: h for s, h in handlers.items() if callable(h)}
    _held = mine
    try:
        for number in mine.before:
            signal.signal(number, mine.note)
        yield
    finally:
        for number, handler in mine.before.items():
            signal.signal(number, handler)
        _held = None
        mine.act()


def interruption_point() -> None:
    """Raises KeyboardInterrupt where a signal has arrived; called where everything is noted and pika is at rest."""
    if _held is not None and threading.current_thread() is threading.main_thread():
        _held.act()


def forced() -> bool:
    """Whether pika was interrupted in a call."""
    return _held is not None and _held.forced
