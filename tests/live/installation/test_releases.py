"""The registry of each release of Attune is read as it is, on the real PostgreSQL."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from attune_ops.doctor.findings import CheckStatus
from attune_ops.installation import registry_read, registry_session, registry_write
from attune_ops.installation.config import resolve
from attune_ops.installation.config.urls import parse_database
from attune_ops.model.errors import ActionError, SourceError
from attune_ops.ops import Ops
from attune_ops.startup.service import Service
from tests import migrations
from tests.postgres import Server
from tests.world import Vhost

READER = (
    "GRANT USAGE ON SCHEMA attune TO {0}; GRANT SELECT ON attune.worker TO {0}; GRANT SELECT ON attune.execution TO {0}"
)


@contextmanager
def narrow_user(url: str, grants: str = READER) -> Iterator[str]:
    """The URL of a user with these rights only."""
    role = f"narrow_{secrets.token_hex(4)}"  # a role is of the whole server
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'narrow'".encode())
        if grants:
            connection.execute(grants.format(role).encode())
    try:
        yield f"postgresql://{role}:narrow@{url.partition('@')[2]}"
    finally:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f"DROP OWNED BY {role}".encode())
            connection.execute(f"DROP ROLE {role}".encode())


@pytest.fixture(params=migrations.RELEASES)
def release(request: pytest.FixtureRequest, postgres: Server) -> Iterator[tuple[str, str]]:
    """The name of a release, and the URL of a database with its tables."""
    name: str = request.param
    with postgres.database(migrations.RELEASES[name]) as url:
        yield name, url


def test_registering_twice_keeps_the_id(release: tuple[str, str]) -> None:
    name, url = release
    database = parse_database(url, "test")
    first = registry_write.register(database, "w1", concurrency=3)
    again = registry_write.register(database, "w1", concurrency=3)
    assert (first.known, again.known, again.id) == (False, True, first.id)
    with registry_session.session(database) as session:
        found = registry_read.read_registry(session)
    assert [(w.name, w.status, w.concurrency) for w in found.workers] == [("w1", "active", 3)]
    assert found.workers[0].role == (None if name == "january" else "action")


def test_the_concurrency_is_written_as_attune_reads_it(release: tuple[str, str]) -> None:
    _, url = release
    registry_write.register(parse_database(url, "test"), "w1", concurrency=3)
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT capabilities FROM attune.worker").fetchone() == (
            {"max_concurrent_executions": 3},
        )


def test_a_crash_is_told_from_a_clean_stop(release: tuple[str, str]) -> None:
    """The releases' own trigger sets `updated`; the executor sets a crashed worker inactive after 90 s."""
    _, url = release
    database = parse_database(url, "test")
    stopped, crashed = (registry_write.register(database, name) for name in ("stopped", "crashed"))
    registry_write.deactivate(database, stopped.id)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "UPDATE attune.worker SET last_heartbeat = now() - interval '91 seconds', status = 'inactive' "
            "WHERE name = 'crashed'"
        )
    with registry_session.session(database) as session:
        found = registry_read.read_registry(session)
    assert {w.name: w.crashed for w in found.workers} == {"stopped": False, "crashed": True}
    assert (stopped.id, crashed.id) == (1, 2)


def test_executions_of_each_release(release: tuple[str, str], vhost: Vhost) -> None:
    """January's name no worker: AT414 is skipped with the reason, and is not ok."""
    name, url = release
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("INSERT INTO attune.execution (action_ref, status) VALUES ('core.echo', 'running')")
    options = {"amqp_url": vhost.amqp_url, "management_url": vhost.management_url, "database_url": url}
    report = Ops(resolve(options, {})).doctor(("AT414",))
    (result,) = report.results
    if name == "january":
        assert result.status is CheckStatus.SKIPPED
        assert "the execution table has no column worker" in (result.reason or "")
    else:
        assert result.status is CheckStatus.PASSED


