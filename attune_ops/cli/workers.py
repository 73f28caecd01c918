"""`attune-ops workers`."""

from __future__ import annotations

from attune_ops.cli._inspect import inspection
from attune_ops.inventory.workers import COLUMNS

command = inspection(
    "workers",
    COLUMNS,
    "Lists workers, and what the broker has for each.\n\n"
    "PATTERN is a glob or a regular expression between slashes on name or id. An id that only a queue on the "
    "broker knows is shown as unregistered.",
    example="attune-ops workers --sort -heartbeat",
)
