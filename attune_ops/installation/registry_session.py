"""Sessions on the worker registry: PostgreSQL with Attune's own tables, or a SQLite file of the same columns.

Plain SQL over the two drivers, so that a probe on a SQLite registry loads nothing but the standard library.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple
from urllib.parse import quote

from attune_ops.installation import registry_locked
from attune_ops.installation.config.settings import Database
from attune_ops.installation.unreachable import is_late
from attune_ops.model import deadline, requests_log
from attune_ops.model.errors import AttuneOpsError, SourceError, install
from attune_ops.model.files import make_folder, make_private

Access = Literal["read", "write", "create"]
SQLITE_MODE: dict[Access, str] = {"read": "ro", "write": "rw", "create": "rwc"}


class Session(NamedTuple):
    """One open, read-only session: the DB-API connection, the kind and the prefix of table names."""

    connection: Any
    database: Database

    @property
    def kind(self) -> str:
        """postgresql or sqlite."""
        return self.database.kind

    def table(self, name: str) -> str:
        """The table's full name, quoted."""
        if self.kind == "sqlite":
            return f'"{name}"'
        return '"{}"."{}"'.format(self.database.schema.replace('"', '""'), name)

    def rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Runs a query; `?` stands for a value in both kinds."""
        with requests_log.reported(requests_log.statement_name(sql)):
            return list(self.connection.execute(sql if self.kind == "sqlite" else sql.replace("?", "%s"), values))

    def columns(self, table: str) -> tuple[str, ...]:
        """The names of a table's columns, () where there is no such table."""
        if self.kind == "sqlite":
            return tuple(r[0] for r in self.rows("SELECT name FROM pragma_table_info(?)", table))
        sql = "SELECT column_name FROM information_schema.columns WHERE table_schema = ? AND table_name = ? ORDER BY 1"
        return tuple(r[0] for r in self.rows(sql, self.database.schema, table))

    def unreadable(self, table: str, columns: Sequence[str]) -> str:
        """Which of these columns of an existing table the user may not read, with the GRANT; '' where none."""
        if self.kind == "sqlite":
            return ""
        sql = (
            "SELECT a.attname FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid "
            "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = ? AND c.relname = ? "
            "AND a.attnum > 0 AND NOT a.attisdropped"
        )
        there = {str(r[0]) for r in self.rows(sql, self.database.schema, table)}
        hidden = ", ".join(sorted(there & set(columns) - set(self.columns(table))))
        name = self.table(table)
        return f"the user may not read {hidden} of {name}; GRANT SELECT ({hidden}) ON {name}" if hidden else ""

    def has_table(self, table: str) -> bool:
        """Whether the table exists, readable or not; `columns` of PostgreSQL omits what the user may not see."""
        if self.kind == "sqlite":
            return bool(self.columns(table))
        return self.database.schema in self.schemas_with(table)

    def schemas_with(self, table: str) -> tuple[str, ...]:
        """The schemas of a PostgreSQL database that have a table of this name, readable or not."""
        sql = (
            "SELECT n.nspname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
            "WHERE c.relname = ? AND c.relkind IN ('r', 'p', 'v') AND n.nspname NOT IN ('pg_catalog', "
            "'information_schema') ORDER BY 1"
        )
        return tuple(str(r[0]) for r in self.rows(sql, table))

    def may_read(self, table: str) -> bool:
        """Whether the user may read an existing table."""
        if self.kind == "sqlite":
            return True
        if not self.rows("SELECT has_schema_privilege(?, 'USAGE')", self.database.schema)[0][0]:
            return False  # has_table_privilege would raise
        return bool(self.rows("SELECT has_table_privilege(?, 'SELECT')", self.table(table))[0][0])


@contextlib.contextmanager
def session(database: Database, timeout: float = 10.0) -> Iterator[Session]:
    """Opens a read-only session; raises `SourceError` naming the database and what to try. `timeout` in s.

    A lock of another process is waited for a part of that time; then `RegistryLocked`.
    """
    connection = connect(database, timeout)
    try:
        yield Session(connection, database)
    except AttuneOpsError:  # of whoever uses the session
        raise
    except Exception as e:  # noqa: BLE001 - whatever the driver raises
        registry_locked.raise_if_locked(e, database, connection)
        raise SourceError(f"registry {database.shown}: {first_line(e)}{_grant(e, database)}") from None
    finally:
        connection.close()


def version(s: Session) -> str:
    """The database server's version, or the SQLite library's. Changes nothing."""
    if s.kind == "sqlite":
        return str(s.rows("SELECT sqlite_version()")[0][0])
    return str(s.rows("SHOW server_version")[0][0]).split(" ")[0]


def clock_offset(s: Session) -> float | None:
    """The skew of the database server's clock in s, positive where it is ahead; None for a file."""
    if s.kind == "sqlite":
        return None
    before = time.time()
    (answer,) = s.rows("SELECT extract(epoch FROM clock_timestamp())")
    return float(answer[0]) - (before + time.time()) / 2


def check_table(s: Session, table: str, columns: tuple[str, ...], needs: tuple[str, ...]) -> None:
    """Raises `SourceError` if the table does not exist or lacks one of the columns that are needed."""
    shown = s.database.shown
    if not columns and s.kind == "sqlite":
        raise SourceError(f"registry {shown}: no table {table}; is it the registry's file?")
    if not columns:
        raise SourceError(f"registry {shown}: {_no_table(s, table)}")
    missing = [c for c in needs if c not in columns]
    if missing:
        raise SourceError(f"registry {shown}: table {table} has no column {', '.join(missing)}; it is not Attune's")


