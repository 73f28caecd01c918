"""A command line that is printed reaches the installation of the run that printed it."""

from __future__ import annotations

import msgspec
import pytest

from attune_ops.cli._pointed import pointed
from attune_ops.model.startup_progress import Step
from attune_ops.startup.startup_report import StartupReport, StepError, StepResult, StepStatus

PROD = {"env": "prod", "amqp_url": "amqp://u:secret@h", "topology": "my topology.toml"}
HERE = "--env prod --topology 'my topology.toml' "


@pytest.mark.parametrize(
    ("text", "becomes"),
    [
        ("attune-ops topology diff", f"attune-ops {HERE}topology diff"),
        ("undo: attune-ops policy remove p --apply", f"undo: attune-ops {HERE}policy remove p --apply"),
        ("cause: attune-ops doctor; what: `attune-ops reap`",
         f"cause: attune-ops {HERE}doctor; what: `attune-ops {HERE}reap`"),
        ("no lab is running: attune-ops lab up starts one", "no lab is running: attune-ops lab up starts one"),
        ("attune-ops: interrupted", "attune-ops: interrupted"),
        ("no such option; see attune-ops messages peek --help", "no such option; see attune-ops messages peek --help"),
        ("written to /home/me/attune-ops here", "written to /home/me/attune-ops here"),
    ],
)  # fmt: skip
def test_a_text(text: str, becomes: str) -> None:
    assert pointed(text, PROD) == becomes
    assert pointed(text, {"amqp_url": "amqp://u:secret@h"}) == text


def test_a_result_and_all_in_it() -> None:
    error = StepError(404, "attune-ops queues is the broker's own text", "", commands=("attune-ops workers",))
    report = StartupReport("worker", None, False, 1.0, (StepResult(Step.CONSUME, StepStatus.FAILED, 1.0, "", error),))
    (step,) = pointed(report, PROD).steps
    assert step.error == msgspec.structs.replace(error, commands=(f"attune-ops {HERE}workers",))
    assert pointed(report, {}) is report
