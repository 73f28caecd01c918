"""pyarrow, for the modules of the history; without it one clear error."""

from __future__ import annotations

from attune_ops.model.errors import ConfigError, install

try:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.fs as pafs
    import pyarrow.parquet as pq
except ImportError:
    raise ConfigError(f"the history needs pyarrow: {install('history')}") from None

__all__ = ["pa", "pafs", "pc", "pq"]
