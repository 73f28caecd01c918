"""`attune-ops exchanges`."""

from __future__ import annotations

from attune_ops.cli._inspect import inspection
from attune_ops.inventory.exchanges import COLUMNS

command = inspection(
    "exchanges",
    COLUMNS,
    "Lists the exchanges.\n\nPATTERN is a glob or a regular expression between slashes on the name.",
    example="attune-ops exchanges 'attune.*'",
)
