"""The regular expressions of policies: PCRE on the broker, searched for anywhere in the name."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

# PCRE spellings that `re` knows by another name.
_RESPELLED = (
    (re.compile(r"\(\?<(?=[A-Za-z_])"), "(?P<"),
    (re.compile(r"\\z"), r"\\Z"),
    (re.compile(r"\\h"), r"[ \\t]"),
)
_POSIX = {
    "alnum": "A-Za-z0-9", "alpha": "A-Za-z", "digit": "0-9", "lower": "a-z", "upper": "A-Z",
    "word": r"\w", "xdigit": "0-9A-Fa-f", "space": r"\s", "blank": r" \t", "punct": r"!-/:-@\[-`{-~",
}  # fmt: skip


@lru_cache(maxsize=4096)
def compile_pattern(pattern: str) -> Callable[[str], bool]:
    """A function that says whether the pattern is found in a name.

    The broker matches bytes, so `.` is one byte of a name and no letter beyond ASCII is a word character.
    A pattern that cannot be read here matches nothing.
    """
    for spelling, ours in _RESPELLED:
        pattern = spelling.sub(ours, pattern)
    pattern = re.sub(r"\[:(\w+):\]", lambda m: _POSIX.get(m[1], m[0]), pattern)
    try:
        search = re.compile(pattern.encode()).search
    except (re.error, OverflowError, RecursionError):
        return lambda name: False
    return lambda name: search(name.encode()) is not None
