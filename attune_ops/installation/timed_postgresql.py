"""A session on PostgreSQL by psycopg2 with the deadline of the command on every answer. Loaded on use.

psycopg2 and not psycopg 3: to import that alone takes as long as all else in a probe (docs/performance.md). Its
asynchronous connections let us wait: the server's own `statement_timeout` needs a server that is there.
"""

from __future__ import annotations

import math
import selectors
import time
from collections.abc import Sequence
from typing import Any

import psycopg2
from psycopg2 import extensions

from attune_ops.installation.sockets import addresses
from attune_ops.model import deadline

# Of a wait without an answer, in s; then the deadline is looked at. An answer that comes in pieces goes on.
PAUSE_S = 0.1


class TimedPostgresql:
    """A connection, each statement its own transaction unless one was begun by BEGIN.

    Raises `psycopg2.Error`, an `OperationalError` where no answer comes in time: the connection is then closed.
    """

    def __init__(self, url: str, timeout: float, **parameters: object) -> None:
        """Connects to the first host that lets it in; each may take `timeout` s. Raises `OSError`, too."""
        failed: Exception | None = None
        for place in located(url, timeout):
            try:
                self._connection: Any = psycopg2.connect(extensions.make_dsn(url, **parameters, **place), async_=True)
            except psycopg2.OperationalError as e:
                failed = e
                continue
            try:
                self._wait(timeout)
                return
            except psycopg2.OperationalError as e:
                failed = e
            except BaseException:
                self.close()
                raise
            self.close()
            if deadline.left() <= 0:
                break
        raise failed or psycopg2.OperationalError("no host")

    def execute(self, sql: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Runs a statement, `%s` for each value, and returns its rows, none where it gives none."""
        cursor = self._connection.cursor()
        try:
            cursor.execute(sql, values or None)
            self._wait()
        except BaseException:
            if self._connection.isexecuting():  # nobody reads its answer any more
                self.close()
            raise
        deadline.ended()
        return cursor.fetchall() if cursor.description else []

    def commit(self) -> None:
        """Ends a transaction that was begun."""
        self._end("COMMIT")

    def rollback(self) -> None:
        """Undoes what a transaction that was begun has done."""
        self._end("ROLLBACK")

    def close(self) -> None:
        """Ends the session; the server undoes a transaction that was not ended."""
        self._connection.close()

    def _end(self, word: str) -> None:
        idle = extensions.TRANSACTION_STATUS_IDLE
        if not self._connection.closed and self._connection.get_transaction_status() != idle:
            self.execute(word)

    def _wait(self, timeout: float = math.inf) -> None:
        """Waits for the answer for at most `timeout` s, the deadline at most; psycopg2 reads what comes."""
        ends = time.monotonic() + timeout
        while (wanted := self._connection.poll()) != extensions.POLL_OK:
            event = selectors.EVENT_READ if wanted == extensions.POLL_READ else selectors.EVENT_WRITE
            with selectors.DefaultSelector() as selector:  # while it connects the socket may become another
                selector.register(self._connection.fileno(), event)
                ready = selector.select(max(0.0, min(PAUSE_S, deadline.left(), ends - time.monotonic())))
            if ready and timeout == math.inf:
                continue
            if time.monotonic() >= ends:
                raise psycopg2.OperationalError("connection timeout expired")
            if not ready and deadline.left() <= 0:
                deadline.ended(late=True)
                raise psycopg2.OperationalError(f"no answer within {deadline.seconds():g} s")


def located(url: str, timeout: float) -> list[dict[str, str]]:
    """Each address of the hosts of the URL as libpq's parameters, so that it need not resolve them.

    Raises `OSError`, and `psycopg2.Error` for a URL that is none.
    """
    given = extensions.parse_dsn(url)
    hosts = str(given.get("host") or "").split(",")
    ports = str(given.get("port") or "").split(",")
    ports = ports * len(hosts) if len(ports) == 1 else ports
    odd = not all(hosts) or any(h.startswith(("/", "@")) for h in hosts) or len(ports) != len(hosts)
    if odd or given.get("hostaddr"):  # there is nothing to resolve, or libpq says what is wrong
        return [{}]
    found = [(h, a, p) for h, p in zip(hosts, ports, strict=True) for a in addresses(h, 0, timeout)]
    return [{"host": h, "hostaddr": a} | ({"port": p} if p else {}) for h, a, p in found]
