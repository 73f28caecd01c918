"""Reading a registry in a SQLite file: what is there, what an older release lacks, and what is no registry."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from urllib.parse import quote

import pytest

from attune_ops.installation import registry_read, registry_session
from attune_ops.installation.config.settings import Database
from attune_ops.installation.config.urls import parse_database
from attune_ops.model.errors import ActionError, SourceError
from attune_ops.model.registry import RegistryView, Worker

NOW = datetime(2026, 1, 16, 12, 0, 0, 500_000, tzinfo=UTC)
CONCURRENCY = '{"max_concurrent_executions": 4}'
NEWEST = (
    "id INTEGER PRIMARY KEY, name TEXT, worker_type TEXT, worker_role TEXT, runtime INTEGER, host TEXT, port INTEGER, "
    "status TEXT, capabilities TEXT, meta TEXT, last_heartbeat TEXT, created TEXT, updated TEXT, cordoned INTEGER, "
    "cordon_reason TEXT, cordoned_by TEXT, cordoned_at TEXT"
)


def at(path: Path) -> Database:
    return parse_database(f"sqlite:///{quote(str(path))}", "--database-url")


def write(path: Path, *statements: str) -> Database:
    with sqlite3.connect(path) as connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()
    return at(path)


def read(database: Database) -> RegistryView:
    with registry_session.session(database) as session:
        return registry_read.read_registry(session, stale_after=10)


def worker(database: Database, id_or_name: str) -> Worker | None:
    with registry_session.session(database) as session:
        return registry_read.read_worker(session, id_or_name)


def test_an_error_of_whoever_uses_the_session_is_not_the_registrys(tmp_path: Path) -> None:
    with pytest.raises(ActionError, match=r"^the broker refuses$"), registry_session.session(write(tmp_path / "r.db")):
        raise ActionError("the broker refuses")


def test_present_release(tmp_path: Path) -> None:
    beat = NOW.astimezone(timezone(timedelta(hours=2))).isoformat()
    database = write(
        tmp_path / "r.db",
        f"CREATE TABLE worker ({NEWEST})",
        "INSERT INTO worker (id, name, worker_type, worker_role, host, port, status, capabilities, last_heartbeat, "
        "cordoned, cordon_reason, created) "
        f"VALUES (7, 'w7', 'local', 'hybrid', 'h', 80, 'busy', '{CONCURRENCY}', '{beat}', 1, 'why', "
        "'2026-01-16 12:00:00.500000')",
        "CREATE TABLE execution (id INTEGER, action_ref TEXT, status TEXT, worker INTEGER, created TEXT)",
        "INSERT INTO execution VALUES (1, 'core.a', 'running', 7, '2026-01-16 12:00:00.5')",
        "INSERT INTO execution VALUES (2, 'core.a', 'completed', 7, '')",
    )
    found = read(database)
    assert found.workers == (
        Worker(
            7, "w7", "busy", "hybrid", "local", "h", 80, last_heartbeat=NOW, cordoned=True, cordon_reason="why",
            concurrency=4, created=NOW,
        ),
    )  # fmt: skip
    assert [(e.id, e.status, e.worker, e.created) for e in found.executions or ()] == [(1, "running", 7, NOW)]
    assert (found.kind, found.notes, found.limit) == ("sqlite", (), timedelta(seconds=10))


def test_older_and_newer_columns_are_noted(tmp_path: Path) -> None:
    database = write(
        tmp_path / "r.db",
        "CREATE TABLE worker (id INTEGER, name TEXT, status TEXT, last_heartbeat TEXT, zone TEXT)",
        "INSERT INTO worker VALUES (1, 'w', 'active', NULL, 'z')",
    )
    found = read(database)
    assert found.workers == (Worker(1, "w"),)
    assert (found.executions, found.read_failed) == (None, False)
    older, newer = found.notes
    assert "worker_role" in older
    assert "cordoned" in older
    assert "older release" in older
    assert "zone" in newer


@pytest.mark.parametrize("value", ["nonsense", "{", "[1]", '{"concurrency": true}', '{"concurrency": "4"}', ""])
def test_capabilities_may_hold_anything(tmp_path: Path, value: str) -> None:
    path = tmp_path / "r.db"
    database = write(path, f"CREATE TABLE worker ({NEWEST})")
    with sqlite3.connect(path) as connection:
        connection.execute(
            "INSERT INTO worker (id, name, status, capabilities, last_heartbeat) VALUES (1, 'w', 'active', ?, ?)",
            (value, value),
        )
    connection.close()
    assert read(database).workers == (Worker(1, "w"),)


@pytest.mark.parametrize(
    ("capabilities", "says"),
    [
        ('{"concurrency": 3}', 3),  # of an older release
        ('{"concurrency": 3, "max_concurrent_executions": 5}', 5),
        ('{"max_concurrent_executions": null, "concurrency": 3}', 3),
    ],
)
def test_the_concurrency_of_each_release(tmp_path: Path, capabilities: str, says: int) -> None:
    database = write(
        tmp_path / "r.db",
        f"CREATE TABLE worker ({NEWEST})",
        f"INSERT INTO worker (id, name, status, capabilities) VALUES (1, 'w', 'active', '{capabilities}')",
    )
    assert read(database).workers == (Worker(1, "w", concurrency=says),)


def test_executions_of_january_name_no_worker_and_parked_ones_are_marked(tmp_path: Path) -> None:
    database = write(
        tmp_path / "r.db",
        f"CREATE TABLE worker ({NEWEST})",
        "CREATE TABLE execution (id INTEGER, action_ref TEXT, status TEXT)",
        "INSERT INTO execution VALUES (1, 'core.a', 'requested'), (2, 'core.a', 'requested')",
        "CREATE TABLE execution_admission_entry (execution_id INTEGER, status TEXT)",
        "INSERT INTO execution_admission_entry VALUES (1, 'active'), (2, 'queued')",
    )
    found = read(database)
    assert (found.assigned, found.parking_known) == (False, True)
    assert [(e.id, e.parked) for e in found.executions or ()] == [(1, False), (2, True)]


def test_executions_that_cannot_be_read_leave_the_workers(tmp_path: Path) -> None:
    database = write(
        tmp_path / "r.db",
        f"CREATE TABLE worker ({NEWEST})",
        "INSERT INTO worker (id, name, status) VALUES (1, 'w', 'active')",
        "CREATE VIEW execution AS SELECT 1 AS id, 'core.a' AS action_ref, json('{') AS status",
    )
    found = read(database)
    assert [w.name for w in found.workers] == ["w"]
    assert (found.executions, found.read_failed) == (None, True)
    assert found.unreadable == "the executions were not read: malformed JSON"


def test_more_executions_than_are_read_are_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database = write(
        tmp_path / "r.db",
        f"CREATE TABLE worker ({NEWEST})",
        "CREATE TABLE execution (id INTEGER, action_ref TEXT, status TEXT)",
        "INSERT INTO execution VALUES (1, 'core.a', 'requested'), (2, 'core.a', 'failed'), (3, 'core.a', 'running')",
    )
    note = "of the executions that have not ended only the oldest 1 were read"
    for most, ids, notes in ((1, [1], (note,)), (2, [1, 3], ()), (3, [1, 3], ())):
        monkeypatch.setattr(registry_read, "MOST_EXECUTIONS", most)
        found = read(database)
        assert [e.id for e in found.executions or ()] == ids
        assert found.notes == notes


def test_one_worker_by_id_or_newest_of_its_name(tmp_path: Path) -> None:
    names = ["twice", "twice", "1", "drop'; --", "a\nb 🐇"]
    path = tmp_path / "r.db"
    database = write(path, f"CREATE TABLE worker ({NEWEST})")
    with sqlite3.connect(path) as connection:
        for i, name in enumerate(names, start=10):
            connection.execute("INSERT INTO worker (id, name, status) VALUES (?, ?, 'active')", (i, name))
    connection.close()
    asked = ["10", "twice", "1", "drop'; --", "a\nb 🐇", "nobody", "99999999999999999999", "-1", ""]
    assert [w.id if w else None for w in (worker(database, a) for a in asked)] == [10, 11, 12, 13, 14, *[None] * 4]


def test_reading_creates_nothing(tmp_path: Path) -> None:
    path = tmp_path / "none.db"
    with pytest.raises(SourceError, match=r"the file does not exist.*--database-url"):
        read(at(path))
    assert not path.exists()


@pytest.mark.parametrize("name", ["a b.db", "a?b#c%20.db", "ä🐇.db", "it's.db", "x" * 240 + ".db"])
def test_any_file_name(tmp_path: Path, name: str) -> None:
    database = write(tmp_path / name, f"CREATE TABLE worker ({NEWEST})")
    assert read(database).workers == ()


def test_what_is_no_registry(tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("not a database, though long enough to be one" * 100)
    folder = tmp_path / "folder"
    folder.mkdir()
    other = write(tmp_path / "other", "CREATE TABLE worker (id INTEGER, name TEXT)")
    empty = write(tmp_path / "empty", "CREATE TABLE things (id INTEGER)")
    for database, says in (
        (at(text), "file is not a database"),
        (at(folder), "it is not a file"),
        (other, "table worker has no column status, last_heartbeat; it is not Attune's"),
        (empty, "no table worker"),
    ):
        with pytest.raises(SourceError) as e:
            read(database)
        assert str(e.value).startswith(f"registry {database.shown}: ")
        assert says in str(e.value)


def test_the_session_cannot_write(tmp_path: Path) -> None:
    database = write(tmp_path / "r.db", f"CREATE TABLE worker ({NEWEST})")
    with pytest.raises(SourceError, match="readonly"), registry_session.session(database) as session:
        session.rows("DELETE FROM worker")
