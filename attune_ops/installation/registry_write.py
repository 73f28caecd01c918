"""Writing the worker registry as Attune's workers do: register by name, heartbeat, clean stop.

Each write is one transaction: a worker is registered completely or not at all.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec

from attune_ops.installation import registry_read as source
from attune_ops.installation.config.settings import Database
from attune_ops.model.errors import ActionError, ConfigError, SourceError
from attune_ops.model.registry import Worker, WorkerRole, WorkerStatus

# Attune's own columns, so that one reader reads both. AUTOINCREMENT: as with BIGSERIAL, no id is given twice.
SQLITE_WORKER = """
CREATE TABLE IF NOT EXISTS worker (
    id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, worker_type TEXT NOT NULL DEFAULT 'local',
    worker_role TEXT NOT NULL DEFAULT 'action', runtime INTEGER, host TEXT, port INTEGER,
    status TEXT NOT NULL DEFAULT 'inactive', capabilities TEXT, meta TEXT, last_heartbeat TEXT,
    cordoned INTEGER NOT NULL DEFAULT 0, cordon_reason TEXT, cordoned_by TEXT, cordoned_at TEXT,
    created TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP, updated TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
)"""


class Registered(NamedTuple):
    """A registration: the worker's id, and whether the name was known (it then keeps its id)."""

    id: int
    name: str
    known: bool


def register(
    database: Database,
    name: str,
    *,
    host: str | None = None,
    port: int | None = None,
    concurrency: int | None = None,
    timeout: float = 10.0,
) -> Registered:
    """Registers a worker as running: updates the newest row of that name, which keeps its id, or adds a row.

    Changes one row of the worker table, without columns that the release lacks. Undo: `deactivate`, which keeps the
    row, as Attune does. Raises `SourceError` where the database or its table is missing, and `ActionError` where it
    refuses; nothing was changed then. `timeout` in s.
    """
    if not name:
        raise ConfigError("the worker's name is empty")
    capabilities = {} if concurrency is None else {"max_concurrent_executions": concurrency}
    values = {
        "host": socket.gethostname() if host is None else host,
        "port": port,
        "capabilities": msgspec.json.encode(capabilities).decode(),
    }
    with _writing(database, f"registering worker {name!r}", timeout, create=True) as table:
        return table.register(name, {k: v for k, v in values.items() if k in table.columns})


def heartbeat(database: Database, worker_id: int, *, timeout: float = 10.0) -> None:
    """Sets a worker's heartbeat to now and its status to active; raises as `register`, also for a missing row.

    There is no undo; a heartbeat becomes stale by itself.
    """
    with _writing(database, f"heartbeat of worker {worker_id}", timeout) as table:
        table.mark(worker_id, WorkerStatus.ACTIVE, beat=True)


def deactivate(database: Database, worker_id: int, *, timeout: float = 10.0) -> None:
    """Sets a worker's status to inactive, as a clean stop does; raises as `heartbeat`. Undo: `register` its name."""
    with _writing(database, f"stopping worker {worker_id}", timeout) as table:
        table.mark(worker_id, WorkerStatus.INACTIVE, beat=False)


def retire(database: Database, worker: Worker, *, timeout: float = 10.0) -> None:
    """Sets the status of a dead worker to inactive; raises as `heartbeat`.

    Raises `ActionError` and changes nothing where the worker has sent a heartbeat since `worker` was read.
    Undo: its next heartbeat or start sets it active.
    """
    with _writing(database, f"retiring worker {worker.id}", timeout) as table:
        table.mark(worker.id, WorkerStatus.INACTIVE, beat=False)  # this locks the row
        found = source.read_worker(table.session, str(worker.id))
        if found is None or found.last_heartbeat != worker.last_heartbeat:
            raise ActionError(f"worker {worker.id} ({worker.name}) has sent a heartbeat since; nothing was changed")


class _Table(NamedTuple):
    """The worker table inside one transaction."""

    session: source.Session
    columns: frozenset[str]

    def register(self, name: str, values: dict[str, Any]) -> Registered:
        """Updates the newest row of that name, or inserts one."""
        if self.session.kind == "postgresql":
            # Attune's schema does not make a name unique: two registrations at once would both insert.
            self.session.rows("SELECT pg_advisory_xact_lock(hashtext(?))", name)
        table = self.session.table("worker")
        found = self.session.rows(f"SELECT id FROM {table} WHERE name = ? ORDER BY id DESC LIMIT 1", name)
        if found:
            worker_id = int(found[0][0])
            self.mark(worker_id, WorkerStatus.ACTIVE, beat=True, values=values)
            return Registered(worker_id, name, known=True)
        row = {"name": name, "worker_type": "local", "worker_role": WorkerRole.ACTION.value, **values}
        row |= {"status": WorkerStatus.ACTIVE.value, "last_heartbeat": _now(), "created": _now(), "updated": _now()}
        row = {column: value for column, value in row.items() if column in self.columns}
        marks = ", ".join("?" * len(row))
        sql = f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks}) RETURNING id"
        return Registered(int(self.session.rows(sql, *row.values())[0][0]), name, known=False)

    def mark(self, worker_id: int, status: str, *, beat: bool, values: dict[str, Any] | None = None) -> None:
        """Sets the status of one row, its heartbeat with `beat`, and `values`."""
        row = {"status": str(status), "updated": _now(), **(values or {})}
        if beat:
            row["last_heartbeat"] = _now()
        row = {column: value for column, value in row.items() if column in self.columns}
        assignments = ", ".join(f"{column} = ?" for column in row)
        sql = f"UPDATE {self.session.table('worker')} SET {assignments} WHERE id = ? RETURNING id"
        if not self.session.rows(sql, *row.values(), worker_id):
            raise ActionError(f"registry {self.session.database.shown}: no worker {worker_id} any more")


def _now() -> str:
    return datetime.now(UTC).isoformat()


@contextlib.contextmanager
def _writing(database: Database, doing: str, timeout: float, *, create: bool = False) -> Iterator[_Table]:
    """Opens the database for one transaction, which is rolled back where anything in the block fails."""
    connection = source.connect(database, timeout, "create" if create else "write")
    try:
        session = source.Session(connection, database)
        if database.kind == "sqlite":
            session.rows("BEGIN IMMEDIATE")
            if create:
                session.rows(SQLITE_WORKER)
        columns = session.columns("worker")
        source.check_table(session, "worker", columns, source.WORKER_NEEDS)
        yield _Table(session, frozenset(columns))
        connection.commit()
    except (SourceError, ActionError):
        connection.rollback()
        raise
    except Exception as e:  # noqa: BLE001 - whatever the driver raises
        with contextlib.suppress(Exception):
            connection.rollback()
        raise ActionError(
            f"registry {database.shown}: {doing} failed, nothing was changed: {source.first_line(e)}"
        ) from None
    finally:
        connection.close()
