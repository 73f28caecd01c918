"""The files of the recorded history: a partitioned Parquet data set that any reader of Parquet reads.

`FOLDER/cluster=NAME/vhost=NAME/day=YYYY-MM-DD/HOST.SLOT.TIME.parquet`, names as in a URL. A file holds whole readings
of one recorder, and is only ever replaced by one that holds more: written under another name, flushed to the disk,
renamed. So a reader sees all readings that are confirmed, each once, whenever a recorder is killed. What begins with a
dot (a file that is being written, a lock) is skipped by all readers of Parquet data sets.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import socket
from collections.abc import Iterator
from datetime import UTC, date, datetime
from functools import cached_property
from pathlib import Path
from typing import IO, Any, NamedTuple
from urllib.parse import quote, unquote

from attune_ops.model.errors import ActionError, ConfigError
from attune_ops.model.files import lock, shown, state_folder
from attune_ops.model.secret import mask_url
from attune_ops.monitoring.arrow import pa, pafs, pq

ROWS_PER_FILE = 50_000  # then a new file begins: up to there each reading writes the file again
ROW_GROUP = 5_000
MADE_BY = {b"attune_ops": b"history/1"}
OURS = re.compile(r"(?P<recorder>[\w-]+\.[0-9a-f]+)\.\d{8}T\d{12}Z\.parquet", re.ASCII)
_DAY = re.compile(r"day=(\d{4}-\d\d-\d\d)", re.ASCII)

_TIME = pa.timestamp("us", "UTC")
SCHEMA = pa.schema(
    [
        ("time", _TIME),  # of the reading
        ("recorder", pa.string()),  # host and number of the recorder
        ("kind", pa.string()),  # reading, queue, worker, node
        ("name", pa.string()),  # of the queue, worker or node
        ("worker_id", pa.int64()),  # of a worker, and of the worker that owns a queue
        (
            "state",
            pa.string(),
        ),  # reading: ok, partial, failed; worker: as in `workers`; queue, node: as the broker reports
        ("reason", pa.string()),  # why a reading failed, or what it lacks
        ("interval_s", pa.float64()),  # reading: to the next one
        ("messages", pa.int64()),
        ("ready", pa.int64()),
        ("unacked", pa.int64()),
        ("consumers", pa.int64()),
        ("bytes", pa.int64()),  # of the messages in a queue
        ("publish_rate", pa.float64()),  # messages/s
        ("deliver_rate", pa.float64()),
        ("ack_rate", pa.float64()),
        ("max_length", pa.int64()),  # the effective limits of a queue
        ("max_bytes", pa.int64()),
        ("declared", pa.bool_()),  # worker: all its queues are on the broker
        ("bound", pa.bool_()),
        ("consumed", pa.bool_()),
        ("registered", _TIME),  # worker: when its row was made
        ("last_heartbeat", _TIME),
        ("disk_free", pa.int64()),  # node, bytes
        ("disk_free_limit", pa.int64()),
        ("memory_used", pa.int64()),
        ("memory_limit", pa.int64()),
    ],
    metadata=MADE_BY,
)
ORDER = [("kind", "ascending"), ("worker_id", "ascending"), ("name", "ascending"), ("time", "ascending")]


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
        """`place` is a path, or a URI of pyarrow.fs or fsspec; None is the user's state folder. Opens nothing yet."""
        self.place = place or str(state_folder("history"))
        self.default = place is None
        self.name = shown(mask_url(self.place))

    @cached_property
    def _opened(self) -> tuple[Any, str]:
        if "://" not in self.place:
            return pafs.LocalFileSystem(), os.path.abspath(Path(self.place).expanduser())
        try:
            system, path = pafs.FileSystem.from_uri(self.place)
            return system, path
        except pa.ArrowInvalid:  # a scheme that pyarrow does not know
            pass
        except (OSError, ValueError) as e:
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
        """What is in a folder, by name; nothing where it is not there. Raises `ConfigError`."""
        try:
            found = self.system.get_file_info(pafs.FileSelector(path, allow_not_found=True))
        except OSError as e:
            raise ConfigError(f"{self.name}: cannot read the history: {one_line(e)}") from None
        return sorted(found, key=lambda i: str(i.base_name))

    def check(self) -> None:
        """Raises `ConfigError` where the folder is none, or holds something that is no history."""
        try:
            kind = self.system.get_file_info(self.root).type
        except OSError as e:
            raise ConfigError(f"{self.name}: cannot read the history: {one_line(e)}") from None
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


