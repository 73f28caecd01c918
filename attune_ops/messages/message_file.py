"""The file that messages are drained to: one JSON object per line; the first describes the file (docs/messages.md).

Properties and body are base64 of the original bytes. A last line without its end was cut off by a crash; its message
was never acknowledged, so the broker still has it.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import msgspec

from attune_ops.installation.config import Settings
from attune_ops.messages.message import Message
from attune_ops.model.errors import ActionError, ConfigError
from attune_ops.model.files import lock

SCHEMA = "attune-ops/messages/1"
BUFFER = 1 << 20


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """The first line. `id` distinguishes files of the same name; `broker` is the URL, password masked."""

    schema: str = SCHEMA
    id: str
    queue: str
    vhost: str
    broker: str
    created: datetime


class Damaged(msgspec.Struct, frozen=True):
    """A line that is not a message; `torn` says that it is the last one and incomplete."""

    line: int
    torn: bool


_encoder = msgspec.json.Encoder()
_header = msgspec.json.Decoder(Header)
_message = msgspec.json.Decoder(Message)


def encode(record: Header | Message) -> bytes:
    """The line of a record, its end included."""
    return _encoder.encode(record) + b"\n"


def decode_header(line: bytes, name: str) -> Header:
    """Reads the first line of the file `name`; raises `ConfigError` where it is not a message file."""
    try:
        found = _header.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise ConfigError(f"{name!r} is not a message file: its first line is not {SCHEMA}") from None
    if found.schema != SCHEMA:
        raise ConfigError(f"{name!r} has schema {found.schema!r}; this release reads {SCHEMA}")
    return found


def decode_messages(lines: Iterable[bytes]) -> Iterator[Message | Damaged]:
    """Reads the lines after the first. A message's position is that of its line, whatever the line says."""
    for n, line in enumerate(lines, 1):
        if not line.endswith(b"\n"):
            yield Damaged(n, torn=True)
            return
        try:
            message = _message.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError):
            yield Damaged(n, torn=False)
            continue
        yield message if message.n == n else msgspec.structs.replace(message, n=n)


class MessageFile:
    """A message file, open for appending and locked for this process; mode 600, since bodies may hold secrets."""

    def __init__(self, file: BinaryIO, header: Header, count: int = 0, run: int = 1, cut: int = 0) -> None:
        self.header = header
        self.count = count  # messages in it
        self.run = run  # one more than the last run that wrote a message
        self.cut = cut  # bytes of an incomplete line that were cut off on opening
        self._file = file

    def append(self, message: Message) -> None:
        """Adds a message at the next position; it is safe after `sync`."""
        self.count += 1
        if message.n != self.count or message.run != self.run:
            message = msgspec.structs.replace(message, n=self.count, run=self.run)
        self._file.write(encode(message))

    def sync(self) -> None:
        """Returns once everything appended is on disk."""
        self._file.flush()
        os.fsync(self._file.fileno())


@contextlib.contextmanager
def open_file(path: Path, settings: Settings, queue: str) -> Iterator[MessageFile]:
    """Creates the file, or resumes the one of an earlier drain of the same queue.

    Raises `ConfigError` where it is another kind of file or of another queue, `ActionError` where it cannot be
    written or another drain is writing to it.
    """
    try:
        file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b", buffering=BUFFER)
    except OSError as e:
        raise ActionError(f"cannot write {str(path)!r}: {e.strerror}") from e
    try:
        if not lock(file, wait=False):
            raise ActionError(f"another drain is writing {str(path)!r}")
        opened = _resume(file, path, settings, queue) or _begin(file, path, settings, queue)
        yield opened
        opened.sync()
    except OSError as e:
        raise ActionError(f"cannot write {str(path)!r}: {e.strerror}") from e
    finally:
        with contextlib.suppress(OSError):  # the disk may still be full
            file.close()


def check_file(path: Path, settings: Settings, queue: str) -> None:
    """Raises what `open_file` would raise, as far as a dry run can know; changes nothing."""
    if path.exists() and (path.is_dir() or path.stat().st_size):
        _same_queue(read_header(path), path, settings, queue)
    elif not path.absolute().parent.is_dir():
        raise ActionError(f"cannot write {str(path)!r}: no such folder")
    elif not os.access(path if path.exists() else path.absolute().parent, os.W_OK):
        raise ActionError(f"cannot write {str(path)!r}: permission denied")


def read_header(path: Path) -> Header:
    """Reads the first line of a message file, changes nothing. Raises `ConfigError` where it is not one."""
    try:
        with path.open("rb") as file:
            return decode_header(file.readline(), str(path))
    except OSError as e:
        raise ConfigError(f"cannot read {str(path)!r}: {e.strerror}") from e


def read_messages(path: Path) -> Iterator[Message | Damaged]:
    """Reads the messages of a file, line by line; changes nothing."""
    with path.open("rb", buffering=BUFFER) as file:
        file.readline()
        yield from decode_messages(file)


def _begin(file: BinaryIO, path: Path, settings: Settings, queue: str) -> MessageFile:
    header = Header(
        id=secrets.token_hex(16),
        queue=queue,
        vhost=settings.vhost,
        broker=str(settings.amqp),
        created=datetime.now(UTC),
    )
    os.fchmod(file.fileno(), 0o600)  # an existing empty file may be readable by everyone
    file.truncate(0)
    file.seek(0)
    file.write(encode(header))
    file.flush()
    os.fsync(file.fileno())
    folder = os.open(path.absolute().parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the name too must survive a power cut
    finally:
        os.close(folder)
    return MessageFile(file, header)


def _same_queue(header: Header, path: Path, settings: Settings, queue: str) -> None:
    if (header.queue, header.vhost) != (queue, settings.vhost):
        raise ConfigError(
            f"{str(path)!r} holds messages of queue {header.queue!r} in virtual host {header.vhost!r}; "
            f"choose another file"
        )


def _resume(file: BinaryIO, path: Path, settings: Settings, queue: str) -> MessageFile | None:
    """The file of an earlier drain, an incomplete last line cut off; None where its first line is incomplete."""
    first = file.readline()
    if not first.endswith(b"\n"):
        if first and not first.startswith(b'{"schema":"attune-ops/messages'[: len(first)]):
            raise ConfigError(f"{str(path)!r} is not a message file; choose another file")
        return None
    header = decode_header(first, str(path))
    _same_queue(header, path, settings, queue)
    count, run, cut, end = 0, 1, 0, len(first)
    for line in file:
        found = next(iter(decode_messages([line])))
        if isinstance(found, Damaged):
            if not found.torn:
                raise ActionError(f"{str(path)!r}: line {count + 2} is damaged; restore this file and drain to another")
            cut = len(line)
            break
        count, run, end = count + 1, found.run + 1, end + len(line)
    file.truncate(end)
    file.seek(end)
    return MessageFile(file, header, count, run, cut)
