"""`attune-ops orphans`."""

from __future__ import annotations

from attune_ops.cli._inspect import inspection
from attune_ops.inventory.orphans import COLUMNS

command = inspection(
    "orphans",
    COLUMNS,
    "Lists queues without worker, workers without queue.\n\n"
    "These are worker queues that no registered live worker owns, and live workers whose queue is missing. "
    "PATTERN is a glob or a regular expression between slashes on queue or worker. Having orphans is no "
    "failure here; `doctor` judges, `reap` removes.",
    example="attune-ops orphans --sort -messages",
    then="cause and cure: attune-ops doctor --only workers; queues that nobody comes back to: attune-ops reap",
)