def test_a_parked_execution_is_not_lost(postgres: Server, vhost: Vhost) -> None:
    with postgres.database(migrations.RELEASE_0_6) as url, narrow_user(url) as narrow:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(
                "INSERT INTO attune.execution (action_ref, status, created, updated) VALUES "
                "('core.echo', 'requested', '2026-01-01', '2026-01-01'), "
                "('core.echo', 'requested', '2026-01-01', '2026-01-01')"
            )
            connection.execute("INSERT INTO attune.execution_admission_state (action_id, max_concurrent) VALUES (1, 1)")
            connection.execute(
                "INSERT INTO attune.execution_admission_entry (state_id, execution_id, status, queue_order) "
                "VALUES (1, 1, 'queued', 1)"
            )
        options = {"amqp_url": vhost.amqp_url, "management_url": vhost.management_url}
        seeing, blind = (Ops(resolve({**options, "database_url": u}, {})) for u in (url, narrow))
        with Service(seeing.settings, "executor", amqp_heartbeat=0) as executor:
            assert executor.start().ok
            (found,) = seeing.doctor(("AT413",)).findings
            assert found.evidence["executions"] == [2]
            assert "parked" not in found.detail
            (unsure,) = blind.doctor(("AT413",)).findings
            assert unsure.evidence["executions"] == [1, 2]
            assert "or parked by a concurrency policy (execution_admission_entry cannot be read)" in unsure.detail


def test_the_error_names_the_schema_that_has_the_table(postgres: Server) -> None:
    with postgres.database(migrations.RELEASE_0_6, schema="automation") as url:
        wrong = parse_database(url, "test")
        with (
            pytest.raises(SourceError, match=r"in schema 'attune'; schema 'automation' has one: --database-schema"),
            registry_session.session(wrong) as session,
        ):
            registry_read.read_registry(session)
        right = parse_database(url, "test", "automation")
        with registry_session.session(right) as session:
            assert registry_read.read_registry(session).workers == ()


def test_the_error_names_the_grant_that_is_missing(postgres: Server) -> None:
    with (
        postgres.database(migrations.RELEASE_0_6) as url,
        narrow_user(url, "") as narrow,
        pytest.raises(SourceError, match=r"may not read .*; GRANT USAGE ON SCHEMA"),
        registry_session.session(parse_database(narrow, "test")) as session,
    ):
        registry_read.read_registry(session)


def test_a_hidden_column_of_the_workers_is_not_an_older_release(postgres: Server) -> None:
    """Without its role a sensor would be taken for a worker with queues."""
    with postgres.database(migrations.RELEASE_0_6) as url:
        registry_write.register(parse_database(url, "test"), "w1")
        columns = "id, name, status, last_heartbeat, worker_type, host, port, capabilities, created, updated, cordoned"
        grant = f"GRANT USAGE ON SCHEMA attune TO {{0}}; GRANT SELECT ({columns}{{1}}) ON attune.worker TO {{0}}"
        with narrow_user(url, grant.replace("{1}", "")) as narrow:
            for reading in (registry_read.read_registry, lambda s: registry_read.read_worker(s, "w1")):
                with (
                    pytest.raises(SourceError, match=r'GRANT SELECT \(worker_role\) ON "attune"."worker"$'),
                    registry_session.session(parse_database(narrow, "test")) as session,
                ):
                    reading(session)
        with (
            narrow_user(url, grant.replace("{1}", ", worker_role")) as narrow,
            registry_session.session(parse_database(narrow, "test")) as session,
        ):
            found = registry_read.read_registry(session, executions=False)
        assert [w.role for w in found.workers] == ["action"]
        assert found.notes == (
            'the user may not read cordon_reason of "attune"."worker"; '
            'GRANT SELECT (cordon_reason) ON "attune"."worker"',
        )


def test_each_change_but_a_heartbeat_stands_in_the_history(postgres: Server) -> None:
    with postgres.database(migrations.RELEASE_0_6) as url:
        database = parse_database(url, "test")
        worker = registry_write.register(database, "w1")
        registry_write.heartbeat(database, worker.id)
        registry_write.deactivate(database, worker.id)
        with psycopg.connect(url) as connection:
            noted = connection.execute("SELECT operation, changed_fields FROM attune.worker_history").fetchall()
    assert noted == [("INSERT", []), ("UPDATE", ["status"])]


def test_who_may_not_write_the_history_is_told_so_and_changes_nothing(postgres: Server) -> None:
    with postgres.database(migrations.RELEASE_0_6) as url:
        database = parse_database(url, "test")
        worker = registry_write.register(database, "w1")
        with narrow_user(
            url, "GRANT USAGE ON SCHEMA attune TO {0}; GRANT SELECT, UPDATE ON attune.worker TO {0}"
        ) as user:
            narrow = parse_database(user, "test")
            with pytest.raises(ActionError, match="worker_history"):
                registry_write.deactivate(narrow, worker.id)
            with registry_session.session(narrow) as session:
                found = registry_read.read_worker(session, "w1")
            assert found is not None
            assert found.status == "active"
