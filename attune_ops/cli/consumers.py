"""`attune-ops consumers`."""

from __future__ import annotations

from attune_ops.cli._inspect import inspection
from attune_ops.tables.consumers import COLUMNS

command = inspection(
    "consumers",
    COLUMNS,
    "Lists the consumers: of which queue, by which tag, from where.\n\n"
    "PATTERN is a glob or a regular expression between slashes on queue or tag.",
    example="attune-ops consumers 'worker.*' --columns queue,tag,peer,connected",
)
