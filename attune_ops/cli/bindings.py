"""`attune-ops bindings`."""

from __future__ import annotations

from attune_ops.cli._inspect import inspection

command = inspection(
    "bindings",
    "attune_ops.inventory.bindings",
    "Lists the bindings, and whether the topology has each of them.\n\n"
    "PATTERN is a glob or a regular expression between slashes on source, routing key or destination. "
    "`topology diff` lists missing bindings.",
    example="attune-ops bindings 'worker.*' --sort destination",
)
