"""How far the restoring of a file has come: one character a message in `FILE.restored`, kept through a kill.

`s` is written before a message is published and `c` once the broker has confirmed it, so after a kill an `s`
means that it may or may not have arrived. The pages are shared with the kernel: they outlive the process.
"""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
from collections.abc import Iterator
from pathlib import Path

from attune_ops.model.errors import ActionError, ConfigError

NOT_SENT, SENT, CONFIRMED = b".", b"s", b"c"
LINE = 64  # bytes of the first line, which names the file that this belongs to
GROWS = 1 << 16


class Progress:
    """The marks of one file's messages, by position from 1."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._pages = mmap.mmap(descriptor, 0)

    def __getitem__(self, n: int) -> bytes:
        at = LINE + n - 1
        return self._pages[at : at + 1] if at < len(self._pages) else NOT_SENT

    def __setitem__(self, n: int, mark: bytes) -> None:
        at = LINE + n - 1
        if at >= len(self._pages):
            self._grow(at + GROWS)
        self._pages[at : at + 1] = mark

    def keep(self) -> None:
        """Returns once all marks are on disk, for the case that the machine goes down."""
        self._pages.flush()

    def close(self) -> None:
        """Unmaps the file."""
        self._pages.close()

    def _grow(self, size: int) -> None:
        old = len(self._pages)
        try:
            written = os.pwrite(self._descriptor, NOT_SENT * (size - old), old)
        except OSError as e:
            raise ActionError(f"how far it came cannot be kept: {e.strerror}") from e
        if written < size - old:
            raise ActionError("how far it came cannot be kept: no space left")
        self._pages.close()
        self._pages = mmap.mmap(self._descriptor, 0)


def progress_file(path: Path) -> Path:
    """Where the progress of restoring that file is kept."""
    return path.with_name(path.name + ".restored")


@contextlib.contextmanager
def marking(path: Path, id: str) -> Iterator[Progress]:
    """Opens the marks of the file of messages with that id, for this process alone; makes them where there are none.

    Raises `ConfigError` where they belong to another file, `ActionError` where they cannot be written.
    """
    marks = progress_file(path)
    try:
        descriptor = os.open(marks, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as e:
        raise ActionError(f"{str(marks)!r} cannot be written: {e.strerror}") from e
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as e:
            raise ActionError(f"{str(path)!r} is being restored by another process") from e
        if os.fstat(descriptor).st_size < LINE:
            os.pwrite(descriptor, _first_line(id), 0)
        check(os.pread(descriptor, LINE, 0), path, id)
        progress = Progress(descriptor)
        try:
            yield progress
            progress.keep()
        finally:
            progress.close()
    finally:
        os.close(descriptor)


def read_marks(path: Path, id: str) -> bytes:
    """The marks of every position, in order; b"" where nothing was restored yet. Changes nothing."""
    marks = progress_file(path)
    if not marks.exists():
        return b""
    data = marks.read_bytes()
    if len(data) >= LINE:
        check(data[:LINE], path, id)
    return data[LINE:]


def check(line: bytes, path: Path, id: str) -> None:
    """Raises `ConfigError` where the marks are those of another file of the same name."""
    if line != _first_line(id):
        raise ConfigError(
            f"{str(progress_file(path))!r} tells of another file that was called {path.name!r}; remove it if that one "
            f"is done with"
        )


def _first_line(id: str) -> bytes:
    return f"attune-ops restored {id}".encode().ljust(LINE - 1) + b"\n"
