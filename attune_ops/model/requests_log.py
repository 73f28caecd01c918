"""The requests of one command, reported one by one: `-v` prints them."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache

Listener = Callable[[str, str, float], None]  # request, outcome, ms

_STATEMENT = r"(?si)\s*(\w+)(?:.*?\b(?:FROM|INTO|UPDATE)\s+([\w\".]+))?"

_listener: ContextVar[Listener | None] = ContextVar("requests_log", default=None)


@contextmanager
def reporting(listener: Listener) -> Iterator[None]:
    """Calls `listener` with each request in the block, in all its threads: the request, its outcome, and ms."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def report(request: str, outcome: object, elapsed_ms: float) -> None:
    """Reports a request that ended; does nothing where nobody listens."""
    listener = _listener.get()
    if listener is not None:
        listener(request, str(outcome), elapsed_ms)


@contextmanager
def reported(request: str) -> Iterator[None]:
    """Reports the block as one request: "ok", or the name of the error that it raises."""
    if _listener.get() is None:
        yield
        return
    started, outcome = time.perf_counter(), "ok"
    try:
        yield
    except BaseException as e:
        outcome = type(e).__name__
        raise
    finally:
        report(request, outcome, (time.perf_counter() - started) * 1000)


def listening() -> bool:
    """Whether somebody listens."""
    return _listener.get() is not None


@lru_cache  # there are a few constant statements
def statement_name(sql: str) -> str:
    """What an SQL statement does to which table, without its values: "SELECT attune.worker"."""
    found = re.match(_STATEMENT, sql)
    words = found.groups() if found else ("SQL", None)
    return " ".join(w.replace('"', "") for w in words if w)
