"""Reading Attune's registry in PostgreSQL: present and older releases, and everything that can be wrong with it."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import psycopg
import pytest

from attune_ops.installation import registry_read, registry_session
from attune_ops.installation.config.settings import Database
from attune_ops.installation.config.urls import parse_database
from attune_ops.installation.registry_write import register
from attune_ops.model.errors import SourceError
from attune_ops.model.registry import RegistryView
from tests import postgres as pg
from tests.servers import server
from tests.world import eventually


def at(url: str, schema: str = "attune") -> Database:
    return parse_database(url, "--database-url", schema)


def execute(url: str, *statements: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def read(database: Database, timeout: float = 10.0) -> RegistryView:
    with registry_session.session(database, timeout) as session:
        return registry_read.read_registry(session)


def test_workers_and_executions(database: str) -> None:
    execute(
        database,
        "INSERT INTO attune.worker (name, status, capabilities, last_heartbeat, cordoned) VALUES "
        "('w1', 'active', '{\"concurrency\": 4}', now(), false), ('w''2 🐇', 'error', NULL, NULL, true)",
        "INSERT INTO attune.execution (action_ref, status, worker) VALUES ('a', 'running', 1), ('b', 'completed', 1), "
        "('c', 'requested', NULL), ('d', 'abandoned', 2), ('e', 'canceling', 2)",
    )
    found = read(at(database))
    first, second = found.workers
    assert (first.id, first.name, first.status, first.concurrency, first.cordoned) == (1, "w1", "active", 4, False)
    assert first.last_heartbeat is not None
    assert first.last_heartbeat.utcoffset() is not None
    assert (second.name, second.last_heartbeat, second.cordoned) == ("w'2 🐇", None, True)
    assert [(e.action_ref, e.status) for e in found.executions or ()] == [
        ("a", "running"),
        ("c", "requested"),
        ("e", "canceling"),
    ]
    assert found.notes == ()
    with registry_session.session(at(database)) as session:
        by_name, by_id = registry_read.read_worker(session, "w'2 🐇"), registry_read.read_worker(session, "2")
        offset = registry_session.clock_offset(session)
    assert by_name == by_id == second
    assert offset is not None
    assert abs(offset) < 2


def test_slow_executions_leave_the_workers(database: str) -> None:
    execute(
        database,
        "INSERT INTO attune.worker (name, status) VALUES ('w1', 'active')",
        "INSERT INTO attune.execution (action_ref, status) VALUES ('a', 'running')",
        "ALTER TABLE attune.execution RENAME TO slow",
        "CREATE VIEW attune.execution AS SELECT e.* FROM attune.slow e, pg_sleep(30)",
    )
    found = read(at(database), timeout=1)
    assert [w.name for w in found.workers] == ["w1"]
    assert found.executions is None
    assert "statement timeout; try a longer --timeout" in found.unreadable


def test_older_release(older_database: str) -> None:
    execute(
        older_database,
        "INSERT INTO attune.worker (name, status) VALUES ('w', 'active')",
        "DROP TABLE attune.execution",
    )
    found = read(at(older_database))
    assert [(w.name, w.role, w.cordoned) for w in found.workers] == [("w", None, None)]
    assert found.executions is None
    assert "worker_role, cordoned, cordon_reason" in found.notes[0]


def test_an_older_enum_lacks_labels(postgres: pg.Server) -> None:
    schema = pg.SCHEMA.replace(", 'abandoned')", ")").replace("'canceling', ", "")
    with postgres.database(schema) as url:
        execute(url, "INSERT INTO attune.execution (action_ref, status) VALUES ('a', 'scheduled')")
        assert [e.status for e in read(at(url)).executions or ()] == ["scheduled"]


def test_another_schema(postgres: pg.Server) -> None:
    with postgres.database(pg.SCHEMA, schema='"My ""schema"""') as url:
        assert read(at(url, 'My "schema"')).workers == ()
        with pytest.raises(
            SourceError, match=r"no table worker in schema 'attune'; .*--database-schema 'My \"schema\"'"
        ):
            read(at(url))


def test_only_reads(database: str) -> None:
    with pytest.raises(SourceError, match="read-only"), registry_session.session(at(database)) as session:
        session.rows("INSERT INTO attune.worker (name) VALUES ('x') RETURNING id")


# What PgBouncer answers to the settings of a session.
REFUSED = b"SFATAL\0C08P01\0Munsupported startup parameter in options: statement_timeout\0\0"
POOLER = b"E" + (len(REFUSED) + 4).to_bytes(4) + REFUSED


