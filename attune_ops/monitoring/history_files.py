"""The files of the recorded history: a partitioned Parquet data set that any reader of Parquet reads.

`FOLDER/cluster=NAME/vhost=NAME/day=YYYY-MM-DD/HOST.SLOT.TIME.parquet`, names as in a URL. A file holds whole readings
of one recorder, and is only ever replaced by one that holds more: written under another name, flushed to the disk,
renamed. So a reader sees all readings that are confirmed, each once, whenever a recorder is killed. What begins with a
dot (a file that is being written, a lock) is skipped by all readers of Parquet data sets.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, unquote

from attune_ops.model import deadline
from attune_ops.model.errors import AttuneOpsError, ConfigError, SourceError
from attune_ops.model.files import shown, state_folder
from attune_ops.model.secret import mask_url
from attune_ops.monitoring.arrow import pafs

OURS = re.compile(r"(?P<recorder>[\w-]+\.[0-9a-f]+)\.\d{8}T\d{12}Z\.parquet", re.ASCII)
UNKNOWN_SCHEME = "Unrecognized filesystem type"  # pyarrow says so
_DAY = re.compile(r"day=(\d{4}-\d\d-\d\d)", re.ASCII)


class Day(NamedTuple):
    """The files of one UTC day of one cluster and virtual host."""

    cluster: str
    vhost: str
    day: date
    path: str
    files: tuple[str, ...]
    size: int  # bytes
    foreign: int  # files that this tool did not write


class Folder:
    """A folder of a file system, or a place in an object store by its URI, that holds a history."""

    def __init__(self, place: str | None = None) -> None:
        """`place` is a path, or a URI of pyarrow.fs or fsspec; None is ATTUNE_OPS_HISTORY, else the state folder.

        Opens nothing yet.
        """
        place = place or os.environ.get("ATTUNE_OPS_HISTORY") or None
        self.place = place or str(state_folder("history"))
        self.default = place is None
        self.name = shown(mask_url(self.place))

    @cached_property
    def _opened(self) -> tuple[Any, str]:
        if "://" not in self.place:
            return pafs.LocalFileSystem(), os.path.abspath(Path(self.place).expanduser())
        try:
            system, path = pafs.FileSystem.from_uri(_bounded(self.place))
            return system, path
        except OSError as e:  # S3 is asked for the bucket's region
            raise SourceError(f"{self.name}: cannot open the history: {one_line(e)}") from None
        except ValueError as e:
            if UNKNOWN_SCHEME not in str(e):
                raise ConfigError(f"{self.name}: cannot open the history: {one_line(e)}") from None
        try:
            import fsspec  # type: ignore[import-not-found,unused-ignore]

            system, path = fsspec.core.url_to_fs(self.place)
        except ImportError:
            raise ConfigError(f"{self.name}: this kind of URI needs fsspec: pip install fsspec") from None
        except (OSError, ValueError) as e:
            raise ConfigError(f"{self.name}: cannot open the history: {one_line(e)}") from None
        return pafs.PyFileSystem(pafs.FSSpecHandler(system)), path

    @property
    def system(self) -> Any:
        """The file system of pyarrow."""
        return self._opened[0]

    @property
    def root(self) -> str:
        """The path in it."""
        return self._opened[1]

    @property
    def is_local(self) -> bool:
        """Whether renames, locks and modes of a local file system are there."""
        return isinstance(self.system, pafs.LocalFileSystem)

    def entries(self, path: str) -> list[Any]:
        """What is in a folder, by name; nothing where it is not there. Raises `ConfigError` or `SourceError`."""
        try:
            found = self.system.get_file_info(pafs.FileSelector(path, allow_not_found=True))
        except FileNotFoundError:  # another recorder made it between the two calls of pyarrow
            return []
        except OSError as e:
            raise self._unreadable(e) from None
        return sorted(found, key=lambda i: str(i.base_name))

    def _unreadable(self, error: OSError) -> AttuneOpsError:
        """An object store that does not answer, or refuses the login, is a source; a local folder is configuration."""
        kind = ConfigError if self.is_local else SourceError
        return kind(f"{self.name}: cannot read the history: {one_line(error)}")

    def unwritable(self, error: OSError, kind: type[AttuneOpsError]) -> AttuneOpsError:
        """The error of a write; `kind` is that of a local folder, and an object store is a source here too."""
        return (kind if self.is_local else SourceError)(f"{self.name}: cannot write the history: {one_line(error)}")

    def check(self) -> None:
        """Raises `ConfigError` where the folder is none, or holds something that is no history, or `SourceError`."""
        try:
            kind = self.system.get_file_info(self.root).type
        except OSError as e:
            raise self._unreadable(e) from None
        if kind == pafs.FileType.File:
            raise ConfigError(f"{self.name}: a file; a history is a folder")
        for entry in self.entries(self.root):
            name = str(entry.base_name)
            old = self.default and name.endswith(".sqlite")
            if old or name.startswith((".", "cluster=")) or name == "lost+found":
                continue
            raise ConfigError(f"{self.name}: it holds {shown(name)}, which is no history; choose another folder")

    @property
    def old_file(self) -> str | None:
        """A sentence about the SQLite files of former recordings, or None."""
        if not self.default:
            return None
        old = [e.path for e in self.entries(self.root) if e.base_name.endswith(".sqlite")]
        return f"{shown(old[0])} is of an earlier version and is not read; delete it" if old else None

    def days(self) -> Iterator[Day]:
        """All days, in the order of their paths. Raises `ConfigError` where there is no history."""
        self.check()
        for cluster in self._folders(self.root, "cluster="):
            for vhost in self._folders(cluster.path, "vhost="):
                for day in self._folders(vhost.path, "day="):
                    if not (found := _DAY.fullmatch(day.base_name)):
                        continue
                    files = [f for f in self.entries(day.path) if f.type == pafs.FileType.File]
                    ours = [f for f in files if OURS.fullmatch(f.base_name)]
                    foreign = sum(not OURS.fullmatch(f.base_name) and f.base_name[0] != "." for f in files)
                    yield Day(
                        unquote(cluster.base_name.partition("=")[2]), unquote(vhost.base_name.partition("=")[2]),
                        date.fromisoformat(found[1]), day.path, tuple(f.path for f in ours),
                        sum(f.size or 0 for f in ours), foreign,
                    )  # fmt: skip

    def _folders(self, path: str, prefix: str) -> Iterator[Any]:
        for entry in self.entries(path):
            if entry.type == pafs.FileType.Directory and entry.base_name.startswith(prefix):
                yield entry

    def day_path(self, cluster: str, vhost: str, day: date) -> str:
        """Where the files of a day are."""
        parts = (f"cluster={quote(cluster, safe='')}", f"vhost={quote(vhost, safe='')}", f"day={day}")
        return "/".join((self.root.rstrip("/"), *parts))


def _bounded(place: str) -> str:
    """The URI, so that Google's store ends in time: for a quarter of an hour it would try again, deaf to signals."""
    if not place.startswith(("gs://", "gcs://")) or "retry_limit_seconds=" in place:
        return place
    return f"{place}{'&' if '?' in place else '?'}retry_limit_seconds={min(deadline.left(), deadline.DEFAULT_S):.3f}"


def one_line(error: Exception) -> str:
    """The reason of an error in one line."""
    said = str(error).partition(" error_info={")[0]  # of Google's store: 500 characters that repeat it
    return getattr(error, "strerror", None) or " ".join(mask_url(said).split())
