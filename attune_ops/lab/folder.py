"""The lab's folder: its lock, its state file and its password."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import msgspec

from attune_ops.installation.config.running_lab import PASSWORD_FILE, STATE_FILE, RunningLab, lab_folder, labs_folder
from attune_ops.model.errors import ActionError
from attune_ops.model.files import lock, make_folder, make_private


@contextmanager
def locked(name: str, note: Callable[[str], None]) -> Iterator[Path]:
    """Lets one caller at a time change the lab of that name; gives its folder, which need not exist.

    The lock file is beside the folder, and removed with it.
    """
    folder = lab_folder(name)
    path = folder.with_suffix(".lock")
    while True:
        try:
            make_folder(folder.parent)
            make_private(path)
            file = path.open("w")
        except OSError as e:
            raise ActionError(f"cannot use the lab's folder {folder.parent}: {e.strerror}") from e
        with file:
            if not lock(file, wait=False):
                note(f"waiting for another command that uses lab {name!r}")
                lock(file)
            if not _is_file(file, path):  # removed while this command waited, so no longer the lock
                continue
            try:
                yield folder
            finally:
                if not folder.exists():
                    path.unlink(missing_ok=True)
            return


def _is_file(lock: IO[str], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(lock.fileno()), path.stat())
    except FileNotFoundError:
        return False


def is_there(name: str) -> bool:
    """Whether there is such a lab, or a command that uses it."""
    folder = lab_folder(name)
    return folder.exists() or folder.with_suffix(".lock").exists()


def make(folder: Path) -> None:
    """Makes the folder with a new password and the nodes' Erlang cookie, readable by its owner only."""
    make_folder(folder, new=True)
    write_private(folder / PASSWORD_FILE, secrets.token_urlsafe(18) + "\n")
    write_private(folder / ".erlang.cookie", secrets.token_hex(16))
    (folder / ".erlang.cookie").chmod(0o400)


def save(lab: RunningLab) -> RunningLab:
    """Writes the state file atomically."""
    path = Path(lab.folder, STATE_FILE)
    new = path.with_suffix(".new")
    write_private(new, msgspec.json.format(msgspec.json.encode(lab).decode()))
    os.replace(new, path)
    return lab


def remove(folder: Path) -> None:
    """Removes the lab's folder; a broker that is stopping may still write into it."""
    for _ in range(3):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
    raise ActionError(f"cannot remove the lab's folder {folder}")


def write_private(path: Path, text: str) -> None:
    """Writes a file that only its owner can read, from the start."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)


def names() -> list[str]:
    """The names of all labs that have a folder."""
    return sorted(p.parent.name for p in labs_folder().glob(f"*/{STATE_FILE}"))
