"""Executions that a running executor would have ended, in the real registries: SQLite, and PostgreSQL as 0.6 has it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from attune_ops.doctor.findings import Severity
from tests import migrations
from tests.live.doctor.test_dead_letters import SIX
from tests.live.places import Place, found
from tests.live.printed import proves
from tests.postgres import Server
from tests.world import Run, eventually

Execute = Callable[[str], None]


@pytest.fixture(params=["sqlite", "postgresql"])
def registry(
    request: pytest.FixtureRequest, postgres: Server, place: Callable[..., Place]
) -> Iterator[tuple[Place, Execute]]:
    """A populated place with executions in its registry, and what changes that."""
    p = place(SIX)
    if request.param == "sqlite":
        p.populate()
        p.sql("CREATE TABLE execution (id INTEGER, action_ref TEXT, status TEXT, worker INTEGER, updated TEXT)")
        yield p, p.sql
        return
    with postgres.database(migrations.RELEASE_0_6) as url, psycopg.connect(url, autocommit=True) as connection:
        p.use_registry(url)
        p.populate()

        def execute(statement: str) -> None:
            named = statement.replace("UPDATE worker", "UPDATE attune.worker")
            connection.execute(named.replace("INTO ", "INTO attune.").encode())

        connection.execute("ALTER TABLE attune.worker DISABLE TRIGGER worker_touched")
        connection.execute("ALTER TABLE attune.execution DISABLE TRIGGER execution_touched")
        yield p, execute
        p.close()


def at(seconds: float) -> str:
    return f"{datetime.now(UTC) - timedelta(seconds=seconds):%Y-%m-%d %H:%M:%S+00}"


def execution(number: int, status: str, worker: int, seconds: float) -> str:
    columns = "id, action_ref, status, worker, updated"
    return f"INSERT INTO execution ({columns}) VALUES ({number}, 'core.echo', '{status}', {worker}, '{at(seconds)}')"


def test_a_missing_monitor(registry: tuple[Place, Execute], run: Run) -> None:
    p, execute = registry
    p.services["w2"].disconnect()
    execute(f"UPDATE worker SET status = 'inactive', last_heartbeat = '{at(200)}', updated = '{at(40)}' WHERE id = 2")
    execute(execution(1, "running", 2, 3600))  # its worker is dead for 40 s: the executor may be about to end it
    execute(execution(2, "running", 1, 3600))
    execute(execution(3, "scheduled", 1, 120))
    execute(execution(4, "requested", 1, 20))
    assert not p.look(["AT418"]).findings

    execute(f"UPDATE worker SET updated = '{at(100)}' WHERE id = 2")
    execute(execution(5, "scheduled", 1, 340))

    def seen() -> bool:
        report = p.look()
        return found(report, Severity.ERROR) == {("AT418", "1")}

    eventually(seen, within=40, every=1)
    report = p.look()
    (finding,) = [f for f in report.findings if f.code == "AT418"]
    assert (finding.evidence["running"], finding.evidence["scheduled"]) == ([1], [5])
    assert {"AT413", "AT414"} <= {c.code for c in finding.consequences}
    proves("AT418 consumers", p, report, run)

    p.services["executor"].disconnect()  # then that is the cause

    def caused() -> bool:
        by_code = {f.code: f for f in p.look().findings}
        return "AT418" not in by_code and "AT418" in {c.code for c in by_code["AT405"].consequences}

    eventually(caused, within=40, every=1)
