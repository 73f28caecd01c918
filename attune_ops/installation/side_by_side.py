"""Reading in several threads, without making Ctrl-C wait for an answer that never comes.

concurrent.futures joins its threads when the interpreter ends: an interrupted command would wait for the timeout of
each request.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, Self, TypeVar

T = TypeVar("T")


class SideBySide:
    """Threads that run calls; leaving the block ends each thread once it is idle."""

    def __init__(self, threads: int) -> None:
        self._calls: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._threads = threads
        for i in range(threads):
            threading.Thread(target=self._work, name=f"attune-ops-{i}", daemon=True).start()

    def submit(self, call: Callable[[], T]) -> Future[T]:
        """Runs the call in one of the threads; the future has its result or its exception."""
        future: Future[T] = Future()
        context = contextvars.copy_context()  # the deadline of the command
        self._calls.put((future, lambda: context.run(call)))
        return future

    def _work(self) -> None:
        while (taken := self._calls.get()) is not None:
            future, call = taken
            try:
                future.set_result(call())
            except BaseException as e:  # noqa: BLE001 - it is raised where the result is asked for
                future.set_exception(e)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for _ in range(self._threads):
            self._calls.put(None)
