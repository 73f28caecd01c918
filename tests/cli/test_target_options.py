"""A command line that is printed reaches the installation of the run that printed it."""

from __future__ import annotations

import shlex

import msgspec
import pytest

from attune_ops import render
from attune_ops.cli._target_options import with_target_options
from attune_ops.doctor.diagnose import diagnose
from attune_ops.installation.config import resolve
from attune_ops.model.command_lines import line
from attune_ops.model.errors import ConfigError
from attune_ops.model.secret import MASK, scrub
from attune_ops.model.startup_progress import Step
from attune_ops.startup.startup_report import StartupReport, StepError, StepResult, StepStatus
from tests.unit.doctor.checks.world import EXECUTIONS, healthy, without_queues

PROD = {"env": "prod", "amqp_url": "amqp://u:secret@h", "topology": "my topology.toml"}
HERE = "--env prod --amqp-url 'amqp://u:***@h' --topology 'my topology.toml' "


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


@pytest.mark.parametrize(
    ("option", "url", "printed"),
    [
        ("amqp_url", "amqp://ops@h/prod", "amqp://ops@h/prod"),
        ("amqp_url", "amqp://ops:secret@h/prod", "'amqp://ops:***@h/prod'"),
        ("amqp_url", "amqp://ops:se'\"<cr>et@h/%2F", "'amqp://ops:***@h/%2F'"),
        ("amqp_url", "amqp://ops:s@cret@h:1/a@b", "'amqp://ops:***@h:1/a%40b'"),
        ("management_url", "http://ops:secret@h:15672", "'http://ops:***@h:15672'"),
        ("database_url", "sqlite:////var/registry.sqlite", "sqlite:////var/registry.sqlite"),
        ("database_url", "postgresql://ops:secret@h/db?sslmode=require",
         "'postgresql://ops:***@h/db?sslmode=require'"),
        ("database_url", "postgresql://h/db?user=ops&password=secret&sslpassword=secret",
         "'postgresql://h/db?user=***&password=***&sslpassword=***'"),
    ],
)  # fmt: skip
def test_a_url_is_repeated_without_its_password(option: str, url: str, printed: str) -> None:
    command = f"attune-ops --{option.replace('_', '-')} {printed} reap --apply"
    assert scrub(with_target_options("attune-ops reap --apply", {option: url}), ()) == command
    (word,) = shlex.split(printed)
    if MASK in word:  # as copied it runs nowhere, wherever the other settings lead
        with pytest.raises(ConfigError, match=r"^--[a-z-]+: replace \*\*\* by the password"):
            resolve({"amqp_url": "amqp://h", option: word}, {})


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
    (before,) = [f for f in report.findings if f.code == "AT202"]
    (after,) = [f for f in with_target_options(report, PROD).findings if f.code == "AT202"]
    assert [str(c) for c in before.commands] == ["attune-ops topology apply --no-worker-queues --apply"]
    assert [str(c) for c in after.commands] == [f"attune-ops {HERE}topology apply --no-worker-queues --apply"]
    assert render.form(after, "json")["commands"] == [f"attune-ops {HERE}topology apply --no-worker-queues --apply"]
    assert line("lab", "up").with_target_options(PROD) == line("lab", "up")
