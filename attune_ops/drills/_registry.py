"""The worker registry of a drill, and taking its database away: a file, or a PostgreSQL server of the drill's own."""

from __future__ import annotations

import secrets
import tempfile
from pathlib import Path
from typing import Literal, Protocol

import msgspec

from attune_ops.drills._recover import UndoList
from attune_ops.installation.config.running_lab import Process
from attune_ops.installation.config.settings import Database
from attune_ops.installation.config.urls import parse_database
from attune_ops.lab.postgres import SCHEMA, Postgres

Kind = Literal["sqlite", "postgresql"]


class Registry(Protocol):
    """A registry's database, which can be away for a while."""

    database: Database

    def down(self) -> None:
        """Takes the database away. Undo: `up`."""

    def up(self) -> None:
        """Brings it back with all that was in it."""


class FileRegistry:
    """A SQLite file: away while it has another name and a folder stands in its place."""

    def __init__(self, folder: Path) -> None:
        self.database = _named("the drill's SQLite file", f"sqlite:///{folder}/registry.sqlite")
        self._away = folder / "registry.away"

    def down(self) -> None:
        """Moves the file away; the folder in its place keeps everybody from making a new one."""
        self.database.file.rename(self._away)
        self.database.file.mkdir()

    def up(self) -> None:
        """Moves the file back."""
        self.database.file.rmdir()
        self._away.rename(self.database.file)


class ServerRegistry:
    """A PostgreSQL server with Attune's tables: away while it does not run."""

    def __init__(self, undo: UndoList) -> None:
        # Not within the drill's own folder, which its account may not enter.
        folder = Path(tempfile.gettempdir(), f"attune-ops-drill-{secrets.token_hex(6)}")
        self._undo, self._server = undo, Postgres(folder)
        undo.add("folder", str(folder))
        self._server.make()
        self.up()
        self.database = _named("the drill's PostgreSQL", f"{self._server.url}/postgres")
        self._server.execute(SCHEMA.format(schema=self.database.schema))

    def down(self) -> None:
        """Ends the server at once, as a crash does."""
        self._server.stop()

    def up(self) -> None:
        """Starts the server on its data."""
        self._server.start(self._record)

    def _record(self, process: Process) -> None:
        self._undo.add("process", str(process.pid), process.started)


def _named(name: str, url: str) -> Database:
    """A database that findings and errors call by name, so that a journal is not full of places that are gone."""
    return msgspec.structs.replace(parse_database(url, "drill"), shown=name)


def make(kind: Kind, folder: Path, undo: UndoList) -> Registry:
    """Makes an empty registry; `undo` lists what is not in the drill's folder. Raises `ConfigError`, `ActionError`."""
    return ServerRegistry(undo) if kind == "postgresql" else FileRegistry(folder)
