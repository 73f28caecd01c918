"""The file that messages are drained to: one JSON object per line; the first describes the file (docs/messages.md).

Properties and body are base64 of the original bytes. A last line without its end was cut off by a crash; its message
was never acknowledged, so the broker still has it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import msgspec

from attune_ops.installation.config import Settings
from attune_ops.messages.message import Message
from attune_ops.messages.restore_progress import was_restored
from attune_ops.model.errors import ActionError, ConfigError
from attune_ops.model.files import PRIVATE, STDOUT, check_regular, lock

SCHEMA = "attune-ops/messages/1"
BUFFER = 1 << 20
LONGEST_HEADER = 1 << 16  # bytes
OF_TAP = "(tap of exchange "  # begins the name of the queue in the file of a tap


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """The first line. `id` distinguishes files of the same name; `broker` is the URL, password masked."""

    schema: str = SCHEMA
    id: str
    queue: str
    vhost: str
    broker: str
    created: datetime

    @property
    def of_tap(self) -> bool:
        """Whether the messages are copies: the queues of the exchange have got them."""
        return self.queue.startswith(OF_TAP)


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
        if not line.endswith(b"\n"):  # written at once: a drain leaves no part of it
            raise msgspec.DecodeError
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
        """Returns once everything appended is on disk, or written to a pipe."""
        self._file.flush()
        try:
            os.fsync(self._file.fileno())
        except OSError as e:
            if e.errno not in (errno.EINVAL, errno.EROFS):  # how a pipe, a terminal and a device answer
                raise


@contextlib.contextmanager
def open_file(path: Path, settings: Settings, queue: str) -> Iterator[MessageFile]:
    """Creates the file, or resumes the one of an earlier drain of the same queue.

    Raises `ConfigError` where it is no regular file, another kind of file, of another queue or was restored,
    `ActionError` where it cannot be written or another drain is writing to it.
    """
    try:
        file = _to_stdout() if is_stdout(path) else _opened(path)
    except OSError as e:
        raise ActionError(f"cannot write {str(path)!r}: {e.strerror}") from e
    try:
        if is_stdout(path):
            opened = _begin(file, settings, queue)
        else:
            if not lock(file, wait=False):
                raise ActionError(f"another drain is writing {str(path)!r}")
            opened = _resume(file, path, settings, queue) or _begin_file(file, path, settings, queue)
        yield opened
        opened.sync()
    except OSError as e:
        raise ActionError(f"cannot write {str(path)!r}: {e.strerror}") from e
    except KeyboardInterrupt:
        if is_stdout(path):
            _discard(file)
        raise
    finally:
        with contextlib.suppress(OSError):  # the disk may still be full
            file.close()


def check_file(path: Path, settings: Settings, queue: str) -> None:
    """Raises what `open_file` would raise, as far as a dry run can know; changes nothing."""
    if is_stdout(path):
        return
    check_regular(path, str(path))
    if path.exists() and path.stat().st_size:
        _check_resumable(read_header(path), path, settings, queue)
    elif not path.absolute().parent.is_dir():
        raise ActionError(f"cannot write {str(path)!r}: no such folder")
    elif not os.access(path if path.exists() else path.absolute().parent, os.W_OK):
        raise ActionError(f"cannot write {str(path)!r}: permission denied")


def read_header(path: Path) -> Header:
    """Reads the first line of a message file, changes nothing. Raises `ConfigError` where it is not one."""
    try:
        check_regular(path, str(path))
        with path.open("rb") as file:
            return decode_header(file.readline(LONGEST_HEADER), str(path))
    except OSError as e:
        raise ConfigError(f"cannot read {str(path)!r}: {e.strerror}") from e


def read_messages(path: Path) -> Iterator[Message | Damaged]:
    """Reads the messages of a file, line by line; changes nothing."""
    with path.open("rb", buffering=BUFFER) as file:
        file.readline()
        yield from decode_messages(file)


def is_stdout(path: Path) -> bool:
    """Whether messages are written to standard output."""
    return str(path) == STDOUT


def _to_stdout() -> BinaryIO:
    sys.stdout.flush()
    return os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=BUFFER)


def _discard(file: BinaryIO) -> None:
    """Lets what is not written yet go nowhere: it is not acknowledged, and a pipe that is not read would not end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, file.fileno())
    os.close(nowhere)


def _opened(path: Path) -> BinaryIO:
    """The regular file of that name, made with mode 600 if it is not there; a link is followed."""
    check_regular(path, str(path))
    # Not blocking: the name may have become that of a named pipe in the meantime.
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NONBLOCK | os.O_NOCTTY, PRIVATE)
    try:
        check_regular(descriptor, str(path))
        return os.fdopen(descriptor, "r+b", buffering=BUFFER)
    except BaseException:
        os.close(descriptor)
        raise


def _begin(file: BinaryIO, settings: Settings, queue: str) -> MessageFile:
    """Writes the first line; it is safe after `sync`."""
    header = Header(
        id=secrets.token_hex(16),
        queue=queue,
        vhost=settings.vhost,
        broker=str(settings.amqp),
        created=datetime.now(UTC),
    )
    file.write(encode(header))
    made = MessageFile(file, header)
    made.sync()
    return made


def _begin_file(file: BinaryIO, path: Path, settings: Settings, queue: str) -> MessageFile:
    """Begins an empty file."""
    os.fchmod(file.fileno(), PRIVATE)  # it may be readable by everyone
    try:
        made = _begin(file, settings, queue)
    except OSError:
        with contextlib.suppress(OSError):
            os.ftruncate(file.fileno(), 0)  # the disk is full: an incomplete first line is no message file
        raise
    folder = os.open(path.resolve().parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the name too must survive a power cut
    finally:
        os.close(folder)
    return made


def _check_resumable(header: Header, path: Path, settings: Settings, queue: str) -> None:
    """Raises `ConfigError` where the file is of another queue, or was restored: `restore` would skip what is added."""
    if (header.queue, header.vhost) != (queue, settings.vhost):
        raise ConfigError(
            f"{str(path)!r} holds messages of queue {header.queue!r} in virtual host {header.vhost!r}; "
            f"choose another file"
        )
    if was_restored(path, header.id):
        raise ConfigError(f"{str(path)!r} was restored: choose another file")


def _resume(file: BinaryIO, path: Path, settings: Settings, queue: str) -> MessageFile | None:
    """The file of an earlier drain, an incomplete last line cut off; None where it is empty."""
    first = file.readline(LONGEST_HEADER)
    if not first:
        return None
    header = decode_header(first, str(path))
    _check_resumable(header, path, settings, queue)
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
