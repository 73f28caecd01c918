"""The running lab: the private broker that `attune-ops lab up` started, read from its state file.

The settings fall back on it; `attune_ops.lab` starts and stops it.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

import msgspec

from attune_ops.model.decoding import decode
from attune_ops.model.errors import ConfigError
from attune_ops.model.files import state_folder
from attune_ops.model.secret import Secret

STATE_FILE = "state.json"
PASSWORD_FILE = "password"
REGISTRY_FILE = "registry.sqlite"
STANDARD_PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
LOOPBACK = ("127.0.0.1", "localhost")  # a lab listens nowhere else
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,30}")


class Process(msgspec.Struct, frozen=True):
    """A process by its id and start time: ids are reused."""

    pid: int
    started: str

    @property
    def alive(self) -> bool:
        """Whether this process still runs (a stopped one does, a zombie does not)."""
        return start_time(self.pid) == self.started


class LabNode(msgspec.Struct, frozen=True):
    """One node of the lab with its loopback ports; `process` is None while it is stopped."""

    name: str
    folder: str
    amqp_port: int
    management_port: int
    prometheus_port: int
    distribution_port: int
    process: Process | None = None

    @property
    def alive(self) -> bool:
        """Whether the node's process runs."""
        return self.process is not None and self.process.alive


class RunningLab(msgspec.Struct, frozen=True):
    """A lab by its state file. The password is in a separate file, mode 600."""

    name: str
    folder: str
    server: str  # the rabbitmq-server that was started
    user: str
    nodes: tuple[LabNode, ...]
    epmd_port: int
    created: datetime
    epmd: Process | None = None
    ready: bool = False  # False until every node has answered once
    version: str | None = None
    config: tuple[str, ...] = ()  # lines of rabbitmq.conf that were asked for
    plugins: tuple[str, ...] = ()
    erlang: str = ""  # the folder of `erl` that it runs on; "" where it is on every PATH, or beside the server

    @property
    def ctl_environment(self) -> dict[str, str]:
        """What `rabbitmqctl` needs to reach this lab, whatever the shell: cookie, epmd, Erlang."""
        path = {"PATH": os.pathsep.join((self.erlang, *STANDARD_PATH))} if self.erlang else {}
        # The folder: the installations that `scripts/rabbitmq` makes show it to their programs.
        where = {"HOME": self.folder, "ERL_EPMD_PORT": str(self.epmd_port), "ATTUNE_OPS_LAB_FOLDER": self.folder}
        return path | where

    @property
    def node(self) -> LabNode:
        """The first node that is alive, or the first where none is."""
        return next((n for n in self.nodes if n.alive), self.nodes[0])

    @property
    def password_file(self) -> Path:
        """The file of mode 600 that holds the password."""
        return Path(self.folder, PASSWORD_FILE)

    @property
    def password(self) -> Secret:
        """The password of `user`; raises `ConfigError` where its file cannot be read."""
        try:
            return Secret(self.password_file.read_text().strip())
        except OSError as e:
            raise ConfigError(f"cannot read the lab's password file {self.password_file}: {e.strerror}") from e

    @property
    def amqp_url(self) -> str:
        """The AMQP URL with its password: for a client, never for output."""
        return f"amqp://{self._credentials}@127.0.0.1:{self.node.amqp_port}/%2F"

    @property
    def management_url(self) -> str:
        """The management API's URL with its password: for a client, never for output."""
        return f"http://{self._credentials}@127.0.0.1:{self.node.management_port}"

    @property
    def prometheus_url(self) -> str:
        """The URL of the broker's own metrics."""
        return f"http://127.0.0.1:{self.node.prometheus_port}/metrics"

    @property
    def database_url(self) -> str:
        """The URL of the lab's worker registry, a SQLite file in its folder."""
        return f"sqlite:///{Path(self.folder, REGISTRY_FILE)}"

    @property
    def _credentials(self) -> str:
        return f"{quote(self.user, safe='')}:{quote(self.password.reveal(), safe='')}"


def labs_folder() -> Path:
    """The folder that holds a folder for each lab, below the user's state folder."""
    return state_folder("lab")


def lab_folder(name: str = "default") -> Path:
    """The folder of the lab of that name; raises `ConfigError` for an invalid name."""
    if not NAME.fullmatch(name):
        raise ConfigError(f"invalid lab name {name!r}: use up to 31 of a-z, 0-9, - and _, first a letter or digit")
    return labs_folder() / name


def read_state(name: str = "default") -> RunningLab | None:
    """Reads the state file, also of a lab that no longer runs; None without a file.

    Raises `ConfigError` where it cannot be read or is not a state file. Changes nothing.
    """
    path = lab_folder(name) / STATE_FILE
    try:
        return decode(path.read_bytes(), RunningLab)
    except FileNotFoundError:
        return None
    except OSError as e:
        raise ConfigError(f"cannot read the lab's state file {path}: {e.strerror}") from e
    except (msgspec.DecodeError, UnicodeDecodeError) as e:
        raise ConfigError(f"{path} is not the state file of a lab ({e}); `attune-ops lab down` removes it") from e


def read(name: str = "default") -> RunningLab | None:
    """The lab of that name if it is ready and at least one of its nodes runs, else None. Changes nothing."""
    lab = read_state(name)
    return lab if lab is not None and lab.ready and any(n.alive for n in lab.nodes) else None


def running() -> Iterator[RunningLab]:
    """The labs of this user that run, by name; a state file that cannot be read is skipped. Changes nothing."""
    for file in sorted(labs_folder().glob(f"*/{STATE_FILE}")):
        with contextlib.suppress(ConfigError):
            lab = read(file.parent.name)
            if lab is not None:
                yield lab


def node_at(host: str, amqp_port: int) -> tuple[RunningLab, LabNode] | None:
    """The running lab and its node that listens for AMQP there; None where no lab of this user does."""
    if host not in LOOPBACK:
        return None
    for lab in running():
        for node in lab.nodes:
            if node.amqp_port == amqp_port and node.alive:
                return lab, node
    return None


def start_time(pid: int) -> str | None:
    """When the process with that id started, as a text to compare; None without such a process, or for a zombie.

    On Linux the boot id is part of it: process ids and ticks restart with each boot.
    """
    if not os.path.exists("/proc/self/stat"):
        return _start_time_by_ps(pid)
    try:
        # The command's name is in brackets and may contain anything, also brackets and blanks.
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    boot = ""
    with contextlib.suppress(OSError):  # not every container shows it
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return None if fields[0] in "ZX" else f"{boot}/{fields[19]}"


def _start_time_by_ps(pid: int) -> str | None:
    import subprocess

    answer = subprocess.run(
        ["ps", "-o", "stat=", "-o", "lstart=", "-p", str(pid)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"LC_ALL": "C", "TZ": "UTC"},
    )
    state, _, started = answer.stdout.strip().partition(" ")
    return started.strip() or None if state and state[0] not in "ZX" else None
