"""The topologies of the package, and reading one by its name or from a user's file.

A file `NAME.toml` on this package's path is the topology `NAME`; adding the file is enough.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from attune_ops.model.errors import TopologyError
from attune_ops.model.topology import Topology
from attune_ops.model.topology_file import parse_toml

if TYPE_CHECKING:
    from attune_ops.model.table import Table

DEFAULT = "attune-2026-01"

MAX_BYTES = 4_000_000  # a topology is a few kilobytes; a larger file is another one


def names() -> tuple[str, ...]:
    """The names of the topologies on this package's path, sorted."""
    return tuple(sorted(_files()))


def load(name_or_path: str) -> Topology:
    """Reads a topology: one of `names()`, or a TOML file by its path.

    A name of the package wins over a file of that name in the current folder; `./NAME` names the file.
    Raises `TopologyError` for an unknown name and for a file that cannot be read or is wrong.
    """
    known = _files()
    path = known.get(name_or_path) or Path(name_or_path).expanduser()
    if name_or_path not in known and not _is_path(name_or_path, path):
        listed = ", ".join(sorted(known))
        raise TopologyError(f"unknown topology {name_or_path!r}; use {listed} or the path of a file")
    shown = repr(str(path))[1:-1]  # a name with a newline stays one line
    return parse_toml(_read(path, shown), shown)


def candidates(given: Topology | None = None) -> dict[str, Topology]:
    """The topologies that a broker is compared with, by name: those of the package, and one that was given."""
    known = {name: load(name) for name in names()}
    return known if given is None else {**known, given.name: given}


def table() -> Table:
    """The topologies as a table: what each is, and its number of queues."""
    from datetime import UTC, datetime

    from attune_ops.model.table import Column, Kind, Table

    columns = (
        Column("name", doc="what --topology takes"),
        Column("queues", doc="declared once, and for each worker"),
        Column("description", doc="how it differs"),
        Column("default", Kind.FLAG, doc="used where none is given", priority=2),
    )
    rows = tuple(
        (name, f"{len(t.base_queues)} + {len(t.worker_queues(0))} per worker", t.description, name == DEFAULT)
        for name, t in ((name, load(name)) for name in names())
    )
    return Table("topologies", columns, rows, datetime.now(UTC))


def _files() -> dict[str, Path]:
    found: dict[str, Path] = {}
    for folder in __path__:
        for path in Path(folder).glob("*.toml"):
            found.setdefault(path.stem, path)
    return found


def _is_path(text: str, path: Path) -> bool:
    try:
        return "/" in text or text.endswith(".toml") or path.is_file()
    except (OSError, ValueError):  # a name that no file system accepts: too long, a NUL byte
        return False


def _read(path: Path, shown: str) -> str:
    try:
        if path.is_dir():
            raise TopologyError(f"{shown}: a folder; use a TOML file")
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as e:
        reason = getattr(e, "strerror", None) or str(e)
        raise TopologyError(f"{shown}: cannot read the topology file: {reason}") from None
    if len(data) > MAX_BYTES:
        raise TopologyError(f"{shown}: more than {MAX_BYTES} bytes; this is not a topology file")
    try:
        return data.decode()
    except UnicodeDecodeError as e:
        raise TopologyError(f"{shown}: byte {e.start} is not UTF-8; a topology is a TOML file in UTF-8") from None