@contextmanager
def listening(answer: bytes | None) -> Iterator[int]:
    """A port that answers everybody with these bytes, or (None) never says anything."""

    def talk(client: socket.socket) -> None:
        client.recv(100)
        if answer is None:
            client.recv(100)
        else:
            client.sendall(answer)

    with server(talk) as port:
        yield port


def test_unreachable(database: str) -> None:
    url = urlsplit(database)
    login, place = url.netloc.rpartition("@")[::2]
    with (
        socket.socket() as closed,
        listening(b"HTTP/1.1 400 Bad Request\r\n\r\n") as http,
        listening(None) as silent,
        listening(POOLER) as pooler,
    ):
        closed.bind(("127.0.0.1", 0))
        wrong = {
            f"postgresql://{login}@127.0.0.1:{closed.getsockname()[1]}/x": "connection refused",
            f"postgresql://{login}@no-such-host.invalid/x": "host name",
            f"postgresql://attune:wr0ng-s3cret@{place}{url.path}": "login refused",
            f"postgresql://{login}@{place}/no_such_database": "does not exist",
            f"postgresql://{login}@127.0.0.1:{http}/x": "does not speak PostgreSQL",
            f"postgresql://{login}@127.0.0.1:{silent}/x": "no answer in time",
            f"postgresql://{login}@127.0.0.1:{pooler}/x?sslmode=disable&gssencmode=disable": (
                "PgBouncer refuses the settings of this session (FATAL:  unsupported startup parameter in options: "
                "statement_timeout); give the host"
            ),
        }
        for where, says in wrong.items():
            with pytest.raises(SourceError) as e:
                read(at(where), timeout=1)
            text = str(e.value)
            assert text.startswith(f"registry {at(where).shown}: ")
            assert says in text
            assert "\n" not in text
            assert str(urlsplit(where).password) not in text


def test_the_next_host_where_one_does_not_answer(database: str) -> None:
    """Also where the first speaks something else, or nothing: each host has the whole time."""
    url = urlsplit(database)
    login, place = url.netloc.rpartition("@")[::2]
    with socket.socket() as closed, listening(b"HTTP/1.1 400 Bad Request\r\n\r\n") as http, listening(None) as silent:
        closed.bind(("127.0.0.1", 0))
        others = ",".join(f"127.0.0.1:{port}" for port in (closed.getsockname()[1], http, silent))
        with registry_session.session(at(f"postgresql://{login}@{others},{place}{url.path}"), 2) as session:
            found = session.rows("SELECT current_database(), current_setting('application_name')")
    assert found == [(url.path[1:], "attune-ops")]


def test_an_ended_session_says_so(database: str) -> None:
    def ended() -> None:
        with registry_session.session(at(database)) as session:
            ((pid,),) = session.rows("SELECT pg_backend_pid()")
            execute(database, f"SELECT pg_terminate_backend({pid})")
            session.rows("SELECT 1")

    with pytest.raises(SourceError, match="terminating connection"):
        ended()


def test_an_interrupt_ends_a_wait_at_once(database: str) -> None:
    """The command ends; the server ends the statement at its `statement_timeout`, the time that the command had."""
    program = (
        "from attune_ops.installation import registry_session\n"
        "from attune_ops.installation.config.urls import parse_database\n"
        f"with registry_session.session(parse_database({database!r}, 'test'), 600) as session:\n"
        "    session.rows('SELECT pg_sleep(60)')"
    )
    asked = (
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'attune-ops' AND query LIKE '%pg_sleep(60)%'"
    )
    with (
        psycopg.connect(database, autocommit=True) as other,
        subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE, text=True) as waiting,
    ):
        sleeping = lambda: other.execute(f"{asked} AND datname = current_database()").fetchone() == (1,)  # noqa: E731
        eventually(sleeping, within=60)
        waiting.send_signal(signal.SIGINT)
        _, said = waiting.communicate(timeout=50)
    assert "KeyboardInterrupt" in said


def test_tls_that_the_server_lacks_is_said(database: str) -> None:
    with pytest.raises(SourceError, match="server does not support SSL, but SSL was required"):
        read(at(f"{database}?sslmode=require"))


def test_a_database_without_an_encoding(postgres: pg.Server) -> None:
    """Names are read as UTF-8, which every Attune writes."""
    postgres.execute("CREATE DATABASE plain TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'")
    url = f"{postgres.url}/plain"
    try:
        execute(url, pg.SCHEMA.format(schema="attune"))
        register(at(url), "w 🐇")
        assert [w.name for w in read(at(url)).workers] == ["w 🐇"]
    finally:
        postgres.execute("DROP DATABASE plain WITH (FORCE)")