class Writer:
    """Appends readings to the history of one cluster and virtual host; what `append` has returned from is on the disk.

    Several writers in one folder do not meet: each has files of its own, by its host and a slot that it locks.
    """

    def __init__(self, folder: Folder, cluster: str, vhost: str) -> None:
        """Makes the folder where it is missing. Raises `ConfigError` where it cannot be used."""
        self.folder, self.cluster, self.vhost = folder, cluster, vhost
        folder.check()
        self._lock: IO[bytes] | None = None
        try:
            self._make(folder.root)
            self.recorder = self._slot()
        except OSError as e:
            raise ConfigError(f"{folder.name}: cannot write the history: {one_line(e)}") from None
        self._path: str | None = None
        self._rows = SCHEMA.empty_table()
        self._resumes = folder.is_local

    def append(self, rows: Any, taken_at: datetime) -> None:
        """Writes the rows of one reading; raises `ActionError` where they cannot be written, and keeps what was."""
        taken_at = taken_at.astimezone(UTC)
        day = self.folder.day_path(self.cluster, self.vhost, taken_at.date())
        if self._resumes:
            self._resume(day)
        if self._path is None or not self._path.startswith(f"{day}/") or self._rows.num_rows >= ROWS_PER_FILE:
            self._path = f"{day}/{self.recorder}.{taken_at:%Y%m%dT%H%M%S%f}Z.parquet"
            self._rows = SCHEMA.empty_table()
        together = pa.concat_tables([self._rows, rows]).combine_chunks()
        try:
            self._make(day)
            self._replace(self._path, parquet(together))
        except OSError as e:
            raise ActionError(f"{self.folder.name}: cannot write the history: {one_line(e)}") from None
        self._rows = together

    def close(self) -> None:
        """Gives the slot back; everything is written already."""
        if self._lock is not None:
            self._lock.close()

    def _resume(self, day: str) -> None:
        """Goes on with the last file of this slot if it has room, so that short runs do not make many small files."""
        self._resumes = False
        mine = [f for f in self.folder.entries(day) if f.base_name.lstrip(".").startswith(f"{self.recorder}.")]
        for left in (f for f in mine if f.base_name.endswith(".part")):
            with contextlib.suppress(OSError):
                os.unlink(left.path)  # of a recorder that was killed
        last = next((f for f in reversed(mine) if OURS.fullmatch(f.base_name)), None)
        if last is None or self._lock is None:
            return
        try:
            rows = pq.read_table(pa.BufferReader(Path(last.path).read_bytes()))
        except (OSError, pa.ArrowException):
            return
        if rows.schema.equals(SCHEMA) and rows.num_rows < ROWS_PER_FILE:
            self._path, self._rows = last.path, rows.replace_schema_metadata(SCHEMA.metadata)

    def _slot(self) -> str:
        host = re.sub(r"[^\w-]+", "-", socket.gethostname().partition(".")[0], flags=re.ASCII) or "host"
        for slot in range(1000) if self.folder.is_local else ():
            file = open(f"{self.folder.root}/.{host}.{slot:x}.lock", "ab")  # noqa: SIM115 - held until `close`
            try:
                if lock(file, wait=False):
                    self._lock = file
                    return f"{host}.{slot:x}"
            except OSError:  # a file system without locks
                file.close()
                break
            file.close()
        return f"{host}.{secrets.token_hex(6)}"

    def _make(self, path: str) -> None:
        """Makes a folder with the rights of the root folder; that one is private. Raises `OSError`."""
        if not self.folder.is_local:
            self.folder.system.create_dir(path)
            return
        root = Path(self.folder.root)
        if not root.exists():
            root.mkdir(parents=True)
            root.chmod(0o700)  # whatever the umask
        mode, made = root.stat().st_mode & 0o755, root
        for part in Path(path).relative_to(root).parts:
            made /= part
            if not made.exists():
                with contextlib.suppress(FileExistsError):  # another recorder
                    made.mkdir()
                    made.chmod(mode)
                    _flush_folder(made.parent)

    def _replace(self, path: str, data: Any) -> None:
        if not self.folder.is_local:
            with self.folder.system.open_output_stream(path) as stream:  # an object appears whole, at its end
                stream.write(data)
            return
        target = Path(path)
        partly = target.parent / f".{target.name}.part"
        mode = 0o600 | Path(self.folder.root).stat().st_mode & 0o044
        try:
            with open(partly, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
                os.fchmod(file.fileno(), mode)
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            partly.replace(target)
        except BaseException:  # an interrupt too
            with contextlib.suppress(OSError):
                partly.unlink(missing_ok=True)
            raise
        _flush_folder(target.parent)


def parquet(rows: Any) -> Any:
    """The bytes of a file with these rows: one worker's or queue's are together, and no row group has two kinds."""
    sink, rows, at = pa.BufferOutputStream(), rows.sort_by(ORDER), 0
    with pq.ParquetWriter(sink, rows.schema, compression="zstd") as writer:
        for kind in rows["kind"].value_counts().to_pylist():
            writer.write_table(rows.slice(at, kind["counts"]), row_group_size=ROW_GROUP)
            at += kind["counts"]
    return sink.getvalue()


def _flush_folder(path: Path) -> None:
    """Lets the names in a folder survive a crash of the host."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def one_line(error: Exception) -> str:
    """The reason of an error in one line."""
    return getattr(error, "strerror", None) or " ".join(mask_url(str(error)).split())
