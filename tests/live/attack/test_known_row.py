"""`startup --worker NAME` of a known worker: refused where it runs, and its row is given back byte for byte."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

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

        return {"ATTUNE_OPS_DATABASE_URL": url}, ask, "attune.worker"
    file = run.folder / "registry.sqlite"

    def ask_file(sql: str) -> list[tuple[Any, ...]]:
        with sqlite3.connect(file) as connection:
            return connection.execute(sql).fetchall()

    env = {"ATTUNE_OPS_DATABASE_URL": f"sqlite:///{file}"}
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
def test_a_known_row_is_given_back(
    run: Run, vhost: Vhost, registry: tuple[dict[str, str], Sql, str], status: str, skip: list[str]
) -> None:
    env, sql, table = registry
    insert(sql, table, status, "2026-11-01 10:00:00.123456+00:00")
    before = row(sql, table)
    done = run("startup", "--worker", "w", *skip, target=vhost, env=env, status=1 if skip else 0)
    assert f"has its former row again ({status})" in done.stdout
    assert row(sql, table) == before


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
