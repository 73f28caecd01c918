"""`attune-ops queues`."""

from __future__ import annotations

from attune_ops.cli._inspect import inspection

command = inspection(
    "queues",
    "attune_ops.inventory.queues",
    "Lists the queues: depth, consumers, owner.\n\n"
    "PATTERN is a glob (worker.*) or a regular expression between slashes (/^worker/) on the name. "
    "Unmanaged queues are shown as foreign.",
    example="attune-ops queues 'worker.*' --sort -messages --limit 10\n"
    "attune-ops queues --format prometheus --output queues.prom\n"
    "attune-ops queues 'worker.*' --format nagios --warn messages=1000 --crit consumers=0",
    monitored=True,
)