def _grant(error: Exception, database: Database) -> str:
    """The GRANT that a user lacks who may read a table and not use its schema."""
    missing = "permission denied for schema" in str(error)
    return f'; GRANT USAGE ON SCHEMA "{database.schema}"' if missing else ""


def _no_table(s: Session, table: str) -> str:
    """Why PostgreSQL shows the user no such table in the schema, and what to do."""
    schema, having = s.database.schema, s.schemas_with(table)
    if schema in having:
        right = s.table(table)
        return f'the user may not read {right}; GRANT USAGE ON SCHEMA "{schema}" and GRANT SELECT ON {right}'
    if having:
        import shlex

        named = " and ".join(map(repr, having))
        return (
            f"no table {table} in schema {schema!r}; schema {named} has one: "
            f"--database-schema {shlex.quote(having[0])} (ATTUNE_OPS_DATABASE_SCHEMA)"
        )
    return (
        f"no table {table} in schema {schema!r}, nor in another schema of this database; is it Attune's database? "
        f"The schema is --database-schema (ATTUNE_OPS_DATABASE_SCHEMA)"
    )


def is_yet_to_come(database: Database) -> bool:
    """Whether this is a SQLite file that no worker has made yet; this is not a failure of the registry."""
    return database.kind == "sqlite" and not database.file.exists()


def no_file(database: Database) -> str:
    """The reason why such a registry has no workers."""
    return (
        f"registry {database.shown}: the file does not exist, so no worker has registered; "
        f"for Attune's own registry give --database-url (ATTUNE_OPS_DATABASE_URL)"
    )


def connect(database: Database, timeout: float, access: Access = "read") -> Any:
    """Connects to the registry's database; with "create" a missing SQLite file is made. `timeout` in s.

    Raises `SourceError` naming the database and what to try.
    """
    if database.kind == "postgresql":
        return connect_postgresql(database, timeout, read_only=access == "read")
    import sqlite3

    try:
        if access == "create":
            make_folder(database.file.parent)
            make_private(database.file)
        elif is_yet_to_come(database):
            raise SourceError(no_file(database) if access == "read" else f"registry {database.shown}: the file is gone")
        elif not database.file.is_file():
            raise SourceError(f"registry {database.shown}: it is not a file; give the path of a SQLite file")
        # To read must never create a file.
        uri = f"file:{quote(str(database.file.absolute()))}?mode={SQLITE_MODE[access]}"
        wait_s = registry_locked.wait_s(timeout)
        connection = sqlite3.connect(uri, uri=True, timeout=wait_s, isolation_level=None)
        connection.execute("PRAGMA schema_version")
    except (OSError, sqlite3.Error) as e:
        registry_locked.raise_if_locked(e, database)
        what = "" if access == "read" else "cannot open it for writing: "
        raise SourceError(f"registry {database.shown}: {what}{e}") from None
    return connection


def connect_postgresql(database: Database, timeout: float, *, read_only: bool = True) -> Any:
    """Connects to PostgreSQL; raises `SourceError` naming the database and what to try. `timeout` in s."""
    try:
        import psycopg2

        from attune_ops.installation.timed_postgresql import TimedPostgresql
    except ImportError:
        raise SourceError(f"registry {database.shown}: PostgreSQL needs psycopg2: {install('postgres')}") from None
    timeout = min(timeout, deadline.left())
    at_most = max(1, int(timeout * 1000))
    # Not by SET: PgBouncer would give the session, with these settings, to Attune's services next.
    options = f"-c default_transaction_read_only={'on' if read_only else 'off'} -c statement_timeout={at_most}"
    options += f" -c lock_timeout={max(1, int(registry_locked.wait_s(timeout) * 1000))}"
    try:
        with requests_log.reported("PostgreSQL connect"):
            connection = TimedPostgresql(
                database.url.reveal(), timeout, options=options, application_name="attune-ops", client_encoding="UTF8"
            )
    except (psycopg2.Error, OSError) as e:
        deadline.ended(late=is_late(e))
        raise SourceError(f"registry {database.shown}: {_why(e)}") from None
    deadline.ended()
    return connection


def _why(error: Exception) -> str:
    text = first_line(error)
    low = text.lower()
    if "unsupported startup parameter" in low:  # it names one, which may be `statement_timeout`
        direct = "give the host and port of PostgreSQL itself (default 5432)"
        ignored = "or let PgBouncer ignore them (ignore_startup_parameters)"
        return f"PgBouncer refuses the settings of this session ({text}); {direct}, {ignored}"
    if "password authentication failed" in low or "no password supplied" in low or "no pg_hba.conf entry" in low:
        return f"login refused ({text}); check user and password"
    if "invalid response" in low:
        return "the server does not speak PostgreSQL; the default port is 5432"
    if "no name server" in low:
        return f"{text.removeprefix('timed out: ')} in time; check /etc/resolv.conf"
    if "timeout" in low:
        return "no answer in time; check host, port and firewall"
    if "does not exist" in low:
        return f"{text}; check the database's name and the user"
    if "resolve" in low or "name or service not known" in low:
        return f"the host name is unknown ({text}); check its spelling"
    if "refused" in low:
        return "connection refused; check that PostgreSQL is running and the port is correct (default 5432)"
    return text


def first_line(error: Exception) -> str:
    """The driver's error without its hints, which are on further lines."""
    text = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return text.removeprefix("connection failed: ").rstrip(": ")
