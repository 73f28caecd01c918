"""Finding rows in the files of the history: only the row groups that can have them are read.

Each file is opened once, so that a recorder may replace it meanwhile: what was opened stays as it was.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import reduce
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from attune_ops.model.files import shown
from attune_ops.monitoring.arrow import pa, pc, pq
from attune_ops.monitoring.history_files import Folder
from attune_ops.monitoring.history_schema import SCHEMA

THREADS = 4  # an object store answers several requests at a time


class Wanted(NamedTuple):
    """Which rows: of a kind, from `since` to `until`, and the values that other columns may have."""

    since: datetime
    until: datetime
    kind: str
    only: Mapping[str, Collection[Any]]

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that this depends on."""
        return ("kind", "time", *self.only)

    def may_be_in(self, group: Any, index: Mapping[str, int]) -> bool:
        """Whether a row group can have such rows, by its statistics."""

        def between(column: str, least: Any, most: Any) -> bool:
            found = group.column(index[column]).statistics
            return found is None or not found.has_min_max or (found.min <= most and least <= found.max)

        return (
            between("kind", self.kind, self.kind)
            and all(any(between(c, v, v) for v in values) for c, values in self.only.items())
            and between("time", self.since, self.until)
        )

    def filter(self, rows: Any) -> Any:
        """Only these rows."""
        tests = [
            pc.equal(rows["kind"], self.kind),
            pc.greater_equal(rows["time"], pa.scalar(self.since, rows["time"].type)),
            pc.less_equal(rows["time"], pa.scalar(self.until, rows["time"].type)),
            *(pc.is_in(rows[c], value_set=pa.array(list(v), rows[c].type)) for c, v in self.only.items()),
        ]
        return rows.filter(reduce(pc.and_, tests))


def scan(folder: Folder, files: Collection[str], wanted: Wanted, columns: tuple[str, ...]) -> Any:
    """The rows of these files with these columns; `lost_files` names those that could not be read."""
    lost = list[str]()

    def one(file: str) -> Any:
        try:
            return _rows(folder, file, wanted, columns)
        except FileNotFoundError:  # pruned meanwhile
            return None
        except (pa.ArrowException, OSError, KeyError) as e:
            lost.append(f"{shown(PurePosixPath(file).name)}: not read: {' '.join(str(e).split())[:200]}")
            return None

    with ThreadPoolExecutor(THREADS) as pool:
        found = [rows for rows in pool.map(one, files) if rows is not None]
    empty = pa.schema([SCHEMA.field(c) for c in columns]).empty_table()
    made = pa.concat_tables([empty, *(rows.replace_schema_metadata() for rows in found)])
    return made.replace_schema_metadata({b"lost": "\n".join(sorted(lost)).encode()})


def lost_files(rows: Any) -> tuple[str, ...]:
    """The notes on files that could not be read."""
    return tuple((rows.schema.metadata or {}).get(b"lost", b"").decode().splitlines())


def _rows(folder: Folder, file: str, wanted: Wanted, columns: tuple[str, ...]) -> Any:
    needed = list(dict.fromkeys((*columns, *wanted.columns)))
    with folder.system.open_input_file(file) as opened, pq.ParquetFile(opened) as parquet:
        metadata = parquet.metadata
        index = {name: i for i, name in enumerate(metadata.schema.names)}
        if missing := [n for n in needed if n not in index]:
            raise pa.ArrowInvalid(f"no column {missing[0]}: it is not a file of the history")
        groups = [i for i in range(metadata.num_row_groups) if wanted.may_be_in(metadata.row_group(i), index)]
        if not groups:
            return None
        rows = parquet.read_row_groups(groups, columns=needed, use_threads=False)
    return wanted.filter(rows).select(columns)
