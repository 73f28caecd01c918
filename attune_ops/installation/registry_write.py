"""Writing the worker registry as Attune's workers do: register by name, heartbeat, clean stop.

Each write is one transaction: a worker is registered completely or not at all.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec

from attune_ops.installation import registry_locked, registry_read, registry_session
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


Row = dict[str, Any]  # columns of one row, as the database has them
Guard = Callable[[int, Worker | None], None]  # gets the id, and the worker of a name that is known

IDENTITY = ("host", "port", "capabilities", "cordon_reason")  # what tells one registration from the next

# The reason of a cordon of ours. Only a row that we added ourselves is deleted, also one that a killed run left.
CORDONED, ADDED = "attune-ops startup", "attune-ops startup added this worker"


class Registered(NamedTuple):
    """A registration: the worker's id, and whether the name was known (it then keeps its id).

    `written` is what the row holds since, in the columns that tell one registration from the next; empty where a known
    row was left as it is. `status` is that of the row: inactive where it shall get no work and the release cannot
    cordon. `left_over`: a killed run has added the row.
    """

    id: int
    name: str
    known: bool
    written: Row
    status: str = WorkerStatus.ACTIVE.value
    left_over: bool = False


def register(
    database: Database,
    name: str,
    *,
    host: str | None = None,
    port: int | None = None,
    concurrency: int | None = None,
    cordon: bool = False,
    guard: Guard | None = None,
    timeout: float = 10.0,
) -> Registered:
    """Registers a worker as running: updates the newest row of that name, which keeps its id, or adds a row.

    Changes one row of the worker table, without columns that the release lacks. With `cordon` the scheduler sends the
    worker nothing because of it: a new row is cordoned, or inactive where the release cannot cordon; on a known row the
    update is tried and rolled back, so that whatever ends the process, the row is its worker's own. `guard` is called
    before the row is changed, in the same transaction; what it raises leaves everything as it is. Undo: `give_back`; or
    `deactivate`, which keeps the row, as Attune does. Raises `SourceError` where the database or its table is missing,
    and `ActionError` where it refuses; nothing was changed then. `timeout` in s.
    """
    if not name:
        raise ConfigError("the worker's name is empty")
    capabilities = {} if concurrency is None else {"max_concurrent_executions": concurrency}
    values = {
        "host": socket.gethostname() if host is None else host,
        "port": port,
        "capabilities": msgspec.json.encode(capabilities).decode(),
    }
    if cordon:
        values |= {"cordoned": True, "cordon_reason": CORDONED}
    with _writing(database, f"registering worker {name!r}", timeout, create=True) as table:
        status = WorkerStatus.INACTIVE if cordon and "cordoned" not in table.columns else WorkerStatus.ACTIVE
        return table.register(name, {k: v for k, v in values.items() if k in table.columns}, status, guard, cordon)


def heartbeat(database: Database, worker_id: int, status: str = WorkerStatus.ACTIVE, *, timeout: float = 10.0) -> None:
    """Sets a worker's heartbeat to now, and its status; raises as `register`, also for a missing row.

    There is no undo; a heartbeat becomes stale by itself.
    """
    with _writing(database, f"heartbeat of worker {worker_id}", timeout) as table:
        table.mark(worker_id, status, beat=True)


def deactivate(database: Database, worker_id: int, *, timeout: float = 10.0) -> None:
    """Sets a worker's status to inactive, as a clean stop does; raises as `heartbeat`. Undo: `register` its name."""
    with _writing(database, f"stopping worker {worker_id}", timeout) as table:
        table.mark(worker_id, WorkerStatus.INACTIVE, beat=False)


def give_back(database: Database, registered: Registered, *, timeout: float = 10.0) -> None:
    """Deletes the row that `register` added; a known row that was left as it is stays so.

    Raises as `heartbeat`, and `ActionError` where another process has registered the name meanwhile.
    """
    if registered.written:
        with _writing(database, f"giving worker {registered.id} back", timeout) as table:
            table.delete(registered)


def retire(database: Database, worker: Worker, *, timeout: float = 10.0) -> None:
    """Sets the status of a dead worker to inactive; raises as `heartbeat`.

    Raises `ActionError` and changes nothing where the worker has sent a heartbeat since `worker` was read.
    Undo: its next start sets it active; since Attune 0.6.0 its next heartbeat does, too.
    """
    with _writing(database, f"retiring worker {worker.id}", timeout) as table:
        table.mark(worker.id, WorkerStatus.INACTIVE, beat=False)  # this locks the row
        found = registry_read.read_worker(table.session, str(worker.id))
        if found is None or found.last_heartbeat != worker.last_heartbeat:
            raise ActionError(f"worker {worker.id} ({worker.name}) has sent a heartbeat since; nothing was changed")


