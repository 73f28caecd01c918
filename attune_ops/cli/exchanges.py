"""`attune-ops exchanges`."""

from __future__ import annotations

from attune_ops.cli._inspect import inspection

command = inspection(
    "exchanges",
    "attune_ops.inventory.exchanges",
    "Lists the exchanges.\n\nPATTERN is a glob or a regular expression between slashes on the name.",
    example="attune-ops exchanges 'attune.*'",
)
