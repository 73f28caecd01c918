"""The registry of each release of Attune is read as it is, on the real PostgreSQL."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import psycopg
import pytest

from attune_ops.installation import registry_read, registry_write
from attune_ops.installation.config.urls import parse_database
from attune_ops.model.errors import ActionError
from tests import migrations
from tests.postgres import Server


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
    with registry_read.session(database) as session:
        found = registry_read.read_registry(session)
    assert [(w.name, w.status, w.concurrency) for w in found.workers] == [("w1", "active", 3)]
    assert found.workers[0].role == (None if name == "january" else "action")


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
        role = f"narrow_{secrets.token_hex(4)}"  # a role is of the whole server
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'narrow'".encode())
            connection.execute(f"GRANT USAGE ON SCHEMA attune TO {role}".encode())
            connection.execute(f"GRANT SELECT, UPDATE ON attune.worker TO {role}".encode())
        try:
            there = url.partition("@")[2]
            narrow = parse_database(f"postgresql://{role}:narrow@{there}", "test")
            with pytest.raises(ActionError, match="worker_history"):
                registry_write.deactivate(narrow, worker.id)
            with registry_read.session(narrow) as session:
                found = registry_read.read_worker(session, "w1")
            assert found is not None
            assert found.status == "active"
        finally:
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute(f"DROP OWNED BY {role}".encode())
                connection.execute(f"DROP ROLE {role}".encode())
