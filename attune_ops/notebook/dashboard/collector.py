"""The thread that reads for a dashboard, and a background task for what takes long."""

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

KEPT = 60  # depths kept of each queue, for its chart line

log = logging.getLogger(__name__)


@dataclass
class State:
    """The state of a dashboard: the last facts with a broker, their diagnosis, and the failure of the last read.

    `lock` is held while the state changes or is drawn: by the collector's thread, or by the kernel's for a filter or
    a tab.
    """

    facts: Facts | None = None
    report: Report | None = None
    stale: str | None = None  # reason why the last read failed
    reads: int = 0
    lock: threading.RLock = field(default_factory=threading.RLock)
    times: deque[datetime] = field(default_factory=lambda: deque(maxlen=KEPT))
    depths: dict[str, deque[int]] = field(default_factory=lambda: defaultdict(lambda: deque(maxlen=KEPT)))

    def keep(self, facts: Facts, report: Report) -> None:
        """Keeps what was read; without a broker the earlier facts stay, with the reason in `stale`."""
        self.reads += 1
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
    """Reads every `interval` s in one thread and calls `on_read`; each read is one set of requests."""

    def __init__(
        self, read: Callable[[], tuple[Facts, Report]], on_read: Callable[[State], None], interval: float
    ) -> None:
        self.state = State()
        self.interval = interval
        self.paused = False
        self._read, self._on_read = read, on_read
        self._wake, self._ended, self._reading = threading.Event(), threading.Event(), False
        self._thread = threading.Thread(target=self._run, name="attune-ops dashboard", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def read_now(self) -> None:
        """Reads at once, also while paused."""
        self._wake.set()

    def stop(self, timeout: float = 30.0) -> None:
        """Stops the thread; waits at most `timeout` s for a read in progress."""
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
        """Whether everything that was read is drawn, and no read is requested."""
        return not self._reading and not self._wake.is_set()

    def _run(self) -> None:
        asked = True
        while not self._ended.is_set():
            if asked or not self.paused:
                self._reading = True
                self._read_once()
                self._reading = False
            asked = self._wake.wait(self.interval)
            self._wake.clear()

    def _read_once(self) -> None:
        try:
            facts, report = self._read()
            with self.state.lock:
                self.state.keep(facts, report)
        except AttuneOpsError as e:
            self.state.stale = str(e)
        if self._ended.is_set():
            return
        try:
            self._on_read(self.state)
        except Exception:
            log.exception("a tab of the dashboard failed")


class BackgroundTask:
    """One task at a time in a thread of its own, so that the kernel stays free."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()

    @property
    def busy(self) -> bool:
        """Whether a task is running."""
        return self._thread is not None and self._thread.is_alive()

    def run(self, act: Callable[[], object], done: Callable[[object], None]) -> bool:
        """Runs a task and calls `done` with its outcome, also an `AttuneOpsError`; False if another is running."""
        if self.busy:
            return False

        def go() -> None:
            try:
                outcome = act()
            except AttuneOpsError as e:
                outcome = e
            except KeyboardInterrupt:
                outcome = ActionError("stopped; its changes are undone")
            done(outcome)

        self._stopping.clear()
        self._thread = threading.Thread(target=go, name="attune-ops errand", daemon=True)
        self._thread.start()
        return True

    def check_interrupt(self) -> None:
        """Called by a task where it can be interrupted: raises `KeyboardInterrupt` once after `cancel`, to undo."""
        if self._stopping.is_set():
            self._stopping.clear()
            raise KeyboardInterrupt

    def cancel(self) -> None:
        """Requests the running task to stop at its next `check_interrupt`."""
        self._stopping.set()

    def stop(self, timeout: float = 60.0) -> None:
        """Cancels the task and waits at most `timeout` s until its changes are undone."""
        self.cancel()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout)
