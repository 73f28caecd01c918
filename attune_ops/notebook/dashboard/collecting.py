"""The one thread that reads for a dashboard, and one that does what takes its time."""

from __future__ import annotations

import logging
import threading
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from attune_ops.doctor.findings import Report
from attune_ops.model.errors import ActionError, AttuneOpsError
from attune_ops.model.facts import Facts, Source

KEPT = 60  # depths kept of each queue, for its line

log = logging.getLogger(__name__)


@dataclass
class Seen:
    """What a dashboard knows: the last facts that hold a broker, their diagnosis, and what is wrong since.

    `lock` is held by who changes or draws it: the collector's thread, or the kernel's for a filter or a tab.
    """

    facts: Facts | None = None
    report: Report | None = None
    stale: str | None = None  # why the last look brought nothing
    looks: int = 0
    lock: threading.RLock = field(default_factory=threading.RLock)
    times: deque[datetime] = field(default_factory=lambda: deque(maxlen=KEPT))
    depths: dict[str, deque[int]] = field(default_factory=lambda: defaultdict(lambda: deque(maxlen=KEPT)))

    def take(self, facts: Facts, report: Report) -> None:
        """Keeps a look; one without a broker leaves what was known, and says why."""
        self.looks += 1
        self.stale = facts.missing_reason((Source.BROKER,))
        if self.stale is not None and self.facts is not None:
            return
        self.facts, self.report = facts, report
        self.times.append(facts.taken_at)
        named = facts.broker.queue_named if facts.broker is not None else {}
        for gone in self.depths.keys() - named.keys():
            del self.depths[gone]
        for name, queue in named.items():
            if queue.messages is not None:
                self.depths[name].append(queue.messages)


class Collector:
    """Reads again and again in one thread and tells `on_look` of it; each look is one set of requests."""

    def __init__(self, read: Callable[[], tuple[Facts, Report]], on_look: Callable[[Seen], None], every: float) -> None:
        self.seen = Seen()
        self.every = every
        self.paused = False
        self._read, self._on_look = read, on_look
        self._wake, self._ended, self._looking = threading.Event(), threading.Event(), False
        self._thread = threading.Thread(target=self._run, name="attune-ops dashboard", daemon=True)

    def start(self) -> None:
        """Begins to read."""
        self._thread.start()

    def look_now(self) -> None:
        """Looks at once, also while paused."""
        self._wake.set()

    def stop(self, timeout: float = 30.0) -> None:
        """Ends the thread; a look under way is finished first, for at most `timeout` s."""
        self._ended.set()
        self._wake.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(timeout)

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    @property
    def idle(self) -> bool:
        """Whether everything that was read is drawn, and no look was asked for."""
        return not self._looking and not self._wake.is_set()

    def _run(self) -> None:
        asked = True
        while not self._ended.is_set():
            if asked or not self.paused:
                self._looking = True
                self._look()
                self._looking = False
            asked = self._wake.wait(self.every)
            self._wake.clear()

    def _look(self) -> None:
        try:
            facts, report = self._read()
            with self.seen.lock:
                self.seen.take(facts, report)
        except AttuneOpsError as e:
            self.seen.stale = str(e)
        if self._ended.is_set():
            return
        try:
            self._on_look(self.seen)
        except Exception:
            log.exception("a view of the dashboard failed")


class Errand:
    """One thing at a time that takes its time, in a thread of its own, so that the kernel stays free."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()

    @property
    def busy(self) -> bool:
        """Whether something is under way."""
        return self._thread is not None and self._thread.is_alive()

    def run(self, act: Callable[[], object], done: Callable[[object], None]) -> bool:
        """Does it and tells `done` the outcome, an `AttuneOpsError` included; False where one is under way."""
        if self.busy:
            return False

        def go() -> None:
            try:
                outcome = act()
            except AttuneOpsError as e:
                outcome = e
            except KeyboardInterrupt:
                outcome = ActionError("it was stopped, and what it had done is undone")
            done(outcome)

        self._stopping.clear()
        self._thread = threading.Thread(target=go, name="attune-ops errand", daemon=True)
        self._thread.start()
        return True

    def heed(self) -> None:
        """Called by what is under way where it can be stopped: raises what Ctrl-C raises, once, so that it undoes."""
        if self._stopping.is_set():
            self._stopping.clear()
            raise KeyboardInterrupt

    def ask_to_stop(self) -> None:
        """Asks what is under way to stop, where it heeds that."""
        self._stopping.set()

    def stop(self, timeout: float = 60.0) -> None:
        """Asks it and waits for its undoing."""
        self.ask_to_stop()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout)
