"""`startup --worker NAME` of a known worker: refused where it runs, and its row is never written."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from tests import postgres as pg
from tests.live.startup.test_hold import wait_until_held
from tests.migrations import JANUARY as JANUARY_TABLES
from tests.migrations import RELEASE_0_6 as RELEASE_0_6_TABLES
from tests.world import Run, Vhost

Sql = Callable[[str], list[tuple[Any, ...]]]
CAPABILITIES = '{"runtimes": ["python", "shell"], "max_concurrent_executions": 32, "labels": {"b": 1, "a": "ä"}}'
ROW = "id, name, worker_role, host, port, status, capabilities, meta, last_heartbeat, cordoned, cordon_reason, updated"


@pytest.fixture(params=["sqlite", "postgresql"])
def registry(request: pytest.FixtureRequest, run: Run, vhost: Vhost) -> tuple[dict[str, str], Sql, str]:
    """The environment with that registry, how to ask it, and the name of its table."""
    if request.param == "postgresql":
        url: str = request.getfixturevalue("database")

        def ask(sql: str) -> list[tuple[Any, ...]]:
            with psycopg.connect(url, autocommit=True) as connection:
                cursor = connection.execute(sql)
                return cursor.fetchall() if cursor.description else []

        return {"ATTUNE_OPS_DATABASE_URL": url, "ATTUNE_OPS_TOPOLOGY": "attune-2026-01"}, ask, "attune.worker"
    file = run.folder / "registry.sqlite"

    def ask_file(sql: str) -> list[tuple[Any, ...]]:
        with sqlite3.connect(file) as connection:
            return connection.execute(sql).fetchall()

    env = {"ATTUNE_OPS_DATABASE_URL": f"sqlite:///{file}", "ATTUNE_OPS_TOPOLOGY": "attune-2026-01"}
    run("startup", "--worker", "first", target=vhost, env=env, status=0)  # makes the table
    return env, ask_file, "worker"


def insert(sql: Sql, table: str, status: str, heartbeat: str, role: str = "action") -> None:
    sql(
        f"INSERT INTO {table} (name, worker_type, worker_role, host, port, status, capabilities, last_heartbeat) "
        f"VALUES ('w', 'container', '{role}', 'node-7', 8080, '{status}', '{CAPABILITIES}', '{heartbeat}')"
    )


def now(sql: Sql, table: str) -> str:
    (found,) = sql("SELECT strftime('%Y-%m-%d %H:%M:%S+00:00', 'now')" if table == "worker" else "SELECT now()::text")
    return str(found[0])


def row(sql: Sql, table: str) -> list[tuple[Any, ...]]:
    columns = ROW if table == "worker" else ", ".join(f"{c}::text" for c in ROW.split(", "))
    return sql(f"SELECT {columns} FROM {table} WHERE name = 'w'")


@pytest.mark.parametrize("skip", [[], ["--skip", "declare"]], ids=["ready", "failed"])
@pytest.mark.parametrize("status", ["inactive", "active", "error"])
def test_a_known_row_is_left_as_it_is(
    run: Run, vhost: Vhost, registry: tuple[dict[str, str], Sql, str], status: str, skip: list[str]
) -> None:
    env, sql, table = registry
    insert(sql, table, status, "2026-11-01 10:00:00.123456+00:00")
    before = row(sql, table)
    done = run("startup", "--worker", "w", *skip, target=vhost, env=env, status=1 if skip else 0)
    assert f"its row is as it was ({status})" in done.stdout
    assert row(sql, table) == before


@pytest.mark.parametrize("tables", [JANUARY_TABLES, RELEASE_0_6_TABLES], ids=["january", "0.6"])
def test_a_known_row_outlives_kill_9(run: Run, vhost: Vhost, postgres: pg.Server, tables: str) -> None:
    """The committed row, which a kill leaves, is the worker's own at every moment; nothing is in its history."""
    with postgres.database(tables) as url, psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO attune.worker (name, worker_type, host, port, status, capabilities, last_heartbeat) VALUES "
            "('w', 'container', 'node-7', 8080, 'active', %s, '2026-11-01 10:00:00.123456+00:00')"
            if tables == JANUARY_TABLES
            else "INSERT INTO attune.worker (name, worker_type, worker_role, host, port, status, capabilities, "
            "last_heartbeat) VALUES ('w', 'container', 'action', 'node-7', 8080, 'active', %s, "
            "'2026-11-01 10:00:00.123456+00:00')",
            (CAPABILITIES,),
        )
        sql = "SELECT w::text, xmin::text FROM attune.worker w"  # xmin: which transaction has written the row
        before, seen, held = connection.execute(sql).fetchall(), set(), threading.Event()

        def watch() -> None:
            while not held.is_set():
                seen.update(connection.execute(sql).fetchall())

        watcher = threading.Thread(target=watch)
        watcher.start()
        env = {"ATTUNE_OPS_DATABASE_URL": url, "ATTUNE_OPS_TOPOLOGY": "attune-2026-01"}
        with run.start("startup", "--worker", "w", "--hold", "--apply", target=vhost, env=env) as process:
            try:
                wait_until_held(process)
            finally:
                held.set()
                watcher.join()
            process.kill()
            process.communicate(timeout=60)
        assert seen == set(before)
        assert connection.execute(sql).fetchall() == before
        if tables == RELEASE_0_6_TABLES:
            kept = connection.execute("SELECT operation FROM attune.worker_history").fetchall()
            assert kept == [("INSERT",)]


def test_a_worker_that_runs_is_refused(run: Run, vhost: Vhost, registry: tuple[dict[str, str], Sql, str]) -> None:
    env, sql, table = registry
    insert(sql, table, "active", now(sql, table))
    before, queues = row(sql, table), vhost.names("queues")
    done = run("startup", "--worker", "w", target=vhost, env=env, status=1)
    assert done.stdout == ""
    assert "worker 'w' is running: it is active" in done.stderr
    assert (row(sql, table), vhost.names("queues")) == (before, queues)


def test_a_sensor_is_refused(run: Run, vhost: Vhost, registry: tuple[dict[str, str], Sql, str]) -> None:
    env, sql, table = registry
    insert(sql, table, "inactive", "2026-11-01 10:00:00+00:00", role="sensor")
    before = row(sql, table)
    done = run("startup", "--worker", "w", target=vhost, env=env, status=1)
    assert "'w' is a sensor" in done.stderr
    assert row(sql, table) == before
