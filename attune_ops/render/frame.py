"""pandas DataFrames with typed columns."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import TYPE_CHECKING, Any

from attune_ops.model.errors import ConfigError
from attune_ops.model.table import Cell, Column, Kind

if TYPE_CHECKING:
    import pandas as pd

# Nullable types: a count that was not told is <NA>, and the others stay integers.
_DTYPES = {
    Kind.TEXT: "string",
    Kind.CATEGORY: "category",
    Kind.INTEGER: "Int64",
    Kind.NUMBER: "Float64",
    Kind.FLAG: "boolean",
    Kind.TIME: "datetime64[ns, UTC]",
    Kind.AGE: "timedelta64[ns]",
    Kind.LIST: "object",
}


def frame(
    columns: Iterable[Column], rows: Iterable[Iterable[Cell]], attrs: dict[Hashable, Any] | None = None
) -> pd.DataFrame:
    """A DataFrame whose columns have the types of `columns`, without rows too.

    `attrs` go with it, beside `units` and `docs` by column. Raises `ConfigError` without pandas.
    """
    try:
        import pandas as pd
    except ImportError:
        raise ConfigError("a DataFrame needs pandas: pip install 'attune-ops[notebook]'") from None
    columns = tuple(columns)
    values = list(zip(*rows, strict=True)) or [()] * len(columns)
    made = pd.DataFrame(
        {c.name: _series(pd, c, list(v)) for c, v in zip(columns, values, strict=True)},
        columns=[c.name for c in columns],
    )
    made.attrs = {
        "units": {c.name: c.unit for c in columns if c.unit},
        "docs": {c.name: c.doc for c in columns if c.doc},
        **(attrs or {}),
    }
    return made


def _series(pd: Any, column: Column, values: list[Cell]) -> Any:
    if column.kind is Kind.TIME:
        return pd.Series(pd.to_datetime(pd.Series(values, dtype="object"), utc=True), dtype=_DTYPES[Kind.TIME])
    return pd.Series(values, dtype=_DTYPES[column.kind])
