"""The worker registry of a drill, which can be made unavailable: a SQLite file, or its own PostgreSQL server."""

from __future__ import annotations

import secrets
import tempfile
from pathlib import Path
from typing import Literal, Protocol

import msgspec

from attune_ops.drills.undo import UndoList
from attune_ops.installation.config.running_lab import Process
from attune_ops.installation.config.settings import Database
from attune_ops.installation.config.urls import parse_database
from attune_ops.lab.postgres import SCHEMA, Postgres

Kind = Literal["sqlite", "postgresql"]


class Registry(Protocol):
    """The database of a registry, which can be made unavailable."""

    database: Database

    def down(self) -> None:
        """Makes the database unavailable. Undo: `up`."""

    def up(self) -> None:
        """Makes it available again, with all its data."""


class SqliteRegistry:
    """A SQLite file: unavailable while it has another name and a folder has its name."""

    def __init__(self, folder: Path) -> None:
        self.database = _named("the drill's SQLite file", f"sqlite:///{folder}/registry.sqlite")
        self._away = folder / "registry.away"

    def down(self) -> None:
        """Moves the file away; a folder in its place keeps services from creating a new file."""
        self.database.file.rename(self._away)
        self.database.file.mkdir()

    def up(self) -> None:
        """Moves the file back."""
        self.database.file.rmdir()
        self._away.rename(self.database.file)


class PostgresqlRegistry:
    """A PostgreSQL server with Attune's tables: unavailable while it does not run."""

    def __init__(self, undo: UndoList) -> None:
        # Not in the drill's folder, which the server's account may not enter.
        folder = Path(tempfile.gettempdir(), f"attune-ops-drill-{secrets.token_hex(6)}")
        self._undo, self._server = undo, Postgres(folder)
        undo.add("folder", str(folder))
        self._server.make()
        self.up()
        self.database = _named("the drill's PostgreSQL", f"{self._server.url}/postgres")
        self._server.execute(SCHEMA.format(schema=self.database.schema))

    def down(self) -> None:
        """Stops the server at once, as a crash does."""
        self._server.stop()

    def up(self) -> None:
        """Starts the server on its data."""
        self._server.start(self._record)

    def _record(self, process: Process) -> None:
        self._undo.add("process", str(process.pid), process.started)


def _named(name: str, url: str) -> Database:
    """A database that findings and errors show by name, since its place does not exist after the drill."""
    return msgspec.structs.replace(parse_database(url, "drill"), shown=name)


def make(kind: Kind, folder: Path, undo: UndoList) -> Registry:
    """Makes an empty registry; `undo` gets what is outside of its folder. Raises `ConfigError`, `ActionError`."""
    return PostgresqlRegistry(undo) if kind == "postgresql" else SqliteRegistry(folder)
