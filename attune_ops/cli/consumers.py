"""`attune-ops consumers`."""

from __future__ import annotations

from attune_ops.cli._inspect import inspection

command = inspection(
    "consumers",
    "attune_ops.inventory.consumers",
    "Lists the consumers: queue, tag, client.\n\n"
    "PATTERN is a glob or a regular expression between slashes on queue or tag.",
    example="attune-ops consumers 'worker.*' --columns queue,tag,peer,connected",
)
