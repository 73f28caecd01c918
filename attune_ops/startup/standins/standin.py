"""The process loop of a stand-in: its start-up, serving, reconnecting, and its stop."""

from __future__ import annotations

import os
import random
import signal
import time
from typing import Any

import msgspec

from attune_ops.installation.amqp_write import BrokerRefused
from attune_ops.model.errors import AttuneOpsError
from attune_ops.startup.sequence import explained
from attune_ops.startup.service import Service
from attune_ops.startup.standins.job import EventLog, Job
from attune_ops.startup.standins.publishing import EnvelopePublisher
from attune_ops.startup.startup_report import StepResult, StepStatus

TICK_S = 0.1  # the longest wait of the loop, within which it notices SIGTERM
GRACE_S = 3  # after SIGTERM, for a publish that the broker does not confirm
RETRY_S = (0.2, 0.5, 1.0, 2.0)  # the delays before a reconnect; the last one repeats


class Lost(Exception):
    """The connection, a channel or a consumer is gone; the start-up has to run again."""

    def __init__(self, code: int | None, text: str) -> None:
        self.code, self.text = code, text
        super().__init__(code, text)


class Stop(Exception):
    """The grace period after SIGTERM is over."""


class StandIn:
    """One stand-in process. A subclass defines what it does with a message, and what it does on its own."""

    def __init__(self, job: Job, log: EventLog) -> None:
        self.job, self.behaviour, self.log = job, job.behaviour, log
        self.settings = job.settings
        self.service = self._service()
        # A seed for each service and name: message ids are repeatable, and two processes have different ones.
        self.random = random.Random(f"{self.behaviour.seed}/{job.service}/{job.name}/{self.behaviour.first}")
        self.stopping = False
        self.cancelled = False
        self.publisher: EnvelopePublisher | None = None

    def on_message(self, channel: Any, method: Any, properties: Any, body: bytes) -> None:
        """Receives one message; the base acknowledges it."""
        channel.basic_ack(method.delivery_tag)

    def on_lost(self) -> None:
        """Called when the connection is gone, and every unacknowledged message with it."""

    def on_ready(self) -> None:
        """Called when its start-up, or the one after a lost connection, is complete."""

    @property
    def unfinished(self) -> bool:
        """Whether a clean stop has to wait for something."""
        return False

    def act(self, publisher: EnvelopePublisher) -> float:
        """Does what is due without a message; returns the seconds until it is due again."""
        return TICK_S

    def run(self) -> int:
        """Runs until SIGTERM (returns 0), or until it cannot start or is lost and does not reconnect (1)."""
        signal.signal(signal.SIGTERM, self._on_sigterm)
        signal.signal(signal.SIGALRM, _end_of_grace)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent process, which stops it in order
        attempt = 0
        while not self.stopping:
            ready_at = self._run_once()
            if self.stopping or not self.behaviour.reconnect or self.log.is_deleted:
                break
            attempt = 0 if ready_at is not None and time.monotonic() - ready_at > RETRY_S[-1] else attempt + 1
            self.log.write("reconnecting", attempt=attempt)
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

    def _run_once(self) -> float | None:
        """One start-up and the time after it; returns when it was ready, or None where the start-up failed."""
        ready_at = None
        try:
            if self.service.start().ok:
                ready_at = time.monotonic()
                worker = self.service.state.worker
                self.log.write("ready", worker=worker.id if worker else None)
                with self.service.heartbeats(self._on_heartbeat_failure):
                    self._loop()
        except Lost as e:
            self.log.write("lost", code=e.code, text=e.text)
            self.on_lost()
        except Stop:
            self.service.abandon()
        finally:
            self._end()
        return ready_at

    def _loop(self) -> None:
        connection = self.service.state.connection
        # Below pika's blocking layer, which reports it only between two publishes: the blocked one never returns.
        below = connection._impl
        below.add_on_connection_blocked_callback(lambda _, frame: self.log.write("blocked", text=_reason(frame)))
        below.add_on_connection_unblocked_callback(lambda _, frame: self.log.write("unblocked"))
        for consumer in self.service.state.consumers:
            consumer.channel.add_on_cancel_callback(self._on_cancel)
        try:
            self.publisher = EnvelopePublisher(connection, self.job, self.log, self.random)
            self.on_ready()
            while not self.stopping or self.unfinished:
                wait = TICK_S if self.stopping else self.act(self.publisher)
                self.service.serve(max(0.0, min(wait, TICK_S)))
                if self.cancelled and self.behaviour.reconnect:
                    self.cancelled = False
                    raise Lost(None, "the broker cancelled a consumer")
        except BrokerRefused as e:
            raise Lost(e.code, e.text) from None

    def _on_cancel(self, frame: Any) -> None:
        self.cancelled = True
        tag = frame.method.consumer_tag
        self.log.write("cancelled", tag=tag.decode() if isinstance(tag, bytes) else tag)

    def _on_heartbeat_failure(self, error: AttuneOpsError) -> None:
        self.log.write("heartbeat_failed", text=str(error))

    def _end(self) -> None:
        """Stops cleanly after SIGTERM. Otherwise it only disconnects, as a crash does: its row stays active.

        A broker that does not answer has `GRACE_S` for it.
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
        self.log.write("stopped", done=ending.stopped, left=ending.left)

    def _pause(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while not self.stopping and time.monotonic() < until:
            time.sleep(0.05)

    def _on_step(self, step: StepResult) -> None:
        self.log.write("step", **msgspec.to_builtins(step))
        if step.status is StepStatus.OK and step.step is self.behaviour.crash_after:
            self.log.write("crashing", step=step.step)
            os.kill(os.getpid(), signal.SIGKILL)

    def _on_sigterm(self, number: int, frame: object) -> None:
        if not self.stopping:
            self.log.write("stopping")
        self.stopping = True
        signal.alarm(GRACE_S)


def _end_of_grace(number: int, frame: object) -> None:
    raise Stop


def _reason(frame: Any) -> str:
    reason = frame.method.reason
    return reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
