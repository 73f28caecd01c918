"""A resource alarm that the drill did not set off: it is said at once, and the drill waits until it is over."""

from __future__ import annotations

import time
from collections.abc import Iterable

from attune_ops.drills.expectations import events
from attune_ops.installation.config.settings import Settings
from attune_ops.installation.management import open_management
from attune_ops.model.errors import DrillRefused, SourceError
from attune_ops.model.waiting import OnProgress
from attune_ops.startup.processes import RunningService

POLL_S = 0.5
SAY_EVERY_S = 10.0
LIMIT_S = 600.0  # a drill that nobody watches ends some time


def wait_while_alarmed(settings: Settings, on_progress: OnProgress) -> float:
    """Waits while an alarm of the broker blocks publishers, and says so; returns the seconds that it waited.

    Reads the management API, changes nothing. Ctrl-C ends it. Raises `DrillRefused` after 10 minutes.
    """
    began = said = time.monotonic()
    alarms = _alarms(settings)
    if not alarms:
        return 0.0
    what = ", ".join(alarms)
    on_progress(f"the broker blocks publishers: {what}. The drill waits until that is over; Ctrl-C ends it")
    while alarms:
        time.sleep(POLL_S)
        waited = time.monotonic() - began
        if waited > LIMIT_S:
            raise DrillRefused(f"the broker has blocked publishers for {waited:.0f} s: {what}")
        if time.monotonic() - said > SAY_EVERY_S:
            said = time.monotonic()
            on_progress(f"still waiting after {waited:.0f} s: {', '.join(alarms)}")
        alarms = _alarms(settings)
    waited = time.monotonic() - began
    on_progress(f"the alarm is over; the drill waited {waited:.0f} s")
    return waited


def is_blocked(services: Iterable[RunningService]) -> bool:
    """Whether the broker blocks the connection of a service that runs, by the service's log."""
    logged = (events(s) for s in services if s.status is None)
    return any(counts["blocked"] > counts["unblocked"] + counts["lost"] for counts in logged)


def _alarms(settings: Settings) -> tuple[str, ...]:
    """The alarms in effect; none where the broker does not answer, which is not an alarm."""
    try:
        with open_management(settings) as management:
            return management.alarms()
    except SourceError:
        return ()
