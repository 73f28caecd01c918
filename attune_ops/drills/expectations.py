"""What a drill expects, each with its time limit: of queues, services and the doctor."""

from __future__ import annotations

import operator
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from attune_ops.doctor import diagnosis
from attune_ops.drills.journal import DoctorStatus
from attune_ops.drills.sampler import Sampler
from attune_ops.installation.amqp import Depth
from attune_ops.installation.collect import collect
from attune_ops.installation.config.settings import Settings
from attune_ops.installation.management import open_management
from attune_ops.model.errors import SourceError
from attune_ops.model.severity import Severity
from attune_ops.model.units import counted
from attune_ops.startup.processes import RunningService
from attune_ops.startup.startup_report import StepStatus

OUTCOMES = ("confirmed", "returned", "nacked", "indeterminate")  # of a publish, as the services log them
MAX_AGE_S = 1.0  # how old a doctor's result may be that an expectation is checked against


class Expectation(NamedTuple):
    """Something that must become true `within` s; `seen` says what is there instead.

    With `stays` it must be true the whole time.
    """

    title: str
    check: Callable[[], bool]
    within: float
    seen: Callable[[], str] = lambda: ""
    stays: bool = False


class Expectations:
    """Expectations about queues, services and the doctor; limits are in seconds.

    `doctor_settings` point at the broker that the doctor reads, by default that of the drill.
    """

    def __init__(self, settings: Settings, sampler: Sampler, rate: float) -> None:
        """`rate` is that of a load, in messages per s."""
        self.doctor_settings = settings
        self._settings, self._sampler, self._rate = settings, sampler, rate
        self._last: tuple[float, DoctorStatus] | None = None

    def queue_gone(self, queue: str, within: float = 5) -> Expectation:
        """The queue does not exist any more."""
        return Expectation(f"queue {queue} is gone", lambda: self._depth(queue) is None, within, self._seen(queue))

    def unavailable(self, queue: str, within: float = 30) -> Expectation:
        """The queue does not exist any more, or does not answer while others do.

        RabbitMQ 4.3.6 keeps the record of a transient queue on a node that is down, and does not answer for it.
        """

        def check() -> bool:
            self._depth(self._settings.topology.base_queues[0].name)
            try:
                return self._depth(queue) is None
            except SourceError:
                return True

        return Expectation(f"queue {queue} is gone, or does not answer", check, within, self._seen(queue))

    def is_gone(self, queue: str) -> bool:
        """Whether the broker says that the queue does not exist; False where it does not answer."""
        try:
            return self._depth(queue) is None
        except SourceError:
            return False

    def expired(self, queue: str, within: float = 15) -> Expectation:
        """The queue is not listed any more; a passive declare is avoided, since it counts as a use of the queue."""

        def check() -> bool:
            with open_management(self._settings) as management:
                return queue not in {q.name for q in management.totals()}

        return Expectation(f"queue {queue} is gone", check, within)

    def queue_stays(self, queue: str, seconds: float = 1) -> Expectation:
        """The queue exists the whole time."""
        seen = self._seen(queue)
        return Expectation(f"queue {queue} stays", lambda: self._depth(queue) is not None, seconds, seen, stays=True)

    def ready(self, queue: str, least: int, within: float = 10) -> Expectation:
        """The queue holds at least this number of ready messages."""
        return self._compare(queue, f"at least {least} ready messages", "messages", operator.ge, least, within)

    def empty(self, queue: str, within: float = 20) -> Expectation:
        """The queue holds no ready message."""
        return self._compare(queue, "no ready message", "messages", operator.eq, 0, within)

    def consumed(self, queue: str, consumers: int = 1, within: float = 10) -> Expectation:
        """The queue has exactly this number of consumers."""
        return self._compare(queue, counted(consumers, "consumer"), "consumers", operator.eq, consumers, within)

    def logged(self, service: RunningService, event: str, count: int = 1, within: float = 10) -> Expectation:
        """The service has logged the event at least `count` times."""
        title = f"{service.name} reports {event!r}" + (f" {count} times" if count > 1 else "")
        return Expectation(
            title, lambda: events(service)[event] >= count, within, lambda: counted(events(service)[event], "time")
        )

    def ended(self, service: RunningService, within: float = 10) -> Expectation:
        """The process has ended."""
        title = f"{service.name} ends"
        return Expectation(title, lambda: service.status is not None, within, lambda: _last_event(service))

    def failed(self, service: RunningService, code: int | None, step: str, within: float = 15) -> Expectation:
        """The start-up fails at a step with an AMQP reply code (None: another kind of error)."""

        def check() -> bool:
            found = _failed_step(service)
            return found is not None and (found["step"], (found["error"] or {}).get("code")) == (step, code)

        title = f"the start-up of {service.name} fails at {step}" + (f" with {code}" if code else "")
        return Expectation(title, check, within, lambda: _last_event(service))

    def sent(self, load: RunningService, count: int, within: float = 30) -> Expectation:
        """Every message was attempted and has an outcome, `within` s after the time that the load takes."""
        return Expectation(
            f"{count} messages are sent",
            lambda: sum(events(load)[o] for o in OUTCOMES) >= count,
            count / self._rate + within,
            lambda: ", ".join(f"{events(load)[o]} {o}" for o in OUTCOMES if events(load)[o]),
        )

    def doctor_reports(self, code: str, subject: str, within: float = 30) -> Expectation:
        """The doctor reports a finding for a subject."""
        return self._findings(f"the doctor reports {subject} ({code})", lambda f: f"{code} {subject}" in f, within)

    def doctor_reports_any(self, what: str, code: str, within: float = 60) -> Expectation:
        """The doctor reports a finding, for any subject; `what` describes it in the title."""
        title = f"the doctor reports {what} ({code})"
        return self._findings(title, lambda f: any(x.startswith(f"{code} ") for x in f), within)

    def doctor_reports_none(self, *codes: str, within: float = 120) -> Expectation:
        """The doctor reports none of these findings any more, or without codes none at all."""
        title = f"the doctor reports no {' or '.join(codes) or 'findings'}"
        return self._findings(title, lambda f: not [x for x in f if not codes or x.split()[0] in codes], within)

    def _findings(self, title: str, right: Callable[[Sequence[str]], bool], within: float) -> Expectation:
        return Expectation(
            title,
            lambda: right(self.doctor().findings),
            within,
            lambda: ", ".join(self.doctor().findings) or self.doctor().status,
        )

    def doctor(self, max_age: float = MAX_AGE_S) -> DoctorStatus:
        """The doctor's result, at most `max_age` s old. Reads broker and registry, changes nothing."""
        if self._last is None or time.monotonic() - self._last[0] > max_age:
            settings = self.doctor_settings
            report = diagnosis.read_and_diagnose(
                lambda: collect(settings, skip_worker_statistics=True), settings.check_settings
            )
            # The policies are those of the file that the drill rehearses: what is wrong with them is no fault of it.
            given = (
                f for f in report.at_least(Severity.WARNING) if f.subject.kind not in ("policy", "operator policy")
            )
            serious = [f for f in given if f.group != "design"]
            found = DoctorStatus(report.status, tuple(f"{f.code} {s.name}" for f in serious for s in f.subjects))
            self._last = time.monotonic(), found
        return self._last[1]

    def _compare(
        self, queue: str, what: str, member: str, compare: Callable[[int, int], bool], value: int, within: float
    ) -> Expectation:
        def check() -> bool:
            found = self._depth(queue)
            return found is not None and compare(getattr(found, member), value)

        return Expectation(f"queue {queue} has {what}", check, within, self._seen(queue))

    def _depth(self, queue: str) -> Depth | None:
        return self._sampler.depth(queue)

    def _seen(self, queue: str) -> Callable[[], str]:
        def seen() -> str:
            found = self._depth(queue)
            return f"{found.messages} ready, {counted(found.consumers, 'consumer')}" if found else "missing"

        return seen


def events(service: RunningService) -> Counter[str]:
    """How often a service has logged each event."""
    return Counter(e["event"] for e in service.events())


def _failed_step(service: RunningService) -> dict[str, Any] | None:
    """The step of a start-up that failed, or None."""
    steps = (e for e in service.events() if e["event"] == "step" and e["status"] == StepStatus.FAILED)
    return next(steps, None)


def _last_event(service: RunningService) -> str:
    found = service.events()
    return f"last event {found[-1]['event']!r}" if found else "it has logged nothing"
