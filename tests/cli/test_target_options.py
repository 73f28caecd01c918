"""A command line that is printed reaches the installation of the run that printed it."""

from __future__ import annotations

import msgspec
import pytest

from attune_ops import render
from attune_ops.cli._target_options import with_target_options
from attune_ops.doctor.diagnose import diagnose
from attune_ops.model.command_lines import line
from attune_ops.model.startup_progress import Step
from attune_ops.startup.startup_report import StartupReport, StepError, StepResult, StepStatus
from tests.unit.doctor.checks.world import EXECUTIONS, healthy, without_queues

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
    assert with_target_options(text, PROD) == becomes
    assert with_target_options(text, {"amqp_url": "amqp://u:secret@h"}) == text
    assert with_target_options(text, {"database_url": "postgresql://h/db?password=secret"}) == text


def test_a_url_without_a_password_is_repeated() -> None:
    options = {"amqp_url": "amqp://ops@h/prod", "management_url": "http://ops:secret@h:15672"}
    assert with_target_options("attune-ops config show", options) == (
        "attune-ops --amqp-url amqp://ops@h/prod config show"
    )


def test_files_of_tls_are_repeated() -> None:
    options = {"ca_file": "/my ca.pem", "tls_server_name": "rabbit"}
    text = with_target_options("attune-ops topology diff", options)
    assert text == "attune-ops --ca-file '/my ca.pem' --tls-server-name rabbit topology diff"


def test_a_result_and_all_in_it() -> None:
    error = StepError(404, "attune-ops queues is the broker's own text", "", commands=("attune-ops workers",))
    report = StartupReport("worker", None, False, 1.0, (StepResult(Step.CONSUME, StepStatus.FAILED, 1.0, "", error),))
    (step,) = with_target_options(report, PROD).steps
    assert step.error == msgspec.structs.replace(error, commands=(f"attune-ops {HERE}workers",))
    assert with_target_options(report, {}) is report


def test_the_commands_of_findings() -> None:
    report = diagnose(without_queues(healthy(), EXECUTIONS))
    assert with_target_options(report, {"amqp_url": "amqp://u:secret@h"}) is report
    (before,) = [f for f in report.findings if f.code == "AT202"]
    (after,) = [f for f in with_target_options(report, PROD).findings if f.code == "AT202"]
    assert [str(c) for c in before.commands] == ["attune-ops topology apply --no-worker-queues --apply"]
    assert [str(c) for c in after.commands] == [f"attune-ops {HERE}topology apply --no-worker-queues --apply"]
    assert render.form(after, "json")["commands"] == [f"attune-ops {HERE}topology apply --no-worker-queues --apply"]
    assert line("lab", "up").with_target_options(PROD) == line("lab", "up")
