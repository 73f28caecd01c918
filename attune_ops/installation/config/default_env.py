"""Changing `default_env` of the configuration file; everything else in it stays, comments too."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
from pathlib import Path

from attune_ops.installation.config import config_file
from attune_ops.model.errors import ConfigError

_LINE = re.compile(r"^[ \t]*default_env[ \t]*=.*$", re.MULTILINE)
_TABLE = re.compile(r"^[ \t]*\[", re.MULTILINE)


def set_default_env(path: Path, name: str, *, apply: bool) -> str | None:
    """Makes `name` the environment that is used where none is named; returns the one before, None for none.

    Writes the file only with `apply`, keeps its mode and follows a link. Undo: set the one before. Raises `ConfigError`
    for an unknown environment, and where the file cannot be written.
    """
    file = config_file.read(path)
    if name not in file.env:
        raise ConfigError(f"{path}: no environment {name!r}; it has {', '.join(sorted(file.env)) or 'none'}")
    if apply and name != file.default_env:
        _replace(path, _changed(config_file.read_text(path, "configuration file"), name))
    return file.default_env


def _changed(text: str, name: str) -> str:
    line = f"default_env = {json.dumps(name, ensure_ascii=False)}"
    table = _TABLE.search(text)
    head = text[: table.start()] if table else text
    if _LINE.search(head):
        return _LINE.sub(lambda _: line, head, count=1) + text[len(head) :]
    return f"{head.rstrip()}\n{line}\n\n".lstrip() + text[len(head) :]


def _replace(path: Path, text: str) -> None:
    target = Path(os.path.realpath(path))
    partly = target.with_name(f".{target.name}-{secrets.token_hex(4)}.part")
    try:
        with os.fdopen(os.open(partly, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
        config_file.read(partly)  # whatever was in the file, it stays a configuration
        shutil.copymode(target, partly)
        partly.replace(target)
    except OSError as e:
        raise ConfigError(f"cannot write {str(path)!r}: {e.strerror or e}") from None
    finally:
        partly.unlink(missing_ok=True)
