"""A private PostgreSQL server with Attune's tables on a free loopback port."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

from attune_ops.installation.config.running_lab import Process
from attune_ops.installation.config.urls import parse_database
from attune_ops.installation.registry_session import connect_postgresql
from attune_ops.lab import process as processes
from attune_ops.model.errors import ActionError, ConfigError, SourceError
from attune_ops.model.files import make_folder

SCHEMA = Path(__file__).with_name("registry.sql").read_text()  # to be formatted with the name of the schema
USER = "attune"
START_S = 60.0


class Postgres:
    """A server with its data in `folder`; `process` is the running one, or the last."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.programs, self.account = folder, programs(), account()
        self.password, self.port = secrets.token_urlsafe(12), _free_port()
        self.process: Process | None = None
        self._error = ""

    @property
    def url(self) -> str:
        """The URL of its superuser, with the password, without a database name."""
        return f"postgresql://{USER}:{self.password}@127.0.0.1:{self.port}"

    def make(self) -> None:
        """Makes the folder and an empty data directory in it. Undo: remove the folder. Raises `ActionError`."""
        make_folder(self.folder, new=True)
        secret = self.folder / "password"
        secret.touch(mode=0o600)
        secret.write_text(self.password)
        if self.account:
            shutil.chown(secret, self.account)
            shutil.chown(self.folder, self.account)
        done = subprocess.run(
            [self.programs / "initdb", "-D", "data", "-U", USER, "-A", "scram-sha-256", "--pwfile=password",
             "-E", "UTF8", "--no-sync"],
            cwd=self.folder, user=self.account, env=_environment(), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            raise ActionError(f"initdb failed: {done.stdout.strip().splitlines()[-1]}")

    def start(self, record: Callable[[Process], None] = lambda process: None) -> None:
        """Starts the server and waits until it answers; `record` is called with its process before it runs.

        Undo: `stop`. Raises `ActionError`.
        """
        command = [
            str(self.programs / "postgres"), "-D", "data", "-p", str(self.port), "-h", "127.0.0.1", "-k", "", "-F",
            "-c", "max_connections=200",
        ]  # fmt: skip
        log = self.folder / "log"
        started = processes.launch(command, _environment(), self.folder, log, record, user=self.account)
        self.process = started
        processes.wait_for_start(self._answers, START_S, "PostgreSQL", lambda: started.alive, lambda: self._error)

    def stop(self) -> None:
        """Stops the server at once, as a crash does (immediate shutdown). Undo: `start`."""
        if self.process is not None:
            processes.end([self.process], 10, signal.SIGQUIT)

    def execute(self, script: str, database: str = "postgres") -> None:
        """Runs statements, all in one transaction. Raises `SourceError` where the server does not answer."""
        connection = connect_postgresql(parse_database(f"{self.url}/{database}", "lab"), 5, read_only=False)
        try:
            connection.execute(script)
        finally:
            connection.close()

    def _answers(self) -> bool:
        try:
            self.execute("SELECT 1")
        except SourceError as e:
            self._error = str(e)
            return False
        return True


def programs() -> Path:
    """The folder of the newest PostgreSQL server programs. Raises `ConfigError` where there are none."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: int(p.parent.name), reverse=True)
    found = shutil.which("initdb")
    folders = [*debian, *([Path(found).resolve().parent] if found else [])]
    for folder in folders:
        if (folder / "initdb").exists():
            return folder
    raise ConfigError("no PostgreSQL server programs (initdb) found: install the package postgresql")


def account() -> str | None:
    """The account that the server runs as, None for the current one: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in ("postgres", "nobody") if name in names)


def _environment() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
