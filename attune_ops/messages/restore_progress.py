"""The progress file of a restore: one character per message in `FILE.restored`, which survives a kill.

`s` is written before a message is published and `c` once the broker has confirmed it; so after a kill `s` means that
it may or may not have arrived. The memory map is shared with the kernel: it survives the process.
"""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path

from attune_ops.installation.config.settings import Endpoint
from attune_ops.model.errors import ActionError, ConfigError
from attune_ops.model.files import PRIVATE, check_regular, lock

NOT_SENT, SENT, CONFIRMED = b".", b"s", b"c"
LINE = 64  # bytes of the first line, with the id of the message file
GROWS = 1 << 16
WORDS = 4  # of a first line with a target; before 0.2.0 it had none
SEVERAL = "several"  # as target: the marks are of restores to more than one


class Progress:
    """The marks of one file's messages, by position from 1."""

    def __init__(self, descriptor: int, name: str) -> None:
        self._descriptor, self._name = descriptor, name
        self.first_line = b""  # to be written with the next mark
        with _writing(name):
            # A hole that is written through the map when the disk is full would end the process (SIGBUS).
            os.posix_fallocate(descriptor, 0, os.fstat(descriptor).st_size)
            self._pages = mmap.mmap(descriptor, 0)

    def __getitem__(self, n: int) -> bytes:
        at = LINE + n - 1
        return self._pages[at : at + 1] if at < len(self._pages) else NOT_SENT

    def __setitem__(self, n: int, mark: bytes) -> None:
        at = LINE + n - 1
        if self.first_line:
            self._pages[:LINE], self.first_line = self.first_line, b""
        if at >= len(self._pages):
            self._grow(at + GROWS)
        self._pages[at : at + 1] = mark

    def sync(self) -> None:
        """Returns once all marks are on disk: a kill needs no sync, a power cut does."""
        with _writing(self._name):
            self._pages.flush()

    def close(self) -> None:
        """Unmaps the file."""
        self._pages.close()

    def _grow(self, size: int) -> None:
        old = len(self._pages)
        with _writing(self._name):
            _write(self._descriptor, NOT_SENT * (size - old), old)
            self._pages.close()
            self._pages = mmap.mmap(self._descriptor, 0)


@contextlib.contextmanager
def _writing(name: str) -> Iterator[None]:
    """Raises `ActionError` where the progress file of that name cannot be written."""
    try:
        yield
    except OSError as e:
        raise ActionError(f"cannot write the progress file {name!r}: {e.strerror}") from e


def _write(descriptor: int, data: bytes, at: int) -> None:
    if os.pwrite(descriptor, data, at) < len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def progress_file(path: Path) -> Path:
    """The progress file of that message file."""
    return path.with_name(path.name + ".restored")


@contextlib.contextmanager
def open_progress(path: Path, id: str, target: str = "") -> Iterator[Progress]:
    """Opens or creates the progress file of the message file with that id, locked for this process.

    Its first line gets the `target` while no message is marked (`target_of`), and with the first mark of another
    target `SEVERAL`.

    Raises `ConfigError` where it belongs to another message file, `ActionError` where it cannot be written.
    """
    marks = progress_file(path)
    with _writing(str(marks)):
        check_regular(marks, str(marks))
        descriptor = os.open(marks, os.O_RDWR | os.O_CREAT | os.O_NONBLOCK, PRIVATE)
    try:
        if not lock(descriptor, wait=False):
            raise ActionError(f"{str(path)!r} is being restored by another process")
        with _writing(str(marks)):
            check_regular(descriptor, str(marks))
            if _unmarked(os.pread(descriptor, os.fstat(descriptor).st_size, 0), id):
                _write(descriptor, _first_line(id, target), 0)
        check(os.pread(descriptor, LINE, 0), path, id)
        progress = Progress(descriptor, str(marks))
        if marked_through(path) not in ("", target):
            progress.first_line = _first_line(id, SEVERAL)
        try:
            yield progress
            progress.sync()
        finally:
            progress.close()
    finally:
        os.close(descriptor)


def read_marks(path: Path, id: str) -> bytes:
    """Reads the marks of all positions, b"" where nothing was restored yet; changes nothing."""
    data = _read(progress_file(path))
    if len(data) >= LINE:
        check(data[:LINE], path, id)
    return data[LINE:]


def was_restored(path: Path, id: str) -> bool:
    """Whether a message of the file with that id was published and confirmed; changes nothing."""
    data = _read(progress_file(path))
    return data.startswith(_prefix(id)) and CONFIRMED in data[LINE:]


def target_of(endpoint: Endpoint) -> str:
    """What stands for a broker's address and virtual host in the first line."""
    return blake2b(f"{endpoint.address}/{endpoint.path}".encode(), digest_size=4).hexdigest()


def marked_through(path: Path) -> str:
    """The target of the restore that made the marks, `SEVERAL` of more than one; "" where that is unknown."""
    words = _read(progress_file(path))[:LINE].decode(errors="replace").split()
    return words[-1] if len(words) == WORDS else ""


def _read(marks: Path) -> bytes:
    check_regular(marks, str(marks))
    try:
        return marks.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as e:
        raise ConfigError(f"cannot read the progress file {str(marks)!r}: {e.strerror}") from e


def check(line: bytes, path: Path, id: str) -> None:
    """Raises `ConfigError` where the marks belong to another file of the same name."""
    if not line.startswith(_prefix(id)):
        raise ConfigError(
            f"{str(progress_file(path))!r} belongs to another file that was named {path.name!r}; "
            f"delete it if that file is no longer needed"
        )


def _prefix(id: str) -> bytes:
    return f"attune-ops restored {id} ".encode()


def _first_line(id: str, target: str = "") -> bytes:
    return (_prefix(id) + target.encode()).ljust(LINE - 1) + b"\n"


def _unmarked(data: bytes, id: str) -> bool:
    """Whether the file is new, its first line was cut off by a kill, or it has no mark of a message."""
    head = data[:LINE]
    return (head.startswith(_prefix(id)) or _prefix(id).startswith(head)) and not data[LINE:].strip(NOT_SENT + b"\0")
