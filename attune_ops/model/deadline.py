"""One deadline for a whole command: the longest time that it waits for answers without progress.

Each wait for a broker, its management API or a database asks `left` how long it may last, and reports its end with
`ended`. The clock starts with the first wait after an answer: a pause between two waits does not count, and what
follows an unanswered wait has only the rest of the time. So a command ends in time however many answers it needs.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

DEFAULT_S = 15.0


class Deadline:
    """The waits of one command, in all its threads."""

    def __init__(self, seconds: float = DEFAULT_S) -> None:
        self.seconds = seconds
        self.silent = False  # whether the last wait had no answer
        self._since: float | None = None  # the begin of the first wait after the last answer
        self._ends = math.inf  # of the whole command, by `end_within`

    def left(self) -> float:
        """How long a wait that begins or goes on now may last, in s; 0 where the time is over."""
        since = self._since
        if since is None:
            since = self._since = time.monotonic()
        return max(0.0, min(since + self.seconds, self._ends) - time.monotonic())

    def end_within(self, seconds: float) -> None:
        """From now on all waits together last at most so long, whatever answers come."""
        self._ends = min(self._ends, time.monotonic() + seconds)

    def ended(self, late: bool = False) -> None:
        """A wait ended, `late` without an answer in time; an answer, an error too, gives the whole time again."""
        self.silent = late
        if not late:
            self._since = None


_current: ContextVar[Deadline | None] = ContextVar("deadline", default=None)


@contextmanager
def whole_command(deadline: Deadline | None) -> Iterator[None]:
    """Applies the deadline to all waits in the block; None: none applies, each wait has only its own timeout."""
    token = _current.set(deadline)
    try:
        yield
    finally:
        _current.reset(token)


def left() -> float:
    """How long a wait may last, in s: without limit outside of a command."""
    current = _current.get()
    return math.inf if current is None else current.left()


def ended(late: bool = False) -> None:
    """Reports the end of a wait, `late` without an answer in time."""
    current = _current.get()
    if current is not None:
        current.ended(late)


def end_within(seconds: float) -> None:
    """From now on all waits of the command together last at most so long, in s: a signal asks it to end."""
    current = _current.get()
    if current is not None:
        current.end_within(seconds)


def seconds() -> float | None:
    """The longest time without progress, in s; None outside of a command."""
    current = _current.get()
    return None if current is None else current.seconds


def do_not_apply() -> None:
    """For the rest of this command no deadline applies: it waits on purpose and has its own limits."""
    _current.set(None)
