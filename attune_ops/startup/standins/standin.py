"""The life of a stand-in: its start-up, its loop, losing and finding the connection again, its end."""

from __future__ import annotations

import os
import random
import signal
import time
from typing import Any

from attune_ops.installation.amqp_write import BrokerRefused
from attune_ops.model.errors import AttuneOpsError
from attune_ops.startup.refusal import explained
from attune_ops.startup.sequence import Service
from attune_ops.startup.standins.job import Job
from attune_ops.startup.standins.log import Journal
from attune_ops.startup.standins.publishing import Publisher
from attune_ops.startup.steps import StepResult, StepStatus

TICK_S = 0.1  # how long the loop waits at most: SIGTERM is noticed within it
GRACE_S = 3  # after SIGTERM, for a publish that the broker does not answer
RETRY_S = (0.2, 0.5, 1.0, 2.0)  # the delays before a reconnect; the last one repeats


class Lost(Exception):
    """The connection, a channel or a consumer is gone; the start-up has to be taken again."""

    def __init__(self, code: int | None, text: str) -> None:
        self.code, self.text = code, text
        super().__init__(code, text)


class Stop(Exception):
    """SIGTERM came, and the grace for what was under way is over."""


class StandIn:
    """One stand-in process. A subclass says what it does with a message, and what it does on its own."""

    def __init__(self, job: Job, journal: Journal) -> None:
        self.job, self.behaviour, self.journal = job, job.behaviour, journal
        self.settings = job.settings()
        self.service = self._service()
        # Another seed for each service and name: message ids are repeatable, yet never the same twice.
        self.random = random.Random(f"{self.behaviour.seed}/{job.service}/{job.name}/{self.behaviour.first}")
        self.stopping = False
        self.cancelled = False
        self.publisher: Publisher | None = None

    def on_message(self, channel: Any, method: Any, properties: Any, body: bytes) -> None:
        """Takes one message; the base acknowledges it."""
        channel.basic_ack(method.delivery_tag)

    def on_lost(self) -> None:
        """Is told that the connection is gone, and with it all that was under way."""

    def act(self, publisher: Publisher) -> float:
        """Does what is due without a message; returns in how many seconds it is due again."""
        return TICK_S

    def run(self) -> int:
        """Lives until SIGTERM (0), or until it is lost and may not reconnect, or cannot start (1)."""
        signal.signal(signal.SIGTERM, self._on_sigterm)
        signal.signal(signal.SIGALRM, _end_of_grace)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for whoever started it, who then stops it in order
        attempt = 0
        while not self.stopping:
            ready_at = self._live_once()
            if self.stopping or not self.behaviour.reconnect:
                break
            attempt = 0 if ready_at is not None and time.monotonic() - ready_at > RETRY_S[-1] else attempt + 1
            self.journal.write("reconnecting", attempt=attempt)
            self._pause(RETRY_S[min(attempt, len(RETRY_S) - 1)])
            self.service = self._service()
        return 0 if self.stopping else 1

    def _service(self) -> Service:
        b = self.behaviour
        return Service(
            self.settings,
            self.job.service,
            name=self.job.name or None,
            concurrency=b.concurrency,
            prefetch=b.prefetch,
            amqp_heartbeat=b.amqp_heartbeat,
            skip=b.skip,
            on_step=self._on_step,
            on_message=lambda *message: self.on_message(*message),
            explain=explained,
        )

    def _live_once(self) -> float | None:
        """One start-up and the time after it; returns when it was ready, or None where it did not get there."""
        ready_at = None
        try:
            if self.service.start().ok:
                ready_at = time.monotonic()
                worker = self.service.worker
                self.journal.write("ready", worker=worker.id if worker else None)
                with self.service.heartbeats(self._on_heartbeat_failure):
                    self._loop()
        except Lost as e:
            self.journal.write("lost", code=e.code, text=e.text)
            self.on_lost()
        except Stop:
            self.service.abandon()
        finally:
            self._end()
        return ready_at

    def _loop(self) -> None:
        connection = self.service.connection
        # Below pika's blocking layer, which tells it only between two publishes: the blocked one never returns.
        below = connection._impl
        below.add_on_connection_blocked_callback(lambda _, frame: self.journal.write("blocked", text=_reason(frame)))
        below.add_on_connection_unblocked_callback(lambda _, frame: self.journal.write("unblocked"))
        for attached in self.service.attached:
            attached.channel.add_on_cancel_callback(self._on_cancel)
        try:
            self.publisher = Publisher(connection, self.job, self.journal, self.random)
            while not self.stopping:
                wait = self.act(self.publisher)
                self.service.serve(max(0.0, min(wait, TICK_S)))
                if self.cancelled and self.behaviour.reconnect:
                    self.cancelled = False
                    raise Lost(None, "a consumer was cancelled by the broker")
        except BrokerRefused as e:
            raise Lost(e.code, e.text) from None

    def _on_cancel(self, frame: Any) -> None:
        self.cancelled = True
        tag = frame.method.consumer_tag
        self.journal.write("cancelled", tag=tag.decode() if isinstance(tag, bytes) else tag)

    def _on_heartbeat_failure(self, error: AttuneOpsError) -> None:
        self.journal.write("heartbeat_failed", text=str(error))

    def _end(self) -> None:
        """Stops where it was told to. Otherwise it only disconnects, as a crash does: its row stays active.

        A broker that does not answer gets some seconds for it.
        """
        signal.alarm(GRACE_S)
        try:
            if not self.stopping:
                self.service.disconnect()
                return
            ending = self.service.stop()
        except Stop:
            self.service.abandon()
            if not self.stopping:
                return
            ending = self.service.stop()
        finally:
            signal.alarm(0)
        self.journal.write("stopped", done=ending.stopped, left=ending.left)

    def _pause(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while not self.stopping and time.monotonic() < until:
            time.sleep(0.05)

    def _on_step(self, step: StepResult) -> None:
        self.journal.write("step", **_plain(step))
        if step.status is StepStatus.OK and step.step is self.behaviour.crash_after:
            self.journal.write("crashing", step=step.step)
            os.kill(os.getpid(), signal.SIGKILL)

    def _on_sigterm(self, number: int, frame: object) -> None:
        if not self.stopping:
            self.journal.write("stopping")
        self.stopping = True
        signal.alarm(GRACE_S)


def _end_of_grace(number: int, frame: object) -> None:
    raise Stop


def _reason(frame: Any) -> str:
    reason = frame.method.reason
    return reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)


def _plain(step: StepResult) -> dict[str, Any]:
    import msgspec

    plain: dict[str, Any] = msgspec.to_builtins(step)
    return plain
