"""One run of a drill: steady state, the drill's steps, their expectations, drain, ledger, journal."""

from __future__ import annotations

import os
import platform
import time
from datetime import UTC, datetime

import msgspec

from attune_ops.drills import evidence
from attune_ops.drills.alarm_wait import is_blocked, wait_while_alarmed
from attune_ops.drills.catalog import Drill
from attune_ops.drills.context import Context
from attune_ops.drills.expectations import OUTCOMES, Expectation, events
from attune_ops.drills.journal import DoctorStatus, Expected, Journal
from attune_ops.drills.ledger import Leftover, ledger_expectations, verdict_of
from attune_ops.installation.config.settings import Settings
from attune_ops.installation.management import open_management
from attune_ops.model.errors import AttuneOpsError, DrillRefused, SourceError
from attune_ops.model.version import __version__
from attune_ops.model.waiting import OnProgress, wait_until
from attune_ops.startup.processes import stop_all

POLL_S = 0.05
STEADY_S = 60.0  # statistics of the management API are up to 10 s old, more on a busy machine
AFTER_S = 8.0
QUIET_S, UNCHANGED_S = 30.0, 4.0


class DrillRun:
    """One run in a context that is ready."""

    def __init__(self, drill: Drill, context: Context, on_progress: OnProgress) -> None:
        self.drill, self.context, self._on_progress = drill, context, on_progress
        self.expected: list[Expected] = []
        self.stopped = ""  # why the drill could not continue

    def run(self) -> Journal:
        """Runs the drill from the steady state to the journal."""
        context, started_at = self.context, datetime.now(UTC)
        versions = _versions(context.settings)
        try:
            try:
                self._wait_while_alarmed()
                self._populate()
                before = self._steady()
                self._play()
            finally:
                context.faults.revert()
            after, leftovers = self._end()
        finally:
            stop_all(context.services.all)
            context.close()
        ledger = evidence.count(context, leftovers)
        self.expected += ledger_expectations(ledger, context.allowed, context.predicted)
        verdict, reason = verdict_of(self.expected, ledger, self.stopped)
        return Journal(
            drill=self.drill.name, hypothesis=self.drill.hypothesis, promise=self.drill.promise,
            source=self.drill.source, verdict=verdict, reason=reason, started_at=started_at,
            duration_ms=context.log.now_ms, versions=versions, topology=context.topology.name,
            parameters=msgspec.structs.asdict(context.parameters), steps=tuple(context.log.events),
            expectations=tuple(self.expected), ledger=ledger, before=before, after=after,
            remedy=context.remedy.name if context.remedy else None, queues=tuple(context.sampler.queues),
            samples=context.sampler.padded,
        )  # fmt: skip

    def _wait_while_alarmed(self) -> float:
        """Waits while an alarm that is not of this drill blocks publishers; returns the seconds."""
        if self.drill.alarms:
            return 0.0
        waited = wait_while_alarmed(self.context.settings, self._on_progress)
        if waited:
            self.context.log.add(f"waited {waited:.0f} s for the end of an alarm that blocked publishers")
        return waited

    def _populate(self) -> None:
        """Sets the policies, then starts the services that consume and the workers."""
        context = self.context
        context.broker.set_policies()
        topology = context.topology
        for service in ("executor", "sensor", "api"):
            if topology.service_consumers(service) or topology.queues_of(service) or topology.replica_queues(service):
                context.services.start(service, service, reconnect=True)
        for n in range(self.drill.workers if self.drill.workers is not None else context.parameters.workers):
            behaviour = dict(self.drill.worker)
            if behaviour.pop("short_heartbeat", False):
                behaviour["amqp_heartbeat"] = context.parameters.heartbeat
            context.services.worker(f"w{n + 1}", **behaviour)

    def _steady(self) -> DoctorStatus:
        """Waits until the doctor reports no error outside of design; raises `DrillRefused` where it still does."""
        found = wait_until(
            self.context.expect.doctor,
            lambda found: not found.findings,
            timeout=STEADY_S,
            interval=0.3,
            on_wait=lambda found, left: self.context.sample(),
        )
        if found.findings:
            raise DrillRefused(f"no steady state before drill {self.drill.name}: {', '.join(found.findings)}")
        self.context.log.add(f"steady state: the doctor reports {found.status}")
        return found

    def _play(self) -> None:
        """Runs the drill's own steps, up to the first expectation that is not met."""
        try:
            for expectation in self.drill.play(self.context):
                self.expected.append(self._wait_for(expectation))
                if not self.expected[-1].held:
                    return
        except DrillRefused:
            raise
        except AttuneOpsError as e:
            self.stopped = str(e)
            self.context.log.add(f"the drill cannot continue: {e}")

    def _wait_for(self, expectation: Expectation) -> Expected:
        began = time.monotonic()
        while True:
            self.context.sample()
            if is_blocked(self.context.services.all):
                began += self._wait_while_alarmed()
            true, spent = _checked(expectation), time.monotonic() - began
            if spent >= expectation.within or true is not expectation.stays:
                break
            time.sleep(POLL_S)
        took = round(spent * 1000)
        seen = _seen(expectation)
        title = expectation.title
        line = f"passed {title}, {took} ms" if true else f"FAILED {title}: {seen or f'not within {took} ms'}"
        self._on_progress(f"{'':>9}  {line}")
        return Expected(title, true, expectation.within * 1000, took if true else None, seen)

    def _end(self) -> tuple[DoctorStatus | None, list[Leftover]]:
        """Waits for idle queues, runs the doctor, stops the services and drains; inconclusive without a broker."""
        after, leftovers = None, []
        try:
            self._wait_until_idle()
            after = self._after()
            leftovers = evidence.drain(self.context)
            stop_all(self.context.services.all)
            leftovers += evidence.drain(self.context)
        except SourceError as e:
            self.stopped = self.stopped or f"the messages left at the end could not be counted: {e}"
        return after, leftovers

    def _after(self) -> DoctorStatus:
        """The doctor's result at the end, after some seconds for late statistics of the management API."""
        return wait_until(
            lambda: self.context.expect.doctor(max_age=0),
            lambda found: not found.findings,
            timeout=AFTER_S,
            interval=0.5,
        )

    def _wait_until_idle(self) -> None:
        """Waits until all messages are sent and neither queues nor logs change any more."""
        until, changed, before = time.monotonic() + QUIET_S, time.monotonic(), -1
        with open_management(self.context.settings) as management:
            while time.monotonic() < until:
                self.context.sample()
                held = sum(q.messages or 0 for q in management.totals())
                logged = sum(events(s).total() for s in self.context.services.all)
                if held + logged != before:
                    changed, before = time.monotonic(), held + logged
                idle = time.monotonic() - changed
                if idle > UNCHANGED_S or (idle > 0.5 and not held and not self._sending()):
                    return
                time.sleep(0.1)

    def _sending(self) -> bool:
        loads = ((load, events(load)) for load in self.context.services.loads)
        return any(
            load.status is None and sum(logged[o] for o in OUTCOMES) < self.context.count for load, logged in loads
        )


def _checked(expectation: Expectation) -> bool:
    try:
        return expectation.check()
    except AttuneOpsError:
        return False  # the broker does not answer, which may be the fault of the drill


def _seen(expectation: Expectation) -> str:
    try:
        return expectation.seen()
    except AttuneOpsError as e:
        return str(e)


def _versions(settings: Settings) -> dict[str, str]:
    with open_management(settings) as management:
        overview = management.overview()
    broker = {"rabbitmq": overview.rabbitmq_version or "", "erlang": overview.erlang_version or ""}
    return {"attune-ops": __version__, **broker, "python": platform.python_version(), "system": os.uname().sysname}
