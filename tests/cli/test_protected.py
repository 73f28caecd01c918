"""An environment that is protected wants its name typed, at a terminal or as an option, before anything changes."""

from __future__ import annotations

import os
import pty
import subprocess
from pathlib import Path

import pytest

from tests.world import COMMAND, Run, Vhost

CHANGES = (
    ("topology", "apply", "--apply"),
    ("startup", "--service", "sensor"),
    ("policy", "apply", "worker-queues", "--apply"),
    ("topology", "bind", "attune.events", "attune.executions.queue", "rule.#", "--apply"),
    ("topology", "unbind", "attune.events", "attune.events.queue", "#", "--apply"),
    ("messages", "drain", "attune.events.queue", "--to", "f", "--apply"),
    ("messages", "move", "attune.events.queue", "attune.notifications.queue", "--apply"),
    ("route", "attune.executions", "execution", "--canary"),
    ("messages", "peek", "attune.events.queue", "--reveal"),
)


@pytest.fixture
def protected(run: Run, vhost: Vhost) -> Run:
    text = f"""
        default_env = "prod"
        [env.prod]
        amqp_url = "{vhost.amqp_url}"
        management_url = "{vhost.management_url}"
        protected = true
    """
    (run.folder / "attune-ops.toml").write_text(text)
    run("topology", "apply", "--apply", "--confirm", "prod", "--topology", "attune-2026-01", status=0)
    return run


@pytest.mark.parametrize("change", CHANGES, ids=lambda c: " ".join(c[:2]))
def test_the_name_is_wanted(change: tuple[str, ...], protected: Run, vhost: Vhost) -> None:
    for wrong in ((), ("--confirm", "Prod"), ("--confirm", "")):
        done = protected(*change, *wrong, status=2)
        assert "'prod' is protected" in done.stderr
    assert not (protected.folder / "f").exists()
    vhost.api("GET", "policies/{vhost}/worker-queues", ok=(404,))
    protected(*change, "--confirm", "prod", status=0)


def test_at_a_terminal_it_is_asked_for(protected: Run, vhost: Vhost) -> None:
    for typed, status in (("staging", 2), ("prod", 0)):
        assert at_a_terminal(protected, typed, "policy", "apply", "worker-queues", "--apply") == status
    vhost.api("GET", "policies/{vhost}/worker-queues")


def at_a_terminal(run: Run, typed: str, *arguments: str | Path) -> int:
    """Runs the command with a terminal for its input, where somebody types a line; its exit status."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [str(COMMAND), *map(str, arguments)], stdin=theirs, cwd=run.folder, env=run.environment(),
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        os.write(ours, f"{typed}\n".encode())
        _, said = process.communicate(timeout=60)
    os.close(ours)
    os.close(theirs)
    assert b"'prod' is protected; type its name" in said
    return process.returncode
