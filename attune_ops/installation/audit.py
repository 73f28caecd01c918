"""The audit log: every change that this tool makes is logged before it starts and when it has ended.

One JSON object a line in `audit.jsonl` in the user's state folder, mode 600: who, when, which environment,
what, and the result; secrets are masked. Every change goes through `change`, which checks the confirmation first.
"""

from __future__ import annotations

import getpass
import logging
import os
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import msgspec

from attune_ops.installation.config import Settings
from attune_ops.installation.management_write import ManagementWriter, open_writer
from attune_ops.model.decoding import decode
from attune_ops.model.errors import ActionError, ConfigError
from attune_ops.model.files import PRIVATE, lock, make_folder, make_private, state_folder
from attune_ops.model.redaction import Redactor

SCHEMA = "attune-ops/audit/1"
FILE = "audit.jsonl"
LOCK_S = 1.0

logger = logging.getLogger(__name__)


class Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line. Both lines of a change have the same `change` id; a change without an end was killed.

    `what` is the command (`messages drain`), `subject` what it changes, `detail` how, `outcome` the result.
    """

    change: str
    at: datetime
    result: Literal["started", "done", "failed", "interrupted"]
    who: str
    host: str
    env: str | None
    broker: str  # the AMQP URL, its password masked
    what: str
    subject: str
    detail: dict[str, Any] = {}
    outcome: dict[str, Any] = {}
    error: str | None = None
    duration_ms: float | None = None
    schema: str = SCHEMA


class Change(dict[str, Any]):
    """The outcome of a change, for its last line in the audit log; it hands out the management API with its writes."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self._settings, self._open = settings, ExitStack()

    def management(self) -> ManagementWriter:
        """The management API with its writes, until the change ends."""
        return self._open.enter_context(open_writer(self._settings))

    def close(self) -> None:
        """Closes the connections."""
        self._open.close()


def log_file() -> Path:
    """The path of the audit log, which need not exist."""
    return state_folder(FILE)


def entries(file: Path | None = None) -> Iterator[Entry]:
    """Reads the audit log, oldest first, without a line that a crash cut off. Changes nothing."""
    file = file or log_file()
    if not file.exists():
        return
    with file.open("rb") as lines:
        for line in lines:
            with suppress(msgspec.DecodeError):
                yield decode(line, Entry)


def check_confirmation(settings: Settings, confirm: str | None) -> None:
    """Raises `ConfigError` where the environment is protected and `confirm` is not exactly its name."""
    if not settings.protected or confirm == settings.env:
        return
    if confirm is None:
        raise ConfigError(f"environment {settings.env!r} is protected: confirm with its name (--confirm NAME)")
    raise ConfigError(
        f"environment {settings.env!r} is protected, and {confirm!r} is not its name; nothing was changed"
    )


@contextmanager
def change(
    settings: Settings, what: str, subject: str, *, confirm: str | None = None, **detail: Any
) -> Iterator[Change]:
    """Makes one change: checks the confirmation, logs the start and the end, with what the block puts into the dict.

    `confirm` is the name of a protected environment. Raises `ConfigError` without it and `ActionError` where the audit
    log cannot be written; nothing was changed then.
    """
    check_confirmation(settings, confirm)
    redactor = Redactor(settings.redact, settings.secrets)
    start = Entry(
        change=secrets.token_hex(6),
        at=datetime.now(UTC),
        result="started",
        who=_who(),
        host=socket.gethostname(),
        env=settings.env,
        broker=str(settings.amqp),
        what=what,
        subject=subject,
        detail=detail,
    )
    try:
        _append(start, redactor)
    except OSError as e:
        raise ActionError(f"nothing was changed: cannot write the audit log {log_file()} ({e})") from e
    outcome = Change(settings)
    began = time.perf_counter()
    result: Literal["done", "failed", "interrupted"] = "failed"
    error = None
    try:
        yield outcome
        result = "done"
    except (KeyboardInterrupt, GeneratorExit):
        result = "interrupted"
        raise
    except BaseException as e:
        error = " ".join(str(e).split()) or type(e).__name__
        raise
    finally:
        outcome.close()
        spent = round((time.perf_counter() - began) * 1000, 3)
        end = msgspec.structs.replace(
            start, at=datetime.now(UTC), result=result, outcome=dict(outcome), error=error, duration_ms=spent
        )
        try:
            _append(end, redactor)
        except OSError as e:
            # The change was made; an exception would say that it was not.
            logger.warning("the end of %s is missing in the audit log: %s", what, e)


def _append(entry: Entry, redactor: Redactor) -> None:
    masked = redactor.value(msgspec.to_builtins(entry))
    line = msgspec.json.encode(masked) + b"\n"
    file = log_file()
    make_folder(file.parent)
    make_private(file)
    descriptor = os.open(file, os.O_RDWR | os.O_APPEND | os.O_CREAT, PRIVATE)
    try:
        _lock(descriptor)  # a line that a crash cut off is ended before the next one
        size = os.fstat(descriptor).st_size
        cut_off = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
        os.write(descriptor, b"\n" * cut_off + line)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> None:
    """Locks the file, at most LOCK_S long: a process that was stopped while it had it holds no command up."""
    until = time.monotonic() + LOCK_S
    while not lock(descriptor, wait=False) and time.monotonic() < until:
        time.sleep(0.01)


def _who() -> str:
    """The user, and who used sudo to become it."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a container may run under an id without a name
        user = str(os.getuid())
    behind = os.environ.get("SUDO_USER")
    return f"{user} (sudo by {behind})" if behind else user
