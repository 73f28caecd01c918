"""The result of each step of a start-up, the clean stop, and the report that holds them."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from attune_ops.model.display import Shown
from attune_ops.model.startup_progress import Step


class StepStatus(StrEnum):
    """The status of a step; a step that was skipped or not reached has the reason as its detail."""

    OK = "ok"
    FAILED = "failed"
    SKIPPED = "skipped"


class StepError(msgspec.Struct, frozen=True):
    """Why a step failed: the AMQP reply code where there is one, the original text, and what it means here.

    `unreachable`: broker or database could not be reached, or refused the credentials.
    """

    code: int | None
    text: str
    explanation: str
    commands: tuple[str, ...] = ()
    unreachable: bool = False


class StepResult(msgspec.Struct, frozen=True):
    """One step: what it did, or why it failed or was skipped."""

    step: Step
    status: StepStatus
    duration_ms: float
    detail: str
    error: StepError | None = None


class WorkerRef(msgspec.Struct, frozen=True):
    """The registered worker of a report."""

    id: int
    name: str


class Ending(Shown, msgspec.Struct, frozen=True):
    """A clean stop: what it stopped, and what remains."""

    stopped: tuple[str, ...] = ()
    left: tuple[str, ...] = ()


class StartupReport(Shown, msgspec.Struct, frozen=True, tag_field="schema", tag="attune-ops/startup/1"):
    """One start-up, step by step, and its clean stop; `ending` is None while the service runs.

    `ok`: no step failed. `runs`: it became ready, which it can with `--like-attune` after a refused set-up, too.
    """

    service: str
    worker: WorkerRef | None
    ok: bool
    duration_ms: float
    steps: tuple[StepResult, ...]
    ending: Ending | None = None
    runs: bool = False

    @property
    def failed(self) -> StepResult | None:
        """The step that failed first, or None."""
        return next((s for s in self.steps if s.status is StepStatus.FAILED), None)

    def result(self, step: Step) -> StepResult | None:
        """The result of a step, or None where the service does not have this step."""
        return next((s for s in self.steps if s.step is step), None)
