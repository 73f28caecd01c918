"""`attune-ops workers`."""

from __future__ import annotations

from attune_ops.cli._inspect import inspection

command = inspection(
    "workers",
    "attune_ops.inventory.workers",
    "Lists the workers, and the queues and consumers of each.\n\n"
    "PATTERN is a glob or a regular expression between slashes on name or id. An id that is only in a queue "
    "name is shown as unregistered.",
    example="attune-ops workers --sort -heartbeat\n"
    "attune-ops workers --format prometheus --output workers.prom\n"
    "attune-ops workers --format nagios --warn heartbeat=60 --crit messages=1000",
    monitored=True,
)
