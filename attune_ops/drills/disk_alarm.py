"""The broker's disk is full while messages are published."""

from __future__ import annotations

from collections.abc import Iterator

from attune_ops.drills import drill
from attune_ops.drills._alarming import alarm
from attune_ops.drills._expecting import Expect
from attune_ops.drills._stage import Stage


@drill(
    "disk-alarm",
    hypothesis="A disk alarm blocks publishers and loses nothing: they go on when it is over.",
    promise="When free disk space falls below the limit the broker blocks connections that publish.",
    source="https://www.rabbitmq.com/docs/disk-alarms",
    needs="node",
)
def disk_alarm(stage: Stage) -> Iterator[Expect]:
    """The limit is set above what any disk has free, and back.

    To do: a limit that leaves time to act, and an alert on free space before the alarm (AT113).
    """
    on = ("set_disk_free_limit", "900000GB")
    yield from alarm(stage, "disk", on, ("set_disk_free_limit", "50MB"))
