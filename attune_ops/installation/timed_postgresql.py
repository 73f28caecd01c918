"""psycopg's connection with the deadline of the command on every answer. Loaded on use.

The server's own `statement_timeout` needs a server that is there.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import psycopg

from attune_ops.model import deadline


class TimedPostgresql(psycopg.Connection[tuple[Any, ...]]):
    """A connection; raises `psycopg.OperationalError` where no answer comes in time."""

    def wait(self, gen: Any, *how: Any, **more: Any) -> Any:
        """Every wait of psycopg for an answer, once connected."""
        found = super().wait(_in_time(gen), *how, **more)
        deadline.ended()
        return found


def _in_time(waiting: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
    """The same wait, which psycopg resumes every 0.1 s, until the command's deadline."""
    ready = None
    while True:
        try:
            wanted = waiting.send(ready)
        except StopIteration as e:
            return e.value
        ready = yield wanted
        if not ready and deadline.left() <= 0:
            deadline.ended(late=True)
            raise psycopg.OperationalError(f"no answer within {deadline.seconds():g} s")
