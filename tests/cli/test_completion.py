"""Completion in a real bash, and the words that the shells are given."""

from __future__ import annotations

import subprocess

import pytest

from attune_ops.cli import _exit
from attune_ops.cli._main import main
from tests.world import COMMAND, Run

ENVIRONMENTS = """
[env.prod]
amqp_url = "amqp://h/"
[env.staging]
amqp_url = "amqp://h/"
[env."$(touch owned)"]
amqp_url = "amqp://h/"
"""


def completed(run: Run, *words: str, **env: str) -> list[str]:
    """What a real bash offers once these words are typed and Tab is pressed on the last."""
    typed = " ".join(f"'{w}'" for w in words)
    script = f"""
        source <(attune-ops completion bash)
        COMP_WORDS=({typed}); COMP_CWORD={len(words) - 1}
        _attune_ops_completion attune-ops
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    environment = run.environment(env=env)
    environment["PATH"] = f"{COMMAND.parent}:{environment['PATH']}"
    done = subprocess.run(
        ["bash", "--norc", "-c", script],
        capture_output=True,
        text=True,
        cwd=run.folder,
        env=environment,
        check=True,
        timeout=60,
    )
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["attune-ops", "qu"], ["queues"]),
        (["attune-ops", "lab", "st"], ["status"]),
        (["attune-ops", "queues", "--form"], ["--format"]),
        (["attune-ops", "queues", "--format", "c"], ["csv"]),
        (["attune-ops", "queues", "--columns", "name,mess"], ["name,messages"]),
        (["attune-ops", "queues", "--sort", "name,-mess"], ["name,-messages"]),
        (["attune-ops", "doctor", "--topology", "attune-2026-0"], ["attune-2026-01", "attune-2026-09"]),
        (["attune-ops", "--topology", "attune-2026-09", "ex"], ["exchanges", "explain"]),
        (["attune-ops", "nope", "x"], []),
        (["attune-ops", "workers", "w"], []),
    ],
)
def test_bash_completes(words: list[str], offered: list[str], run: Run) -> None:
    assert completed(run, *words) == offered


def test_environments_but_none_that_a_shell_would_act_on(run: Run) -> None:
    (run.folder / "attune-ops.toml").write_text(ENVIRONMENTS)
    assert completed(run, "attune-ops", "queues", "--env", "") == ["prod", "staging"]
    (run.folder / "attune-ops.toml").write_text("not TOML")
    assert completed(run, "attune-ops", "queues", "--env", "") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_its_script(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == _exit.OK
    assert f"_ATTUNE_OPS_COMPLETE={shell}_complete" in capsys.readouterr().out
