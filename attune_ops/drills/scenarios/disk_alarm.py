"""The broker's disk is full while messages are published."""

from __future__ import annotations

from attune_ops.drills.catalog import drill
from attune_ops.drills.context import Context, Steps
from attune_ops.drills.scenarios._shared import alarm


@drill(
    hypothesis="A disk alarm blocks publishers and loses no message; they continue when it is over.",
    promise="When free disk space falls below the limit the broker blocks connections that publish.",
    source="https://www.rabbitmq.com/docs/disk-alarms",
    needs="node",
    alarms=True,
)
def disk_alarm(context: Context) -> Steps:
    """Sets the disk limit above the free space of any disk, and back.

    To do: set a limit that leaves time to act, and an alert on free space before the alarm (AT113).
    """
    on = ("set_disk_free_limit", "900000GB")
    yield from alarm(context, "disk", on, ("set_disk_free_limit", "50MB"))
