"""`attune-ops orphans`."""

from __future__ import annotations

from attune_ops.cli._inspect import inspection

command = inspection(
    "orphans",
    "attune_ops.inventory.orphans",
    "Lists orphaned queues, and live workers without their queue.\n\n"
    "An orphaned queue is a worker queue that no registered live worker owns. "
    "PATTERN is a glob or a regular expression between slashes on queue or worker. The exit status is 0 also if "
    "there are orphans. `doctor` reports them as findings, `reap` deletes orphaned queues.",
    example="attune-ops orphans --sort -messages",
    then="cause and fix: attune-ops doctor --only workers; to delete orphaned queues: attune-ops reap",
)
