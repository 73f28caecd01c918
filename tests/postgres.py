"""A PostgreSQL server of the tests' own, and Attune's tables in it."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

# The tables of a present release, as far as the toolkit reads or writes them.
SCHEMA = """
CREATE SCHEMA {schema};
CREATE TYPE {schema}.worker_type_enum AS ENUM ('local', 'remote', 'container');
CREATE TYPE {schema}.worker_role_enum AS ENUM ('action', 'sensor', 'hybrid');
CREATE TYPE {schema}.worker_status_enum AS ENUM ('active', 'inactive', 'busy', 'error');
CREATE TYPE {schema}.execution_status_enum AS ENUM ('requested', 'scheduling', 'scheduled', 'running', 'completed',
    'failed', 'canceling', 'cancelled', 'timeout', 'abandoned');
CREATE TABLE {schema}.worker (
    id BIGSERIAL PRIMARY KEY,
    name TEXT NOT NULL,
    worker_type {schema}.worker_type_enum NOT NULL DEFAULT 'local',
    worker_role {schema}.worker_role_enum NOT NULL DEFAULT 'action',
    runtime BIGINT,
    host TEXT,
    port INTEGER,
    status {schema}.worker_status_enum NOT NULL DEFAULT 'inactive',
    capabilities JSONB,
    meta JSONB,
    last_heartbeat TIMESTAMPTZ,
    cordoned BOOLEAN NOT NULL DEFAULT FALSE,
    cordon_reason TEXT,
    cordoned_by TEXT,
    cordoned_at TIMESTAMPTZ,
    created TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated TIMESTAMPTZ NOT NULL DEFAULT now()
);
CREATE TABLE {schema}.execution (
    id BIGSERIAL PRIMARY KEY,
    action BIGINT,
    action_ref TEXT NOT NULL,
    config JSONB,
    parent BIGINT,
    enforcement BIGINT,
    worker BIGINT,
    status {schema}.execution_status_enum NOT NULL DEFAULT 'requested',
    result JSONB,
    created TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated TIMESTAMPTZ NOT NULL DEFAULT now(),
    started_at TIMESTAMPTZ
);
"""
# What an older release lacks.
OLDER = """
ALTER TABLE {schema}.worker DROP COLUMN cordoned, DROP COLUMN cordon_reason, DROP COLUMN cordoned_by,
    DROP COLUMN cordoned_at, DROP COLUMN worker_role;
DROP TYPE {schema}.worker_role_enum;
"""


@dataclass(frozen=True)
class Server:
    """A PostgreSQL server by the URL of its superuser, without a database name."""

    url: str

    def execute(self, script: str, database: str = "postgres") -> None:
        """Runs statements outside a transaction."""
        import psycopg

        with psycopg.connect(f"{self.url}/{database}", autocommit=True) as connection:
            connection.execute(script.encode())

    @contextmanager
    def database(self, *scripts: str, schema: str = "attune") -> Iterator[str]:
        """Makes a fresh database, runs the scripts in it, gives its URL, and drops it after."""
        name = f"attune_{secrets.token_hex(6)}"
        self.execute(f"CREATE DATABASE {name}")
        try:
            for script in scripts:
                self.execute(script.format(schema=schema), name)
            yield f"{self.url}/{name}"
        finally:
            self.execute(f"DROP DATABASE {name} WITH (FORCE)")


def programs() -> Path | None:
    """The folder of PostgreSQL's server programs, the newest there is."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: int(p.parent.name), reverse=True)
    found = shutil.which("initdb")
    folders = [*debian, *([Path(found).resolve().parent] if found else [])]
    return next((f for f in folders if (f / "initdb").exists()), None)


def _account() -> str | None:
    """As whom the server runs: it refuses root, so root takes the account that the package made."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in ("postgres", "nobody") if name in names)


def start(log: Path) -> tuple[Server, Path]:
    """Starts a server on a free loopback port; returns it with its folder, which `stop` takes."""
    bin_ = programs()
    assert bin_ is not None
    account, password = _account(), secrets.token_urlsafe(12)
    folder = Path(tempfile.mkdtemp(prefix="attune-ops-postgres-"))
    (folder / "password").write_text(password)
    if account:
        shutil.chown(folder, account)
        shutil.chown(folder / "password", account)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = f"-p {port} -h 127.0.0.1 -k '' -F -c max_connections=200"
    for command in (
        ["initdb", "-D", "data", "-U", "attune", "-A", "scram-sha-256", "--pwfile=password", "-E", "UTF8", "--no-sync"],
        ["pg_ctl", "-D", "data", "-w", "-t", "60", "-l", "log", "-o", options, "start"],
    ):
        _run([str(bin_ / command[0]), *command[1:]], folder, account, log)
    return Server(f"postgresql://attune:{password}@127.0.0.1:{port}"), folder


def stop(folder: Path, log: Path) -> None:
    """Stops the server of that folder and removes the folder."""
    bin_ = programs()
    assert bin_ is not None
    _run([str(bin_ / "pg_ctl"), "-D", "data", "-w", "-m", "immediate", "stop"], folder, _account(), log)
    shutil.rmtree(folder, ignore_errors=True)


def _run(command: list[str], folder: Path, account: str | None, log: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
    # The server inherits its standard streams, so they are a file and no pipe that would stay open.
    with log.open("ab") as out:
        done = subprocess.run(
            command, cwd=folder, user=account, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out
        )
    assert done.returncode == 0, f"{command[0]}: {log.read_text()[-2000:]}"