class _Table(NamedTuple):
    """The worker table inside one transaction."""

    session: registry_session.Session
    columns: frozenset[str]

    def register(self, name: str, values: Row, status: WorkerStatus, guard: Guard | None, cordon: bool) -> Registered:
        """Updates the newest row of that name, or inserts one; with `cordon` only tries to update a known one."""
        if self.session.kind == "postgresql":
            # Attune's schema does not make a name unique: two registrations at once would both insert.
            self.session.rows("SELECT pg_advisory_xact_lock(hashtext(?))", name)
        table = self.session.table("worker")
        lock = " FOR UPDATE" if self.session.kind == "postgresql" else ""
        found = self.session.rows(f"SELECT id FROM {table} WHERE name = ? ORDER BY id DESC LIMIT 1{lock}", name)
        if found:
            worker_id = int(found[0][0])
            if guard is not None:
                guard(worker_id, registry_read.read_worker(self.session, str(worker_id)))
            added = "cordon_reason" in values and self._is_ours(worker_id, values)
            if added:  # by a run that was killed before it could delete it
                values["cordon_reason"] = ADDED
            elif cordon:
                return Registered(worker_id, name, True, {}, self._try(worker_id, status, values))
            self.mark(worker_id, status, beat=True, values=values)
            return Registered(worker_id, name, not added, self.row(worker_id, IDENTITY), status, added)
        if "cordon_reason" in values:
            values["cordon_reason"] = ADDED
        row = {"name": name, "worker_type": "local", "worker_role": WorkerRole.ACTION.value, **values}
        row |= {"status": status.value, "last_heartbeat": _now(), "created": _now(), "updated": _now()}
        row = {column: value for column, value in row.items() if column in self.columns}
        marks = ", ".join("?" * len(row))
        sql = f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks}) RETURNING id"
        worker_id = int(self.session.rows(sql, *row.values())[0][0])
        if guard is not None:
            guard(worker_id, None)
        return Registered(worker_id, name, False, self.row(worker_id, IDENTITY), status)

    def _try(self, worker_id: int, status: WorkerStatus, values: Row) -> str:
        """Updates a known row as its worker's start does, rolls that back, and returns the row's status."""
        before = self.row(worker_id, ("status", "cordon_reason"))
        if before.get("cordon_reason") == CORDONED:  # by a killed run of a release that wrote to known rows
            before["status"] = WorkerStatus.INACTIVE.value
            self.mark(worker_id, before["status"], beat=False, values={"cordoned": False, "cordon_reason": None})
        self.session.connection.execute("SAVEPOINT before")
        self.mark(worker_id, status, beat=True, values=values)
        self.session.connection.execute("ROLLBACK TO SAVEPOINT before")
        return str(before["status"])

    def _is_ours(self, worker_id: int, values: dict[str, Any]) -> bool:
        """Whether we added this row, and no worker has registered with its own host, port and capabilities since."""
        there = self.row(worker_id, IDENTITY)
        capabilities = msgspec.json.decode(there["capabilities"] or "null")
        return (
            there["cordon_reason"] == ADDED
            and (there["host"], there["port"]) == (values["host"], values["port"])
            and capabilities == msgspec.json.decode(values["capabilities"])
        )

    def row(self, worker_id: int, columns: Iterable[str]) -> Row:
        """These columns of one row, where the table has them; from PostgreSQL as text, which it reads back equal."""
        there = [c for c in dict.fromkeys(columns) if c in self.columns]
        text = "{}" if self.session.kind == "sqlite" else "CAST({} AS TEXT)"
        sql = f"SELECT {', '.join(text.format(c) for c in there)} FROM {self.session.table('worker')} WHERE id = ?"
        found = self.session.rows(sql, worker_id)
        if not found:
            raise ActionError(f"registry {self.session.database.shown}: no worker {worker_id} any more")
        return dict(zip(there, found[0], strict=True))

    def delete(self, registered: Registered) -> None:
        """Deletes the row of a registration, unless another process has registered it since."""
        table, worker_id = self.session.table("worker"), registered.id
        if self.session.kind == "postgresql":  # an UPDATE would be written to worker_history
            self.session.rows(f"SELECT id FROM {table} WHERE id = ? FOR UPDATE", worker_id)
        if self.row(worker_id, IDENTITY) != registered.written:
            raise ActionError(f"another process has registered worker {worker_id} since; its row was left as it is")
        self.session.rows(f"DELETE FROM {table} WHERE id = ? RETURNING id", worker_id)

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
    connection = registry_session.connect(database, timeout, "create" if create else "write")
    try:
        session = registry_session.Session(connection, database)
        session.rows("BEGIN IMMEDIATE" if database.kind == "sqlite" else "BEGIN")
        columns = session.columns("worker")
        if database.kind == "sqlite" and create and not columns:
            session.rows(SQLITE_WORKER)
            columns = session.columns("worker")
        registry_session.check_table(session, "worker", columns, registry_read.WORKER_NEEDS)
        yield _Table(session, frozenset(columns))
        connection.commit()
    except (SourceError, ActionError):
        connection.rollback()
        raise
    except Exception as e:  # noqa: BLE001 - whatever the driver raises
        with contextlib.suppress(Exception):
            connection.rollback()
        registry_locked.raise_if_locked(e, database, connection)
        raise ActionError(
            f"registry {database.shown}: {doing} failed, nothing was changed: {registry_session.first_line(e)}"
        ) from None
    finally:
        connection.close()
