"""Reading the worker registry: its workers and executions, as each release of Attune writes them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from itertools import repeat
from typing import Any

import msgspec

from attune_ops.installation import registry_locked
from attune_ops.installation.management_types.fields import from_text
from attune_ops.installation.registry_session import Session, check_table, first_line
from attune_ops.model.errors import SourceError
from attune_ops.model.registry import STALE_AFTER, Execution, RegistryView, Worker

# Our member and Attune's column. The first line is in every release.
WORKER = {
    "id": "id", "name": "name", "status": "status", "last_heartbeat": "last_heartbeat",
    "type": "worker_type", "role": "worker_role", "host": "host", "port": "port", "cordoned": "cordoned",
    "cordon_reason": "cordon_reason", "concurrency": "capabilities", "created": "created", "updated": "updated",
}  # fmt: skip
WORKER_NEEDS = ("id", "name", "status", "last_heartbeat")
WORKER_KNOWN = frozenset((*WORKER.values(), "runtime", "meta", "cordoned_by", "cordoned_at"))
EXECUTION = ("id", "action_ref", "status", "worker", "created", "updated", "started_at")
EXECUTION_NEEDS = ("id", "action_ref", "status")
ENDED = ("completed", "failed", "cancelled", "timeout", "abandoned")
MOST_EXECUTIONS = 100_000
CONCURRENCY = ("max_concurrent_executions", "concurrency")  # in the capabilities; the second is of older releases
ADMISSION = "execution_admission_entry"
QUERY_CANCELED = "57014"  # PostgreSQL's code of an ended `statement_timeout`


def read_registry(
    s: Session, *, stale_after: float = STALE_AFTER.total_seconds(), executions: bool = True
) -> RegistryView:
    """Reads all workers and, where the table exists, the executions that have not ended. Changes nothing.

    Raises `SourceError` where the schema is missing, the tables are not Attune's, or the workers cannot be read.
    Where only the executions cannot be read, they are None, with the reason. `stale_after` in s.
    """
    columns = _worker_columns(s)
    workers = _workers(s, columns)
    notes = _notes(s, columns)
    there = s.columns("execution") if executions else ()
    lacking = executions and not set(EXECUTION) <= set(there)
    unreadable = s.unreadable("execution", EXECUTION) if lacking else ""
    if not set(EXECUTION_NEEDS) <= set(there):
        return RegistryView(s.kind, workers, None, notes, stale_after, unreadable=unreadable)
    try:
        parked = _parked(s)
        running = _executions(s, there, parked or frozenset())
    except Exception as e:  # noqa: BLE001 - whatever the driver raises; the workers are known
        registry_locked.raise_if_locked(e, s.database, s.connection)
        hint = "; try a longer --timeout" if getattr(e, "pgcode", None) == QUERY_CANCELED else ""
        unreadable = f"the executions were not read: {first_line(e)}{hint}"
        return RegistryView(s.kind, workers, None, notes, stale_after, unreadable=unreadable, read_failed=True)
    if len(running) > MOST_EXECUTIONS:
        running = running[:MOST_EXECUTIONS]
        notes += (f"of the executions that have not ended only the oldest {MOST_EXECUTIONS:,} were read",)
    assigned, known = "worker" in there, parked is not None
    return RegistryView(s.kind, workers, running, notes, stale_after, assigned, known, unreadable)


def read_worker(s: Session, id_or_name: str) -> Worker | None:
    """Reads one worker by its id, or the newest of that name; None where there is none. Changes nothing."""
    if id_or_name.isascii() and id_or_name.isdecimal() and len(id_or_name) < 19:
        found = _workers(s, _worker_columns(s), "id = ?", int(id_or_name))
        if found:
            return found[0]
    return worker_named(s, id_or_name)


def worker_named(s: Session, name: str) -> Worker | None:
    """Reads the newest worker of that name; None where there is none. Changes nothing."""
    return next(iter(_workers(s, _worker_columns(s), "name = ?", name, newest_first=True)), None)


def _worker_columns(s: Session) -> tuple[str, ...]:
    """The columns of the worker table; raises `SourceError` with the GRANT where one that is needed is hidden.

    The role is such a one: only in an older release without it every worker has queues.
    """
    columns, needed = s.columns("worker"), (*WORKER_NEEDS, WORKER["role"])
    hidden = s.unreadable("worker", needed) if columns and not set(needed) <= set(columns) else ""
    if hidden:
        raise SourceError(f"registry {s.database.shown}: {hidden}")
    return columns


def _workers(
    s: Session, columns: tuple[str, ...], where: str = "", *values: Any, newest_first: bool = False
) -> tuple[Worker, ...]:
    check_table(s, "worker", columns, WORKER_NEEDS)
    members = {member: column for member, column in WORKER.items() if column in columns}
    sql = f"SELECT {', '.join(members.values())} FROM {s.table('worker')}"
    sql += (f" WHERE {where}" if where else "") + f" ORDER BY id{' DESC' if newest_first else ''}"
    rows = s.rows(sql, *values)
    if not rows:
        return ()
    # By columns: for ten thousand workers that takes half the time.
    found: dict[str, Iterable[Any]] = dict(zip(members, zip(*rows, strict=True), strict=True))
    found |= {member: map(convert, found[member]) for member, convert in _CONVERTED.items() if member in found}
    return tuple(map(Worker, *(found.get(member, repeat(None)) for member in Worker.__struct_fields__)))


def _parked(s: Session) -> frozenset[int] | None:
    """The executions that a concurrency policy holds back; None where the table exists and cannot be read."""
    if not s.has_table(ADMISSION):
        return frozenset()
    if not s.may_read(ADMISSION) or not {"execution_id", "status"} <= set(s.columns(ADMISSION)):
        return None
    sql = f"SELECT execution_id FROM {s.table(ADMISSION)} WHERE CAST(status AS TEXT) = ?"
    return frozenset(int(row[0]) for row in s.rows(sql, "queued"))


def _executions(s: Session, columns: tuple[str, ...], parked: frozenset[int]) -> tuple[Execution, ...]:
    members = [c for c in EXECUTION if c in columns]
    # Compared as text: an older release's enum lacks some of these labels, and an unknown label raises an error.
    sql = (
        f"SELECT {', '.join(members)} FROM {s.table('execution')} "
        f"WHERE CAST(status AS TEXT) NOT IN ({', '.join('?' * len(ENDED))}) ORDER BY id LIMIT {MOST_EXECUTIONS + 1}"
    )
    found = []
    for row in s.rows(sql, *ENDED):
        values = dict(zip(members, row, strict=True))
        for member in {"created", "updated", "started_at"} & set(values):
            values[member] = _time(values[member])
        values |= {"status": str(values["status"]), "parked": values["id"] in parked}
        found.append(Execution(**values))
    return tuple(found)


def ended_executions(s: Session, ids: Sequence[int]) -> dict[int, str]:
    """Reads which of these executions have ended, and with which status. Changes nothing.

    Raises `SourceError` where there is no execution table, or it is not Attune's.
    """
    check_table(s, "execution", s.columns("execution"), EXECUTION_NEEDS)
    found: dict[int, str] = {}
    for start in range(0, len(ids), 500):  # SQLite takes no more than 999 values
        some = ids[start : start + 500]
        sql = (
            f"SELECT id, status FROM {s.table('execution')} WHERE id IN ({', '.join('?' * len(some))}) "
            f"AND CAST(status AS TEXT) IN ({', '.join('?' * len(ENDED))})"
        )
        found |= {int(row[0]): str(row[1]) for row in s.rows(sql, *some, *ENDED)}
    return found


def _notes(s: Session, columns: tuple[str, ...]) -> tuple[str, ...]:
    missing = [c for c in WORKER.values() if c not in columns]
    hidden = s.unreadable("worker", missing) if missing else ""
    unknown = [c for c in columns if c not in WORKER_KNOWN]
    older = f"the worker table has no {', '.join(missing)}: an older release" if missing and not hidden else hidden
    newer = f"the worker table also has {', '.join(unknown)}, unknown to this tool" if unknown else ""
    return tuple(note for note in (older, newer) if note)


def _time(value: Any) -> datetime | None:
    """A time of the driver, in UTC; SQLite has text without a zone, which means UTC."""
    if isinstance(value, str):
        value = from_text(value)
    if not isinstance(value, datetime):
        return None
    zone = value.tzinfo
    return value if zone is UTC else value.replace(tzinfo=UTC) if zone is None else value.astimezone(UTC)


def _concurrency(capabilities: Any) -> int | None:
    """The worker's number of parallel executions, if its capabilities have it."""
    if isinstance(capabilities, str):
        try:
            capabilities = msgspec.json.decode(capabilities)
        except msgspec.DecodeError:
            return None
    if not isinstance(capabilities, dict):
        return None
    found = (capabilities.get(name) for name in CONCURRENCY)
    return next((v for v in found if isinstance(v, int) and not isinstance(v, bool)), None)


# How a column's values become a member's.
_CONVERTED: dict[str, Callable[[Any], Any]] = {
    "status": str,
    "last_heartbeat": _time,
    "cordoned": lambda value: None if value is None else bool(value),
    "concurrency": _concurrency,
    "created": _time,
    "updated": _time,
}
