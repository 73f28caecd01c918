"""A resource alarm: what blocks publishers, whichever resource it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from attune_ops.drills._expecting import Expect
from attune_ops.drills._stage import Stage
from attune_ops.drills._watching import events


def alarm(stage: Stage, what: str, on: Sequence[str], off: Sequence[str]) -> Iterator[Expect]:
    """Sets off an alarm while messages are sent, and expects publishers to wait and nothing to be lost."""
    # Endless, since rabbitmqctl may take its time to set off the alarm.
    load = stage.load(*stage.workers, count=None, rate=stage.parameters.rate / 5)
    yield stage.logged(load, "confirmed", count=5)
    lab = stage.broker
    stage.fault(f"the broker has a {what} alarm", f"the {what} alarm is over", lambda: lab.ctl(*off))
    lab.ctl(*on)
    yield stage.logged(load, "blocked", within=30)
    yield stage.doctor_finds("the alarm", "AT112")
    stage.mend()
    yield stage.logged(load, "unblocked", within=30)
    yield stage.logged(load, "confirmed", count=events(load)["confirmed"] + stage.parameters.count // 5, within=60)
    stage.stop(load)
