"""What a drill expects, with its time limit."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class Expect(NamedTuple):
    """Something that shall become true within so many seconds; `seen` says what is there instead.

    With `stays` it shall be true the whole time.
    """

    title: str
    check: Callable[[], bool]
    within: float
    seen: Callable[[], str] = lambda: ""
    stays: bool = False
