"""A PostgreSQL server of the tests' own, and Attune's tables in it."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from attune_ops.lab.postgres import SCHEMA as SCHEMA

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
