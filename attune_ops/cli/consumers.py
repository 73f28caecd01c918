"""`attune-ops consumers`."""

from __future__ import annotations

from attune_ops.cli._inspect import inspection
from attune_ops.inventory.consumers import COLUMNS

command = inspection(
    "consumers",
    COLUMNS,
    "Lists the consumers: queue, tag, client.\n\n"
    "PATTERN is a glob or a regular expression between slashes on queue or tag.",
    example="attune-ops consumers 'worker.*' --columns queue,tag,peer,connected",
)
