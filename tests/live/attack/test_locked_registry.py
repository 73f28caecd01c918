"""A registry that another process keeps locked: every command ends in time, with status 3, and says who locks it."""

from __future__ import annotations

import contextlib
import shlex
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from attune_ops.installation import registry_write
from attune_ops.installation.config.urls import parse_database
from attune_ops.topology.apply import apply_topology
from tests import postgres as pg
from tests.live.attack.proxy import Spent, margin, spend
from tests.world import Vhost, loaded

TIMEOUT_S = 4
PASSWORD = "onlooker-9f3c"
OLD = "2026-01-01 00:00:00+00:00"
READS = (
    "doctor", "workers", "orphans", "reap --grace 0s --apply", "retire --apply", "health worker w1",
    "startup --worker w9", "startup --worker w9 --hold",
)  # fmt: skip
WRITES = ("retire --apply", "startup --worker w1", "startup --worker w1 --hold --apply")


def run_all(folder: Path, environment: dict[str, str], lines: tuple[str, ...], at_once: int = 4) -> list[Spent]:
    def one(line: str) -> Spent:
        return spend(folder, environment, *shlex.split(line), "--timeout", f"{TIMEOUT_S}s")

    with ThreadPoolExecutor(at_once) as pool:
        return list(pool.map(one, lines))


def refused(lines: tuple[str, ...], found: list[Spent], by: str) -> None:
    for line, done in zip(lines, found, strict=True):
        assert done.status == 3, (line, done)
        assert done.seconds < TIMEOUT_S + margin(), (line, done)
        assert f"locked by {by}" in " ".join(done.said.split()), (line, done)
        assert "a bug" not in done.said
        if line.split()[0] not in ("doctor", "startup"):  # these report what they saw before
            assert done.said.count("\n") == 1, (line, done)


@pytest.fixture
def dead(database: str) -> str:
    """A registry with one dead worker: what there is to retire."""
    registry_write.register(parse_database(database, "test"), "w1")
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("UPDATE attune.worker SET last_heartbeat = %s", (OLD,))
    return database


def test_a_table_of_postgresql(vhost: Vhost, dead: str, tmp_path: Path) -> None:
    environment = vhost.environment | {"ATTUNE_OPS_TOPOLOGY": "attune-2026-01", "ATTUNE_OPS_DATABASE_URL": dead}
    with psycopg.connect(dead, application_name="migration") as holder:
        holder.execute("LOCK TABLE attune.worker")
        found = run_all(tmp_path, environment, READS)
        by_default = spend(tmp_path, environment, "startup", "--worker", "w9")
        holder.rollback()
        pid = holder.info.backend_pid
    refused(READS, found, f"server process {pid} (user 'attune', application 'migration'; table")
    assert (by_default.status, by_default.seconds < loaded(15)) == (3, True), by_default


def test_a_row_of_postgresql(vhost: Vhost, dead: str, tmp_path: Path) -> None:
    """What only reads is not disturbed; what would write the row changes nothing."""
    environment = vhost.environment | {"ATTUNE_OPS_TOPOLOGY": "attune-2026-01", "ATTUNE_OPS_DATABASE_URL": dead}
    apply_topology(vhost.settings(dead), write=True)  # in an empty virtual host nobody is retired
    with psycopg.connect(dead, application_name="migration") as holder:
        before = holder.execute("SELECT w::text FROM attune.worker w FOR UPDATE").fetchall()
        assert spend(tmp_path, environment, "workers").status == 0
        alone = run_all(tmp_path, environment, WRITES, 1)  # beside each other they wait for each other, too
        refused(WRITES, alone, f"server process {holder.info.backend_pid} (")
        holder.rollback()
        assert holder.execute("SELECT w::text FROM attune.worker w").fetchall() == before


def test_a_holder_of_another_user_is_told(vhost: Vhost, dead: str, postgres: pg.Server, tmp_path: Path) -> None:
    """PostgreSQL shows an ordinary user the process, the user and the application of another."""
    with psycopg.connect(dead, autocommit=True) as connection:
        connection.execute(
            f"CREATE ROLE onlooker LOGIN PASSWORD '{PASSWORD}'; GRANT USAGE ON SCHEMA attune TO onlooker; "
            "GRANT SELECT ON ALL TABLES IN SCHEMA attune TO onlooker".encode()
        )
    mine = f"postgresql://onlooker:{PASSWORD}@{dead.rpartition('@')[2]}"
    try:
        with psycopg.connect(dead) as holder:
            holder.execute("LOCK TABLE attune.worker")
            done = run_all(
                tmp_path,
                vhost.environment | {"ATTUNE_OPS_TOPOLOGY": "attune-2026-01", "ATTUNE_OPS_DATABASE_URL": mine},
                ("workers",),
            )
            holder.rollback()
            pid = holder.info.backend_pid
    finally:
        postgres.execute("DROP OWNED BY onlooker; DROP ROLE onlooker", dead.rpartition("/")[2])
    refused(("workers",), done, f"server process {pid} (user 'attune'")


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Path]:
    """A registry file that another process has locked as a whole."""
    path = tmp_path / "registry.sqlite"
    registry_write.register(parse_database(f"sqlite:///{path}", "test"), "w1")
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as holder:
        holder.execute("UPDATE worker SET last_heartbeat = ?", (OLD,))
        yield path


def test_a_file(vhost: Vhost, file: Path, tmp_path: Path) -> None:
    environment = vhost.environment | {
        "ATTUNE_OPS_TOPOLOGY": "attune-2026-01",
        "ATTUNE_OPS_DATABASE_URL": f"sqlite:///{file}",
    }
    apply_topology(vhost.settings(f"sqlite:///{file}"), write=True)
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        refused(READS, run_all(tmp_path, environment, READS), "another process; fuser ")
        holder.execute("ROLLBACK")
        holder.execute("BEGIN IMMEDIATE")  # as a writer: it lets others read
        assert spend(tmp_path, environment, "workers").status == 0
        refused(WRITES, run_all(tmp_path, environment, WRITES), "another process; fuser ")
