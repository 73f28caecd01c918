"""Writing a file in one go: whole or not at all, and never over one that exists unless told so."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from attune_ops.model.errors import ConfigError


def write_file(path: str, data: bytes, what: str, *, replace: bool = False) -> int:
    """Writes the file and returns its size in bytes; one that exists is replaced only with `replace`.

    `what` it is, in the words of an error. Delete the file to undo. Raises `ConfigError`.
    """
    target = Path(path).expanduser()
    if not replace and os.path.lexists(target):
        raise ConfigError(f"{shown(path)}: it exists already; --force overwrites it")
    partly = target.parent / f".attune-ops-{os.getpid()}.part"
    try:
        partly.write_bytes(data)
        partly.replace(target)
    except (OSError, ValueError) as e:
        with contextlib.suppress(OSError, ValueError):
            partly.unlink(missing_ok=True)
        raise ConfigError(f"{shown(path)}: cannot write {what}: {getattr(e, 'strerror', None) or e}") from None
    return len(data)


def shown(path: str) -> str:
    """A file's name for an error: one line, also where the name has a line break."""
    return repr(path)[1:-1]
