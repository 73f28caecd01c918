"""The broker runs out of memory while messages are published."""

from __future__ import annotations

from attune_ops.drills.catalog import drill
from attune_ops.drills.context import Context, Steps
from attune_ops.drills.scenarios._shared import alarm


@drill(
    hypothesis="A memory alarm blocks publishers and loses no message; they continue when it is over.",
    promise="During an alarm the broker stops reading from connections that publish; consumers continue.",
    source="https://www.rabbitmq.com/docs/alarms",
    needs="node",
    alarms=True,
)
def memory_alarm(context: Context) -> Steps:
    """Sets the memory watermark so low that the alarm is in effect, and back.

    A blocked service waits without an error.

    To do: publish and consume on different connections, so that a blocked worker still consumes. Monitor alarms
    (AT112, AT114).
    """
    on = ("set_vm_memory_high_watermark", "absolute", "1000")
    yield from alarm(context, "memory", on, ("set_vm_memory_high_watermark", "0.4"))
