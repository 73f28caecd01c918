"""A resource alarm: what blocks publishers, whichever resource it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from attune_ops.drills._expecting import Expect
from attune_ops.drills._stage import Stage


def alarm(stage: Stage, what: str, on: Sequence[str], off: Sequence[str]) -> Iterator[Expect]:
    """Sets off an alarm while messages are sent, and expects publishers to wait and nothing to be lost."""
    # Slow, so that messages still come when rabbitmqctl has set off the alarm.
    count = 2 * stage.parameters.count
    load = stage.load(*stage.workers, count=count, rate=stage.parameters.rate / 5)
    yield stage.logged(load, "confirmed", count=5)
    lab = stage.broker
    stage.fault(f"the broker has a {what} alarm", f"the {what} alarm is over", lambda: lab.ctl(*off))
    lab.ctl(*on)
    yield stage.logged(load, "blocked", within=20)
    node = lab.state.nodes[0].name
    yield Expect(
        "the doctor names the alarm (AT112)",
        lambda: any(f.startswith("AT112 ") for f in stage.doctor().findings), 30,
        lambda: f"{', '.join(stage.doctor().findings)} on {node}",
    )  # fmt: skip
    stage.mend()
    yield stage.logged(load, "unblocked", within=20)
    yield stage.sent(load, count, within=60)
