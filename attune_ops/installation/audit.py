"""The audit journal: every change that this tool makes is written down before it starts and when it has ended.

One JSON object a line in `audit.jsonl` in the user's state folder, mode 600: who, when, which environment,
what, and the result; secrets are masked. `change` is the one way to make a change: it asks the gate first.
"""

from __future__ import annotations

import fcntl
import getpass
import logging
import os
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import msgspec

from attune_ops.installation import gate
from attune_ops.installation.config import Settings
from attune_ops.model.errors import ActionError
from attune_ops.model.redaction import Redactor

SCHEMA = "attune-ops/audit/1"
FILE = "audit.jsonl"

logger = logging.getLogger(__name__)


class Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line. Both lines of a change have the same `change` id; a `started` without an end was killed.

    `what` is the command (`messages drain`), `subject` what it changes, `detail` how, and `outcome` what came of it.
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


def journal_file() -> Path:
    """Where the journal is, whether or not there is one yet."""
    import platformdirs

    return platformdirs.user_state_path("attune-ops") / FILE


def entries(file: Path | None = None) -> Iterator[Entry]:
    """Reads the journal, oldest first; a line that a crash cut off is left out. Changes nothing."""
    file = file or journal_file()
    if not file.exists():
        return
    with file.open("rb") as lines:
        for line in lines:
            with suppress(msgspec.DecodeError):
                yield msgspec.json.decode(line, type=Entry)


@contextmanager
def change(
    settings: Settings, what: str, subject: str, *, confirm: str | None = None, **detail: Any
) -> Iterator[dict[str, Any]]:
    """Makes one change: passes the gate, journals its start, and its end with what the block put into the dict.

    `confirm` is the environment's name, typed, where it is protected. Raises `ConfigError` at the gate and
    `ActionError` where the journal cannot be written; nothing was changed then.
    """
    gate.check(settings, confirm)
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
        raise ActionError(f"nothing was changed: the audit journal {journal_file()} cannot be written ({e})") from e
    outcome: dict[str, Any] = {}
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
        spent = round((time.perf_counter() - began) * 1000, 3)
        end = msgspec.structs.replace(
            start, at=datetime.now(UTC), result=result, outcome=outcome, error=error, duration_ms=spent
        )
        try:
            _append(end, redactor)
        except OSError as e:
            # The change has been made; to raise here would say that it was not.
            logger.warning("the end of %s is missing in the audit journal: %s", what, e)


def _append(entry: Entry, redactor: Redactor) -> None:
    masked = redactor.value(msgspec.to_builtins(entry))
    line = msgspec.json.encode(masked) + b"\n"
    file = journal_file()
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(file, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)  # a line that a crash cut off is ended before the next one
        size = os.fstat(descriptor).st_size
        cut_off = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
        os.write(descriptor, b"\n" * cut_off + line)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _who() -> str:
    """The user, and who became it through sudo."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a container may run under an id without a name
        user = str(os.getuid())
    behind = os.environ.get("SUDO_USER")
    return f"{user} (sudo by {behind})" if behind else user
