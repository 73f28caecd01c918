"""The file that messages are drained to: what is `kept` is durably on disk, whatever happens afterwards."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import msgspec

from attune_ops.installation.config import Settings
from attune_ops.messages import record
from attune_ops.messages.message import Message
from attune_ops.model.errors import ActionError, ConfigError

BUFFER = 1 << 20


class MessageFile:
    """A file of messages, open for appending by this process alone; mode 600, since bodies may hold secrets."""

    def __init__(self, file: BinaryIO, header: record.Header, count: int = 0, run: int = 1, cut: int = 0) -> None:
        self.header = header
        self.count = count  # messages in it
        self.run = run  # one more than the last that wrote a message
        self.cut = cut  # bytes of a torn line that were cut off when it was opened
        self._file = file

    def append(self, message: Message) -> None:
        """Adds a message at the next position; it is safe after `keep`."""
        self.count += 1
        if message.n != self.count or message.run != self.run:
            message = msgspec.structs.replace(message, n=self.count, run=self.run)
        self._file.write(record.encode(message))

    def keep(self) -> None:
        """Returns once everything appended is on disk."""
        self._file.flush()
        os.fsync(self._file.fileno())


@contextlib.contextmanager
def appending(path: Path, settings: Settings, queue: str) -> Iterator[MessageFile]:
    """Makes the file, or goes on with the one that an earlier drain of the same queue left.

    Raises `ConfigError` where it is another kind of file or another queue's, `ActionError` where it cannot be
    written or another drain is writing to it.
    """
    try:
        file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b", buffering=BUFFER)
    except OSError as e:
        raise ActionError(f"{str(path)!r} cannot be written: {e.strerror}") from e
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as e:
            raise ActionError(f"{str(path)!r} is being written by another drain") from e
        opened = _go_on(file, path, settings, queue) or _begin(file, path, settings, queue)
        yield opened
        opened.keep()
    except OSError as e:
        raise ActionError(f"{str(path)!r} cannot be written: {e.strerror}") from e
    finally:
        with contextlib.suppress(OSError):  # a full disk takes the rest of the buffer no better now
            file.close()


def foresee(path: Path, settings: Settings, queue: str) -> None:
    """Raises what `appending` would raise, as far as looking can tell. Changes nothing."""
    if path.exists() and (path.is_dir() or path.stat().st_size):
        _same_queue(read_header(path), path, settings, queue)
    elif not path.absolute().parent.is_dir():
        raise ActionError(f"{str(path)!r} cannot be written: there is no such folder")
    elif not os.access(path if path.exists() else path.absolute().parent, os.W_OK):
        raise ActionError(f"{str(path)!r} cannot be written: you may not write there")


def read_header(path: Path) -> record.Header:
    """The first line of a file of messages; raises `ConfigError` where it is none. Changes nothing."""
    try:
        with path.open("rb") as file:
            return record.header(file.readline(), str(path))
    except OSError as e:
        raise ConfigError(f"{str(path)!r} cannot be read: {e.strerror}") from e


def read_messages(path: Path) -> Iterator[Message | record.Damaged]:
    """The messages of a file, a line at a time. Changes nothing."""
    with path.open("rb", buffering=BUFFER) as file:
        file.readline()
        yield from record.messages(file)


def _begin(file: BinaryIO, path: Path, settings: Settings, queue: str) -> MessageFile:
    header = record.Header(
        id=secrets.token_hex(16),
        queue=queue,
        vhost=settings.vhost,
        broker=str(settings.amqp),
        created=datetime.now(UTC),
    )
    os.fchmod(file.fileno(), 0o600)  # an empty file may have been there, for everybody to read
    file.truncate(0)
    file.seek(0)
    file.write(record.encode(header))
    file.flush()
    os.fsync(file.fileno())
    folder = os.open(path.absolute().parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the name too must outlive a power cut
    finally:
        os.close(folder)
    return MessageFile(file, header)


def _same_queue(header: record.Header, path: Path, settings: Settings, queue: str) -> None:
    if (header.queue, header.vhost) != (queue, settings.vhost):
        raise ConfigError(
            f"{str(path)!r} holds messages of queue {header.queue!r} in virtual host {header.vhost!r}; choose another "
            f"file"
        )


def _go_on(file: BinaryIO, path: Path, settings: Settings, queue: str) -> MessageFile | None:
    """The file as an earlier drain left it, a torn last line cut off; None where not even its first line is whole."""
    first = file.readline()
    if not first.endswith(b"\n"):
        if first and not first.startswith(b'{"schema":"attune-ops/messages'[: len(first)]):
            raise ConfigError(f"{str(path)!r} is no file of messages; choose another file")
        return None
    header = record.header(first, str(path))
    _same_queue(header, path, settings, queue)
    count, run, cut, end = 0, 1, 0, len(first)
    for line in file:
        found = next(iter(record.messages([line])))
        if isinstance(found, record.Damaged):
            if not found.torn:
                raise ActionError(f"{str(path)!r}: line {count + 2} is damaged; restore what is whole, drain elsewhere")
            cut = len(line)
            break
        count, run, end = count + 1, found.run + 1, end + len(line)
    file.truncate(end)
    file.seek(end)
    return MessageFile(file, header, count, run, cut)
