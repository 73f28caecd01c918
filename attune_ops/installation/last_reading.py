"""The names of the last reading of each installation, kept for completion in the shell, which asks no broker.

Only the command line keeps them; the Python interface writes nothing. Light: every command loads this module.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

    from attune_ops.installation.config.settings import Settings
    from attune_ops.model.facts import Facts

MOST = 20_000  # names of a kind; a shell offers no more in good time

_keeping: ContextVar[bool] = ContextVar("keeping", default=False)


class Names(NamedTuple):
    """The names of queues, exchanges and workers when they were last read."""

    queues: tuple[str, ...] = ()
    exchanges: tuple[str, ...] = ()
    workers: tuple[str, ...] = ()


@contextlib.contextmanager
def kept() -> Iterator[None]:
    """Keeps the names of every reading in the block."""
    token = _keeping.set(True)
    try:
        yield
    finally:
        _keeping.reset(token)


def keep(settings: Settings, facts: Facts) -> None:
    """Writes the names of a reading into the user's state folder, mode 600; what was not read stays as it was.

    Does nothing outside of `kept`, and where the folder cannot be written. Undo: delete the file.
    """
    if not _keeping.get():
        return
    import msgspec

    from attune_ops.model.errors import ConfigError
    from attune_ops.model.files import make_folder, write_file

    before = read(settings)
    broker, registry = facts.broker, facts.registry
    now = Names(
        before.queues if broker is None or broker.queues is None else _first(q.name for q in broker.queues),
        before.exchanges if broker is None or broker.exchanges is None else _first(x.name for x in broker.exchanges),
        before.workers if registry is None else _first(w.name for w in registry.workers),
    )
    if now != before:
        file = _file(settings)
        with contextlib.suppress(OSError, ConfigError):  # completion is a comfort, no reason to fail
            make_folder(file.parent)
            write_file(str(file), msgspec.json.encode(now), "the names for completion", replace=True)


def read(settings: Settings) -> Names:
    """The names of the last reading of this installation; none where there was none. Connects to nothing."""
    import msgspec

    from attune_ops.model.decoding import decode

    try:
        return decode(_file(settings).read_bytes(), Names)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return Names()


def _file(settings: Settings) -> Path:
    from attune_ops.model.files import state_folder

    return state_folder("names", f"{settings.amqp.file_name}.json")


def _first(names: Iterator[str]) -> tuple[str, ...]:
    return tuple(sorted(name for name, _ in zip(names, range(MOST), strict=False) if name))
