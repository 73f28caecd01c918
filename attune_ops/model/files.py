"""Files of this tool: written completely or not at all, the state folder, locks, and errors in a decoded file."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import stat
import sys
from pathlib import Path
from typing import IO, Any

import msgspec

from attune_ops.model.errors import ConfigError

_AT = re.compile(r" - at `(?:key in )?\$\.?(?P<path>.*)`$")
_STEP = re.compile(r"\.?(?P<name>[^.\[\]]+)|\[(?P<index>\d+)\]|(?P<any>\[\.\.\.\])")


STDOUT = "-"  # in the place of a file's name
PRIVATE = 0o600
PRIVATE_FOLDER = 0o700
KINDS = {stat.S_IFDIR: "a folder", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device", stat.S_IFIFO: "a named pipe"}


def write_file(path: str, data: bytes, what: str, *, replace: bool = False, mode: int = PRIVATE) -> int:
    """Writes the file and returns its size in bytes; one that exists is replaced only with `replace`.

    `-` is standard output. A symbolic link stays, and its target is written. The file is written completely or not at
    all. `what` it is, in the words of an error. Delete the file to undo. Raises `ConfigError`, also where the name is
    that of a device, a named pipe or a folder, which is not changed.
    """
    target = check_target(path, replace=replace)
    if target is None:
        return _to_stdout(data, what)
    # Not from `secrets`: it loads OpenSSL, which each health probe would wait for.
    partly = target.parent / f".attune-ops-{os.getpid()}-{os.urandom(4).hex()}.part"
    try:
        with os.fdopen(os.open(partly, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE), "wb") as file:
            os.fchmod(file.fileno(), mode)  # whatever the umask
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partly.replace(target)
    except (OSError, ValueError) as e:
        with contextlib.suppress(OSError, ValueError):
            partly.unlink(missing_ok=True)
        raise ConfigError(f"{shown(path)}: cannot write {what}: {getattr(e, 'strerror', None) or e}") from None
    return len(data)


def make_private(path: Path) -> None:
    """Makes an empty file for its owner only, whatever the umask; one that exists stays. Raises `OSError`."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, PRIVATE)
    except FileExistsError:
        return
    try:
        os.fchmod(descriptor, PRIVATE)
    finally:
        os.close(descriptor)


def make_folder(path: Path, *, new: bool = False) -> None:
    """Makes the folder and its missing parents, each for its owner only, whatever the umask.

    A folder that exists keeps its mode; with `new` it is an error. Raises `OSError`.
    """
    try:
        try:
            path.mkdir(mode=PRIVATE_FOLDER)
        except FileNotFoundError:
            make_folder(path.parent)  # or somebody else has made it meanwhile
            path.mkdir(mode=PRIVATE_FOLDER)
    except FileExistsError:
        if new or not path.is_dir():
            raise
    else:
        path.chmod(PRIVATE_FOLDER)


def check_target(path: str, *, replace: bool = False) -> Path | None:
    """The file that a command may write under this name, links followed; None for `-`, standard output.

    Changes nothing and opens nothing. Raises `ConfigError` for what is no regular file, and for one that exists
    without `replace`.
    """
    if path == STDOUT:
        return None
    try:
        target = Path(os.path.realpath(Path(path).expanduser()))
        check_regular(target, path)
    except (OSError, ValueError, RuntimeError) as e:
        raise ConfigError(f"{shown(path)}: cannot write it: {getattr(e, 'strerror', None) or e}") from None
    if not replace and os.path.lexists(Path(path).expanduser()):
        raise ConfigError(f"{shown(path)}: the file exists; --force overwrites it")
    return target


def check_regular(file: Path | int, path: str) -> None:
    """Raises `ConfigError` where the file (or open descriptor) exists and is no regular file."""
    try:
        mode = os.stat(file).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISREG(mode):
        kind = KINDS.get(stat.S_IFMT(mode), "a socket")
        raise ConfigError(f"{shown(path)}: {kind}, not a regular file; it is not changed (- is standard output)")


def _to_stdout(data: bytes, what: str) -> int:
    if sys.stdout.isatty() and b"\0" in data:
        raise ConfigError(f"{what} is binary; redirect standard output")
    try:
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except OSError as e:
        raise ConfigError(f"standard output: cannot write {what}: {e.strerror}") from None
    return len(data)


def shown(path: str) -> str:
    """A file's name for an error: one line, also where the name has a line break."""
    return repr(path)[1:-1]


def state_folder(*parts: str) -> Path:
    """The user's folder for the state of this tool, or what `parts` name in it; neither need exist."""
    import platformdirs

    return Path(platformdirs.user_state_dir("attune-ops"), *parts)


def lock(file: int | IO[Any], *, wait: bool = True) -> bool:
    """Locks an open file for this process until it is closed; False where another has it, with `wait` never.

    Raises `OSError` where the file system has no locks.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def validation_message(error: msgspec.ValidationError, data: Any, kind: type) -> str:
    """The error of `msgspec.convert(data, kind)` in one line: the field's path, what was found, what is allowed."""
    from msgspec import inspect

    found = _AT.search(str(error))
    what = _AT.sub("", str(error))
    path, value, at = _walk(found["path"] if found else "", data, inspect.type_info(kind))
    place = path or "the file"
    if "unknown field" in what and isinstance(at, inspect.StructType):
        return f"{place}: {what}; allowed are {', '.join(f.encode_name for f in at.fields)}"
    if isinstance(at, inspect.EnumType):
        what += f" (allowed: {', '.join(str(m.value) for m in at.cls)})"
    if isinstance(at, inspect.LiteralType):
        what += f" (allowed: {', '.join(map(str, at.values))})"
    text = repr(value)
    return f"{place}: {what}" + (f"; found {text}" if path and len(text) <= 80 else "")


def _walk(path: str, value: Any, at: Any) -> tuple[str, Any, Any]:
    """Follows msgspec's path through the data and the types; `[...]`, any key of a table, becomes the invalid key."""
    said = ""
    for step in _STEP.finditer(path):
        at = _plain(at)
        try:
            if step["any"]:
                key = _invalid_key(value, at.value_type)
                said, value, at = (f"{said}.{key}" if said else key), value[key], at.value_type
            elif step["index"]:
                said, value, at = f"{said}{step[0]}", value[int(step["index"])], at.item_type
            else:
                said = f"{said}.{step['name']}" if said else step["name"]
                value, at = value[step["name"]], next(f.type for f in at.fields if f.encode_name == step["name"])
        except (KeyError, IndexError, TypeError, AttributeError, StopIteration):
            return path, None, None
    return said, value, _plain(at)


def _plain(at: Any) -> Any:
    """The type itself where it is `T | None`."""
    from msgspec import inspect

    if isinstance(at, inspect.UnionType):
        return next((t for t in at.types if not isinstance(t, inspect.NoneType)), at)
    return at


def _invalid_key(table: dict[str, Any], at: Any) -> str:
    """The key with a value of another type: msgspec does not name it."""
    for key, value in table.items():
        try:
            msgspec.convert(value, _annotation(at))
        except msgspec.ValidationError:
            return key
    raise KeyError


def _annotation(at: Any) -> Any:
    """The Python type of a description by `msgspec.inspect`, for those that our files have in tables."""
    from typing import Literal

    from msgspec import inspect

    if isinstance(at, inspect.LiteralType):
        return Literal[at.values]
    if isinstance(at, inspect.StructType | inspect.EnumType):
        return at.cls
    return float if isinstance(at, inspect.FloatType) else str
