"""Writing the history: what is confirmed is on the disk, whole and once, whenever the process is killed."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from attune_ops.model.errors import ActionError, ConfigError
from attune_ops.model.files import lock, make_folder, make_private
from attune_ops.monitoring.arrow import pa, pq
from attune_ops.monitoring.history_files import OURS, Folder
from attune_ops.monitoring.history_schema import SCHEMA

ROWS_PER_FILE = 50_000  # then a new file begins: up to there each reading writes the file again
ROW_GROUP = 5_000
ORDER = [("kind", "ascending"), ("worker_id", "ascending"), ("name", "ascending"), ("time", "ascending")]


class Writer:
    """Appends readings to the history of one cluster and virtual host; what `append` has returned from is on the disk.

    Several writers in one folder do not meet: each has files of its own, by its host and a slot that it locks.
    """

    def __init__(self, folder: Folder, cluster: str, vhost: str) -> None:
        """Makes the folder where it is missing. Raises `ConfigError` or, of an object store, `SourceError`."""
        self.folder, self.cluster, self.vhost = folder, cluster, vhost
        folder.check()
        self._lock: IO[bytes] | None = None
        try:
            self._make(folder.root)
            self.recorder = self._slot()
        except OSError as e:
            raise folder.unwritable(e, ConfigError) from None
        self._path: str | None = None
        self._rows = SCHEMA.empty_table()
        self._resumes = folder.is_local

    def append(self, rows: Any, taken_at: datetime) -> None:
        """Writes the rows of one reading, or raises `ActionError`, of an object store `SourceError`; keeps what was."""
        taken_at = taken_at.astimezone(UTC)
        day = self.folder.day_path(self.cluster, self.vhost, taken_at.date())
        try:
            self._keep_slot()
        except OSError as e:
            raise self.folder.unwritable(e, ActionError) from None
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
            raise self.folder.unwritable(e, ActionError) from None
        self._rows = together

    def close(self) -> None:
        """Gives the slot back; everything is written already."""
        if self._lock is not None:
            self._lock.close()

    def _keep_slot(self) -> None:
        """Takes a slot again where the folder was deleted: another recorder can have that one, and so its files."""
        if self._lock is None:
            return
        try:
            if os.path.samestat(os.stat(self._lock.name), os.fstat(self._lock.fileno())):
                return
        except (OSError, ValueError):  # deleted; closed by an earlier try
            pass
        self.close()
        self._make(self.folder.root)
        self.recorder, self._path = self._slot(), None

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
            path = Path(self.folder.root, f".{host}.{slot:x}.lock")
            make_private(path)
            file = path.open("ab")
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
            make_folder(root)
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
