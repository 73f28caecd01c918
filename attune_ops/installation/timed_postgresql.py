"""psycopg's connection with the deadline of the command on every answer. Loaded on use.

The server's own `statement_timeout` needs a server that is there.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from attune_ops.installation.sockets import addresses
from attune_ops.model import deadline


class TimedPostgresql(psycopg.Connection[tuple[Any, ...]]):
    """A connection; raises `psycopg.OperationalError` where no answer comes in time."""

    def wait(self, gen: Any, *how: Any, **more: Any) -> Any:
        """Every wait of psycopg for an answer, once connected."""
        found = super().wait(_in_time(gen), *how, **more)
        deadline.ended()
        return found


def located(url: str, timeout: float) -> dict[str, Any]:
    """The hosts of the URL with their addresses, so that psycopg need not resolve them; raises `OSError`."""
    given = conninfo_to_dict(url)
    hosts = str(given.get("host") or "").split(",")
    ports = str(given.get("port") or "").split(",")
    ports = ports * len(hosts) if len(ports) == 1 else ports
    odd = not all(hosts) or any(h.startswith(("/", "@")) for h in hosts) or len(ports) != len(hosts)
    if odd or given.get("hostaddr"):  # there is nothing to resolve, or psycopg says what is wrong
        return {}
    found = [(h, a, p) for h, p in zip(hosts, ports, strict=True) for a in addresses(h, 0, timeout)]
    lists = (",".join(part) for part in zip(*found, strict=True))
    return {name: each for name, each in zip(("host", "hostaddr", "port"), lists, strict=True) if each.strip(",")}


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
