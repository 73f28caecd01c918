"""The broker runs out of memory while messages are published."""

from __future__ import annotations

from collections.abc import Iterator

from attune_ops.drills import drill
from attune_ops.drills._alarming import alarm
from attune_ops.drills._expecting import Expect
from attune_ops.drills._stage import Stage


@drill(
    "memory-alarm",
    hypothesis="A memory alarm blocks publishers and loses nothing: they go on when it is over.",
    promise="In an alarm the broker stops reading from connections that publish; consumers go on.",
    source="https://www.rabbitmq.com/docs/alarms",
    needs="node",
)
def memory_alarm(stage: Stage) -> Iterator[Expect]:
    """The watermark is set so low that the alarm goes off, and back.

    A blocked service stands still without an error.

    To do: publish and consume on different connections, so that a worker that is blocked still takes messages, and
    watch alarms (AT112, AT114).
    """
    on = ("set_vm_memory_high_watermark", "absolute", "1000")
    yield from alarm(stage, "memory", on, ("set_vm_memory_high_watermark", "0.4"))
