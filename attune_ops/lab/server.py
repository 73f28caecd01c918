"""Which RabbitMQ installation the lab starts."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec

from attune_ops.installation.config.running_lab import STANDARD_PATH
from attune_ops.model.errors import ConfigError

# Where packages install the scripts that any user may run, in order of preference. What Debian puts on the PATH is a
# wrapper that only root and the account rabbitmq may run, and that uses the system-wide broker's folders.
FOLDERS: tuple[str, ...] = (
    "/usr/lib/rabbitmq/bin",
    "/opt/homebrew/opt/rabbitmq/sbin",
    "/usr/local/opt/rabbitmq/sbin",
    "/home/linuxbrew/.linuxbrew/opt/rabbitmq/sbin",
    "/opt/rabbitmq/sbin",
)
MORE_PATH = ("/usr/local/sbin", "/usr/sbin", "/opt/homebrew/bin", "/home/linuxbrew/.linuxbrew/bin")
WRAPPER = "rabbitmq-script-wrapper"


class Server(msgspec.Struct, frozen=True):
    """The programs of one installation."""

    start: str
    ctl: str
    epmd: str
    erlang: str = ""  # the folder of `erl`; "" where it is on every PATH, or not on the caller's


def search_path() -> str:
    """The caller's PATH with the folders that are not on an ordinary user's PATH."""
    return os.pathsep.join([os.environ.get("PATH", os.defpath), *MORE_PATH])


def find(wanted: str | None = None) -> Server:
    """The RabbitMQ installation at `wanted`, a folder or a `rabbitmq-server`, or else the one of this machine.

    Raises `ConfigError` where there is none.
    """
    for start in _candidates(wanted):
        if start.name == WRAPPER:
            start = start.with_name("rabbitmq-server")
        if start.is_file() and os.access(start, os.X_OK):
            return Server(str(start), str(start.with_name("rabbitmqctl")), _epmd(start.parent), _erlang())
    if wanted is not None:
        raise ConfigError(f"no rabbitmq-server in {wanted}: give an installation's folder or its sbin/rabbitmq-server")
    raise ConfigError(
        "no RabbitMQ found: run ./scripts/quickstart, install the package rabbitmq-server (Debian, Ubuntu, Homebrew), "
        "or give an installation with --server"
    )


def _candidates(wanted: str | None) -> Iterator[Path]:
    if wanted is not None:
        # The scripts find their installation by their own path, so links are followed.
        path = Path(wanted).expanduser().resolve()
        yield path
        for folder in ("sbin", "bin", "."):
            yield (path / folder / "rabbitmq-server").resolve()
        return
    for name in FOLDERS:
        yield (Path(name) / "rabbitmq-server").resolve()
    on_path = shutil.which("rabbitmq-server", path=search_path())
    if on_path is not None:
        yield Path(on_path).resolve()


def _erlang() -> str:
    found = shutil.which("erl", path=search_path())
    folder = str(Path(found).absolute().parent) if found else ""
    return "" if folder in STANDARD_PATH else folder


def _epmd(folder: Path) -> str:
    beside = folder / "epmd"
    found = str(beside) if beside.is_file() else shutil.which("epmd", path=search_path())
    if found is None and (erl := shutil.which("erl", path=search_path())) is not None:
        runtimes = sorted(Path(erl).resolve().parents[1].glob("**/erts-*/bin/epmd"))
        found = str(runtimes[-1]) if runtimes else None
    if found is None:
        raise ConfigError("no epmd found: install Erlang, or put the folder with epmd on the PATH")
    return found
