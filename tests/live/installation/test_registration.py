"""Writing the worker registry: Attune's own tables in PostgreSQL of several releases, and the SQLite file."""

from __future__ import annotations

import secrets
import threading
from pathlib import Path

import psycopg
import pytest

from attune_ops.installation import registry_write
from attune_ops.installation.config.settings import Database
from attune_ops.installation.config.urls import parse_database
from attune_ops.installation.registry_read import read_worker
from attune_ops.installation.registry_session import session
from attune_ops.model.errors import ActionError, ConfigError, RegistryLocked, SourceError
from tests.hostile import NAMES


@pytest.fixture(params=["sqlite", "postgresql", "older postgresql"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    """A registry without a worker, of each kind."""
    fixtures = {"postgresql": "database", "older postgresql": "older_database"}
    if request.param in fixtures:
        return parse_database(request.getfixturevalue(fixtures[request.param]), "test")
    return parse_database(f"sqlite:///{tmp_path}/registry.sqlite", "test")


def status(database: Database, worker: int) -> str:
    with session(database) as s:
        found = read_worker(s, str(worker))
        assert found is not None
        return str(found.status)


def test_a_worker_registers_beats_and_stops(empty: Database) -> None:
    first = registry_write.register(empty, "w1", host="h1", port=80, concurrency=4)
    assert (first.id, first.name, first.known) == (1, "w1", False)
    with session(empty) as s:
        row = read_worker(s, "w1")
    assert row is not None
    assert (row.id, row.status, row.host, row.port, row.concurrency) == (1, "active", "h1", 80, 4)
    assert row.last_heartbeat is not None
    assert row.created is not None

    registry_write.heartbeat(empty, 1)
    with session(empty) as s:
        later = read_worker(s, "w1")
    assert later is not None
    assert later.last_heartbeat is not None
    assert later.last_heartbeat > row.last_heartbeat
    registry_write.deactivate(empty, 1)
    assert status(empty, 1) == "inactive"


def test_a_known_name_keeps_its_id_and_the_newest_row_counts(empty: Database) -> None:
    for name in ("w1", "w2", "w3"):
        registry_write.register(empty, name)
    registry_write.deactivate(empty, 2)
    again = registry_write.register(empty, "w2", host="elsewhere", concurrency=16)
    assert (again.id, again.known) == (2, True)
    with session(empty) as s:
        row = read_worker(s, "w2")
    assert row is not None
    assert (row.status, row.host, row.concurrency) == ("active", "elsewhere", 16)


def test_an_empty_name(empty: Database) -> None:
    with pytest.raises(ConfigError, match="empty"):
        registry_write.register(empty, "")


def test_hostile_names(empty: Database) -> None:
    names = [n for n in NAMES if n and ("\x00" not in n or empty.kind == "sqlite")]
    for number, name in enumerate(names, 1):
        assert registry_write.register(empty, name).id == number
        assert registry_write.register(empty, name).id == number
    with session(empty) as s:
        found = s.rows(f"SELECT name FROM {s.table('worker')} ORDER BY id")
    assert [row[0] for row in found] == names


def test_two_at_once_make_one_row(empty: Database) -> None:
    ids: list[int] = []
    together = threading.Barrier(4)

    def take() -> None:
        together.wait(20)
        ids.append(registry_write.register(empty, "same").id)

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ids == [1] * 4


def test_a_worker_that_is_gone_is_an_error(empty: Database) -> None:
    registry_write.register(empty, "w1")
    with pytest.raises(ActionError, match="no worker 7 any more"):
        registry_write.heartbeat(empty, 7)
    with pytest.raises(ActionError, match="no worker 7 any more"):
        registry_write.deactivate(empty, 7)


def test_a_name_that_postgresql_cannot_hold_registers_nothing(database: str) -> None:
    made = parse_database(database, "test")
    with pytest.raises(ActionError, match="nothing was changed"):
        registry_write.register(made, "nul\x00")
    with psycopg.connect(database) as connection:
        assert connection.execute("SELECT count(*) FROM attune.worker").fetchone() == (0,)


def test_a_newer_release_whose_new_column_is_required(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("ALTER TABLE attune.worker ADD COLUMN region TEXT NOT NULL")
    with pytest.raises(ActionError, match="region"):
        registry_write.register(parse_database(database, "test"), "w1")
    with psycopg.connect(database) as connection:
        assert connection.execute("SELECT count(*) FROM attune.worker").fetchone() == (0,)


def test_a_newer_release_whose_new_column_has_a_default(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("ALTER TABLE attune.worker ADD COLUMN region TEXT NOT NULL DEFAULT 'eu'")
    assert registry_write.register(parse_database(database, "test"), "w1").id == 1


def test_a_cordoned_worker_stays_cordoned(database: str) -> None:
    made = parse_database(database, "test")
    registry_write.register(made, "w1")
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("UPDATE attune.worker SET cordoned = true")
    registry_write.register(made, "w1")
    with session(made) as s:
        row = read_worker(s, "w1")
    assert row is not None
    assert row.cordoned is True


def test_a_user_who_may_only_read(database: str) -> None:
    reader = f"reader_{secrets.token_hex(4)}"
    url = f"postgresql://{reader}:reads@{database.rpartition('@')[2]}"
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {reader} LOGIN PASSWORD 'reads'".encode())
        connection.execute(f"GRANT USAGE ON SCHEMA attune TO {reader}".encode())
        connection.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA attune TO {reader}".encode())
        try:
            with pytest.raises(ActionError, match="permission denied"):
                registry_write.register(parse_database(url, "test"), "w1")
        finally:
            connection.execute(f"DROP OWNED BY {reader}".encode())
            connection.execute(f"DROP ROLE {reader}".encode())


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("postgresql://u:hush@127.0.0.1:1/attune", "connection refused"),
        ("sqlite:////proc/nowhere/registry.sqlite", "cannot open it for writing"),
    ],
)
def test_a_database_that_cannot_be_reached(url: str, says: str) -> None:
    with pytest.raises(SourceError, match=says) as complaint:
        registry_write.register(parse_database(url, "test"), "w1")
    assert "hush" not in str(complaint.value)


def test_a_database_without_attune_s_schema(database: str) -> None:
    with pytest.raises(SourceError, match="no table worker"):
        registry_write.register(parse_database(database, "test", "nowhere"), "w1")


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("not a database, however long it may be. " * 100)
    with pytest.raises((SourceError, ActionError), match="not a database"):
        registry_write.register(parse_database(f"sqlite:///{tmp_path}/text", "test"), "w1")


def test_a_file_that_was_locked_for_too_long(tmp_path: Path) -> None:
    import sqlite3

    made = parse_database(f"sqlite:///{tmp_path}/registry.sqlite", "test")
    registry_write.register(made, "w1")
    with sqlite3.connect(made.file, isolation_level=None) as holder:
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(RegistryLocked, match="locked by another process"):
            registry_write.register(made, "w2", timeout=0.2)
        holder.execute("ROLLBACK")
    assert registry_write.register(made, "w3").id == 2
