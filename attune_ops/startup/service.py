"""A stand-in for one service of Attune: its start-up, its heartbeats and its clean stop."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Self

from attune_ops.installation import registry_write
from attune_ops.installation.amqp import close
from attune_ops.installation.amqp_write import BrokerRefused, OnMessage, asking
from attune_ops.installation.config.settings import Settings
from attune_ops.model.errors import ActionError, AttuneOpsError, SourceError
from attune_ops.model.startup_progress import Step, steps_of
from attune_ops.startup.clean_stop import stop
from attune_ops.startup.service_state import ServiceState
from attune_ops.startup.startup_report import Ending, StartupReport, StepError, StepResult, StepStatus, WorkerRef
from attune_ops.startup.steps import CONSEQUENCES, NOT_DONE, STEPS

OnStep = Callable[[StepResult], None]
Explain = Callable[[BrokerRefused, Settings, Collection[Step]], StepError]

CONCURRENCY = 8  # what a worker registers where nothing else is given


def ignore(step: StepResult) -> None:
    """Does nothing with a step."""


class Service:
    """A stand-in for one service of Attune: `start` runs its steps, `stop` ends it as cleanly as Attune does.

    As a context manager it stops at the end whatever happens. `name` is a worker's name in the registry; `skip` are
    steps to skip; `on_step` is called with each result; `explain` turns a refusal of the broker into the error of a
    step (see `attune_ops.startup.sequence`). With `like_attune` the start-up goes on after a refused set-up: Attune's
    own services log a warning and go on. The other options are those of `ServiceState`.
    """

    def __init__(
        self,
        settings: Settings,
        service: str,
        *,
        name: str | None = None,
        concurrency: int = CONCURRENCY,
        prefetch: int | None = None,
        amqp_heartbeat: int | None = None,
        skip: Collection[Step] = (),
        on_step: OnStep = ignore,
        on_message: OnMessage | None = None,
        guard: registry_write.Guard | None = None,
        explain: Explain | None = None,
        like_attune: bool = False,
    ) -> None:
        own_name = name or settings.own_worker if service == "worker" else service
        self.steps = steps_of(settings.topology, service)
        self.skip = frozenset(skip)
        self.state = ServiceState(settings, service, own_name, concurrency, prefetch, amqp_heartbeat, on_message, guard)
        self._on_step, self._explain, self._like_attune = on_step, explain, like_attune

    def start(self) -> StartupReport:
        """Runs the steps in order, up to the first that ends the start-up; `stop` undoes what they change."""
        import pika  # noqa: F401 - loaded before the clock starts

        results: list[StepResult] = []
        for step in self.steps:
            ended = next((r for r in results if r.status is StepStatus.FAILED and not self._goes_on_after(r)), None)
            results.append(self.run_step(step, ended))
            self._on_step(results[-1])
        worker, failed = self.state.worker, [r for r in results if r.status is StepStatus.FAILED]
        return StartupReport(
            service=self.state.service,
            worker=WorkerRef(worker.id, worker.name) if worker else None,
            ok=not failed,
            duration_ms=round(sum(r.duration_ms for r in results), 3),
            steps=tuple(results),
            runs=results[-1].status is not StepStatus.FAILED and all(map(self._goes_on_after, failed)),
        )

    def _goes_on_after(self, failed: StepResult) -> bool:
        """Whether the start-up goes on although this step failed."""
        return self._like_attune and failed.step is Step.SETUP

    def serve(self, seconds: float) -> None:
        """Handles messages, timers and heartbeats of the connection for at most that long.

        Raises `BrokerRefused` where the connection or a channel is closed. The broker closes a consumer's channel
        (delivery acknowledgement timeout) while the connection stays open, and pika does not raise for it.
        """
        with asking("serving the connection"):
            self.state.connection.process_data_events(time_limit=seconds)
            for consumer in self.state.consumers:
                if consumer.channel.is_closed:
                    raise consumer.channel._closing_reason or ActionError(f"the channel of {consumer.tag} is closed")

    @contextmanager
    def heartbeats(self, on_failure: Callable[[AttuneOpsError], None]) -> Iterator[None]:
        """Keeps a registered worker's heartbeat fresh inside the block, from a thread as in Attune's services.

        `on_failure` is called in the thread for each heartbeat that fails. Does nothing without a registered worker,
        or where a known row was left as it is.
        """
        worker, settings, closed = self.state.worker, self.state.settings, threading.Event()
        if worker is None or not worker.written:
            yield
            return

        def beat() -> None:
            while not closed.wait(settings.heartbeat_interval):
                try:
                    registry_write.heartbeat(
                        self.state.database, worker.id, worker.status, timeout=settings.heartbeat_interval
                    )
                except AttuneOpsError as e:
                    on_failure(e)

        thread = threading.Thread(target=beat, name=f"heartbeats of worker {worker.id}", daemon=True)
        thread.start()
        try:
            yield
        finally:
            closed.set()
            thread.join()  # none is under way afterwards, so that it cannot undo a clean stop

    def stop(self) -> Ending:
        """Stops the service cleanly, as Attune's services stop; see `clean_stop.stop`."""
        return stop(self.state)

    def abandon(self) -> None:
        """Drops a connection that does not answer: a broker that blocks a connection stops reading from it.

        The broker requeues what was not acknowledged.
        """
        if self.state.amqp is not None:
            close(self.state.amqp, timeout=0)
        self.state.forget_connection()

    def disconnect(self) -> None:
        """Closes the connection only: consumers and auto-delete queues are gone, the worker stays registered."""
        if self.state.amqp is not None:
            close(self.state.amqp)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def run_step(self, step: Step, failed: StepResult | None) -> StepResult:
        """Runs one step and returns its result; after a `failed` one it is not reached."""
        if failed is not None:
            return StepResult(step, StepStatus.SKIPPED, 0.0, f"not reached: {failed.step} failed")
        if step in self.skip:
            return StepResult(step, StepStatus.SKIPPED, 0.0, f"skipped on request{CONSEQUENCES.get(step, '')}")
        began = time.perf_counter()
        try:
            detail = STEPS[step](self.state)
        except AttuneOpsError as e:
            self.state.forget_closed_channel()
            return StepResult(step, StepStatus.FAILED, _ms_since(began), str(e), self._error(step, e))
        return StepResult(step, StepStatus.OK, _ms_since(began), detail)

    def _error(self, step: Step, error: AttuneOpsError) -> StepError:
        if not isinstance(error, BrokerRefused):
            return StepError(None, str(error), NOT_DONE.get(step, ""), unreachable=isinstance(error, SourceError))
        if self._explain is None:
            return StepError(error.code, error.text, "")
        return self._explain(error, self.state.settings, self.skip)


def _ms_since(began: float) -> float:
    return round((time.perf_counter() - began) * 1000, 3)
