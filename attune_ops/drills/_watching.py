"""What a drill may expect, ready made."""

from __future__ import annotations

import operator
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from attune_ops.doctor import diagnosis
from attune_ops.drills._expecting import Expect
from attune_ops.drills._eye import Eye
from attune_ops.drills.journal import Look
from attune_ops.installation.collect import collect
from attune_ops.installation.config.settings import Settings
from attune_ops.installation.management import open_management
from attune_ops.model.errors import SourceError
from attune_ops.model.severity import Severity
from attune_ops.startup.processes import RunningService
from attune_ops.startup.startup_report import StepStatus

AGE_S = 1.0  # how old a doctor's answer may be that an expectation judges by


class Watching:
    """Expectations about queues, services and the doctor; the limits are in seconds."""

    settings: Settings
    working: Settings
    eye: Eye
    _looked: tuple[float, Look] | None = None

    def queue_gone(self, queue: str, within: float = 5) -> Expect:
        """The queue is not there any more."""
        return Expect(f"queue {queue} is gone", lambda: self.eye.depth(queue) is None, within, self._shown(queue))

    def unavailable(self, queue: str, within: float = 30) -> Expect:
        """The queue is not there any more, or does not answer while others do.

        RabbitMQ 4.3.6 keeps the record of a transient queue whose node is down, and answers nothing about it.
        """

        def check() -> bool:
            self.eye.depth(self.settings.topology.base_queues[0].name)
            try:
                return self.eye.depth(queue) is None
            except SourceError:
                return True

        return Expect(f"queue {queue} is gone, or does not answer", check, within, self._shown(queue))

    def is_gone(self, queue: str) -> bool:
        """Whether the broker says that the queue is not there; not where it says nothing."""
        try:
            return self.eye.depth(queue) is None
        except SourceError:
            return False

    def expired(self, queue: str, within: float = 15) -> Expect:
        """The queue is not listed any more; it is not asked for, since a passive declare counts as a use of it."""

        def check() -> bool:
            with open_management(self.settings) as management:
                return queue not in {q.name for q in management.totals()}

        return Expect(f"queue {queue} is gone", check, within)

    def queue_stays(self, queue: str, seconds: float = 1) -> Expect:
        """The queue is there the whole time."""
        shown = self._shown(queue)
        return Expect(f"queue {queue} stays", lambda: self.eye.depth(queue) is not None, seconds, shown, stays=True)

    def ready(self, queue: str, least: int, within: float = 10) -> Expect:
        """The queue holds at least so many ready messages."""
        return self._compare(queue, f"at least {least} ready messages", "messages", operator.ge, least, within)

    def empty(self, queue: str, within: float = 20) -> Expect:
        """The queue holds no ready message."""
        return self._compare(queue, "no ready message", "messages", operator.eq, 0, within)

    def consumed(self, queue: str, consumers: int = 1, within: float = 10) -> Expect:
        """The queue has exactly so many consumers."""
        return self._compare(queue, _consumers(consumers), "consumers", operator.eq, consumers, within)

    def logged(self, service: RunningService, event: str, count: int = 1, within: float = 10) -> Expect:
        """The service has written the event so often."""
        title = f"{service.name} reports {event!r}" + (f" {count} times" if count > 1 else "")
        return Expect(title, lambda: events(service)[event] >= count, within, lambda: f"{events(service)[event]} times")

    def ended(self, service: RunningService, within: float = 10) -> Expect:
        """The process has ended."""
        return Expect(f"{service.name} ends", lambda: service.status is not None, within, lambda: last(service))

    def failed(self, service: RunningService, code: int | None, step: str, within: float = 15) -> Expect:
        """The start-up fails at a step with an AMQP reply code (None: another kind of error)."""

        def check() -> bool:
            found = failure(service)
            return found is not None and (found["step"], (found["error"] or {}).get("code")) == (step, code)

        answer = f" with {code}" if code else ""
        return Expect(f"the start-up of {service.name} fails at {step}{answer}", check, within, lambda: last(service))

    def sent(self, load: RunningService, count: int, within: float = 30) -> Expect:
        """Every message was attempted and has an outcome."""
        outcomes = ("confirmed", "returned", "nacked", "indeterminate")
        return Expect(
            f"{count} messages are sent",
            lambda: sum(events(load)[o] for o in outcomes) >= count,
            within,
            lambda: ", ".join(f"{events(load)[o]} {o}" for o in outcomes if events(load)[o]),
        )

    def doctor_names(self, code: str, subject: str, within: float = 30) -> Expect:
        """The doctor reports a finding about a subject."""
        return self._findings(f"the doctor names {subject} ({code})", lambda f: f"{code} {subject}" in f, within)

    def doctor_finds(self, what: str, code: str, within: float = 60) -> Expect:
        """The doctor reports a finding, whatever its subject."""
        return self._findings(
            f"the doctor names {what} ({code})", lambda f: any(x.startswith(f"{code} ") for x in f), within
        )

    def doctor_content(self, *codes: str, within: float = 120) -> Expect:
        """The doctor reports none of these findings any more, or none at all."""
        what = f"no {' or '.join(codes)}" if codes else "nothing"

        def right(findings: Sequence[str]) -> bool:
            return not [f for f in findings if not codes or f.partition(" ")[0] in codes]

        return self._findings(f"the doctor finds {what}", right, within)

    def _findings(self, title: str, right: Callable[[Sequence[str]], bool], within: float) -> Expect:
        return Expect(
            title,
            lambda: right(self.doctor().findings),
            within,
            lambda: ", ".join(self.doctor().findings) or self.doctor().status,
        )

    def doctor(self, *, anew: bool = False) -> Look:
        """What the doctor says, at most a second old, or `anew`. Reads broker and registry, changes nothing."""
        if anew or self._looked is None or time.monotonic() - self._looked[0] > AGE_S:
            report = diagnosis.read_and_diagnose(
                lambda: collect(self.working, skip_worker_statistics=True), self.working.check_settings
            )
            serious = [f for f in report.at_least(Severity.WARNING) if f.group != "design"]
            look = Look(report.status, tuple(f"{f.code} {f.subject.name}" for f in serious))
            self._looked = time.monotonic(), look
        return self._looked[1]

    def _compare(
        self, queue: str, what: str, member: str, compare: Callable[[int, int], bool], value: int, within: float
    ) -> Expect:
        def check() -> bool:
            found = self.eye.depth(queue)
            return found is not None and compare(getattr(found, member), value)

        return Expect(f"queue {queue} has {what}", check, within, self._shown(queue))

    def _shown(self, queue: str) -> Callable[[], str]:
        def shown() -> str:
            found = self.eye.depth(queue)
            return f"{found.messages} ready, {_consumers(found.consumers)}" if found else "missing"

        return shown


def _consumers(n: int) -> str:
    return f"{n} consumer" if n == 1 else f"{n} consumers"


def events(service: RunningService) -> Counter[str]:
    """How often a service has logged each event."""
    return Counter(e["event"] for e in service.events())


def failure(service: RunningService) -> dict[str, Any] | None:
    """The step of a start-up that failed, or None."""
    steps = (e for e in service.events() if e["event"] == "step" and e["status"] == StepStatus.FAILED)
    return next(steps, None)


def last(service: RunningService) -> str:
    """The last words of a service."""
    said = service.events()
    return f"last event {said[-1]['event']!r}" if said else "it has said nothing"
