"""A table of plain values with typed columns: what every inspection returns and every renderer takes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import msgspec

from attune_ops.model.display import Shown
from attune_ops.model.errors import ConfigError
from attune_ops.model.units import counted

if TYPE_CHECKING:
    import pandas as pd

Cell = str | int | float | bool | None | datetime | timedelta | tuple[str, ...]


class Kind(StrEnum):
    """The type of a column's values; each may be None (unknown, shown as "—")."""

    TEXT = "text"
    CATEGORY = "category"  # text of a small set: types, states
    INTEGER = "integer"
    NUMBER = "number"
    FLAG = "flag"
    TIME = "time"  # aware UTC datetime
    AGE = "age"  # timedelta
    LIST = "list"  # tuple of texts


class Column(msgspec.Struct, frozen=True):
    """A column: its name (also the JSON member), kind, unit where it has one, and what it says.

    In a narrow terminal, columns with the largest `priority` are left out first; 1 always stays.
    """

    name: str
    kind: Kind = Kind.TEXT
    unit: str = ""
    doc: str = ""
    priority: int = 1

    @property
    def json_name(self) -> str:
        """The name for programs, in JSON and CSV: a span gets its unit, milliseconds."""
        return f"{self.name}_ms" if self.kind is Kind.AGE else self.name


def matcher(pattern: str) -> Callable[[str], bool]:
    """Whether a name matches the glob, or the regular expression between slashes; raises `ConfigError`."""
    import fnmatch

    source = pattern[1:-1] if len(pattern) > 1 and pattern[0] == pattern[-1] == "/" else None
    try:
        regex = re.compile(source) if source is not None else re.compile(fnmatch.translate(pattern))
    except re.error as e:
        raise ConfigError(f"pattern {pattern!r} is not a regular expression: {e}") from None
    match = regex.search if source is not None else regex.match
    return lambda name: match(name) is not None


class Table(Shown, msgspec.Struct, frozen=True):
    """Rows in the order of `columns`. `notes` say how old the numbers are and what was not read.

    A pattern is matched against the `key` columns; `taken_at` is None for data without a time. `unread` says what could
    not be reached: the columns that come from there are unknown. `columns_option`: the command that shows it has
    --columns.
    """

    name: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    taken_at: datetime | None
    notes: tuple[str, ...] = ()
    key: tuple[str, ...] = ("name",)
    unread: tuple[str, ...] = ()
    columns_option: bool = False

    def index(self, column: str) -> int:
        """The position of a column, by its name or its name in JSON; raises `ConfigError` naming the columns.

        >>> ops.queues().index("name")
        0
        """
        names = [c.name for c in self.columns]
        if column in names:
            return names.index(column)
        in_json = [c.json_name for c in self.columns]
        if column not in in_json:
            raise ConfigError(f"no column {column!r} in {self.name}; it has {', '.join(names)}")
        return in_json.index(column)

    def column(self, name: str) -> tuple[Cell, ...]:
        """The values of one column.

        >>> ops.workers().column("name")
        ('w1', 'w2')
        """
        i = self.index(name)
        return tuple(row[i] for row in self.rows)

    def records(self) -> list[dict[str, Cell]]:
        """Each row as a dict.

        >>> ops.workers(columns=("name",)).records()
        [{'name': 'w1'}, {'name': 'w2'}]
        """
        names = [c.name for c in self.columns]
        return [dict(zip(names, row, strict=True)) for row in self.rows]

    def to_dicts(self) -> list[dict[str, Cell]]:
        """Each row as a dict; the same as `records`.

        >>> ops.workers(columns=("name",)).to_dicts()
        [{'name': 'w1'}, {'name': 'w2'}]
        """
        return self.records()

    def to_pandas(self) -> pd.DataFrame:
        """A new DataFrame with typed columns; the same as `frame`. Needs the extra `notebook`.

        >>> int(ops.queues().to_pandas()["messages"].sum())
        0
        """
        return self.frame

    def __len__(self) -> int:
        """The number of rows: a table without rows is false."""
        return len(self.rows)

    def __iter__(self) -> Iterator[dict[str, Cell]]:
        """Each row as a dict."""
        return iter(self.records())

    def __getitem__(self, column: str) -> tuple[Cell, ...]:
        """The values of one column; raises `ConfigError` naming the columns."""
        return self.column(column)

    def __dataframe__(self, nan_as_null: bool = False, allow_copy: bool = True) -> Any:
        """The DataFrame interchange protocol, which pandas 3 calls deprecated. Needs the extra `notebook`."""
        import warnings

        frame: Any = self.frame
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            return frame.__dataframe__(nan_as_null, allow_copy)

    def __arrow_c_stream__(self, requested_schema: object = None) -> Any:
        """The Arrow interface, for polars, DuckDB and others. Needs the extras `notebook` and `history`."""
        frame: Any = self.frame
        return frame.__arrow_c_stream__(requested_schema)

    def select(self, columns: Iterable[str]) -> Table:
        """The same rows with only these columns, in this order; columns chosen by name always stay.

        >>> ops.workers().select(["name", "queue"]).to_dicts()[0]
        {'name': 'w1', 'queue': True}
        """
        picks = [self.index(c) for c in columns]
        return self._with(
            columns=tuple(msgspec.structs.replace(self.columns[i], priority=1) for i in picks),
            rows=tuple(tuple(row[i] for i in picks) for row in self.rows),
        )

    def where(self, keep: Callable[[dict[str, Cell]], bool]) -> Table:
        """The rows for which `keep` is true.

        >>> len(ops.queues().where(lambda queue: queue["kind"] == "worker"))
        2
        """
        names = [c.name for c in self.columns]
        return self._with(rows=tuple(r for r in self.rows if keep(dict(zip(names, r, strict=True)))))

    def matching(self, pattern: str) -> Table:
        """The rows where a `key` column matches the glob, or the regular expression between slashes (`/^w.*s$/`).

        >>> ops.queues().matching("/^worker[.]1/")["name"]
        ('worker.1.executions',)
        """
        match = matcher(pattern)
        keys = [self.index(c) for c in self.key]
        return self._with(rows=tuple(r for r in self.rows if any(match(str(r[i])) for i in keys if r[i] is not None)))

    def sorted(self, *by: str) -> Table:
        """Sorted by columns, `-name` in descending order; None is always last, `w.2` comes before `w.10`.

        >>> ops.workers().sorted("-name")["name"]
        ('w2', 'w1')
        """
        rows = list(self.rows)
        for key in reversed(by):
            i = self.index(key.removeprefix("-"))
            known = [r for r in rows if r[i] is not None]
            known.sort(key=lambda r: _natural(r[i]), reverse=key.startswith("-"))
            rows = known + [r for r in rows if r[i] is None]
        return self._with(rows=tuple(rows))

    def limit(self, count: int | None) -> Table:
        """The first `count` rows, with a note where rows were left out.

        >>> ops.workers().limit(1).notes[-1]
        '1 more row not shown (limit 1)'
        """
        if count is None or len(self.rows) <= count:
            return self
        left = len(self.rows) - count
        note = f"{counted(left, 'more row')} not shown (limit {count})"
        return self._with(rows=self.rows[:count], notes=(*self.notes, note))

    def _with(self, **changes: Any) -> Table:
        changed: Table = msgspec.structs.replace(self, **changes)
        return changed


def _natural(value: Any) -> Any:
    """A sort key that compares numbers inside a text as numbers."""
    if not isinstance(value, str):
        return value
    parts = re.split(r"([0-9]+)", value)
    return [(len(p.lstrip("0")), p.lstrip("0")) if i % 2 else p for i, p in enumerate(parts)]
