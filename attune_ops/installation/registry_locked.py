"""A registry that another process keeps locked: how long a statement waits for it, and who has locked it."""

from __future__ import annotations

import contextlib
from typing import Any

from attune_ops.installation.config.settings import Database
from attune_ops.model import deadline
from attune_ops.model.errors import RegistryLocked

SHARE = 0.4  # of the time for an answer: a command that asks twice still ends in time
LOCK_NOT_AVAILABLE = "55P03"  # PostgreSQL's code of an ended `lock_timeout`
# A read waits only for the strongest mode, also behind one that waits itself. A write waits for a process that does
# not wait itself, of several probably the oldest.
HOLDERS = """
    SELECT l.pid, a.usename, a.application_name, c.relname FROM pg_catalog.pg_locks l
    JOIN pg_catalog.pg_class c ON c.oid = l.relation JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
    WHERE n.nspname = %s AND c.relkind IN ('r', 'p') AND l.pid <> pg_backend_pid() AND l.mode <> 'AccessShareLock'
    ORDER BY l.mode <> 'AccessExclusiveLock', NOT l.granted,
        EXISTS (SELECT FROM pg_catalog.pg_locks w WHERE w.pid = l.pid AND NOT w.granted), a.xact_start NULLS LAST, l.pid
    LIMIT 1
"""


def wait_s(timeout: float) -> float:
    """How long a statement waits for a lock where an answer may take `timeout`, both in s."""
    return SHARE * min(timeout, deadline.left())


def raise_if_locked(error: Exception, database: Database, connection: Any = None) -> None:
    """Raises `RegistryLocked`, with who has locked it where the server tells it, if that is what the error says.

    Ends the transaction of a connection to PostgreSQL.
    """
    import shlex

    if database.kind == "sqlite":
        if "is locked" in str(error):
            who = f"another process; fuser {shlex.quote(str(database.file))} lists those that have it open"
            raise RegistryLocked(f"registry {database.shown}: locked by {who}") from None
        return
    if getattr(error, "pgcode", None) != LOCK_NOT_AVAILABLE:
        return
    by = "another session"
    with contextlib.suppress(Exception):  # whatever the driver raises: the lock is what matters
        connection.rollback()
        for pid, user, application, table in connection.execute(HOLDERS, (database.schema,)):
            who = ", ".join(f"{k} {v!r}" for k, v in (("user", user), ("application", application)) if v)
            by = f"server process {pid} ({who or 'of another user'}; table {table})"
    raise RegistryLocked(f"registry {database.shown}: locked by {by}; repeat when its transaction has ended") from None
