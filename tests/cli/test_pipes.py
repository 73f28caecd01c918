"""A reader that leaves early changes neither what a command does nor how it ends."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import IO

import pytest

from tests.world import clean_environment

NOBODY = ["--amqp-url", "amqp://x:y@127.0.0.1:1"]


def status_unread(
    tmp_path: Path, arguments: list[str], *, stderr_too: bool = False, stdin: IO[bytes] | None = None
) -> int:
    """The exit status of a command whose output goes into a pipe that nobody reads."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        return subprocess.run(
            [sys.executable, "-m", "attune_ops", *arguments],
            stdin=subprocess.DEVNULL if stdin is None else stdin,
            stdout=writer,
            stderr=writer if stderr_too else subprocess.DEVNULL,
            env=clean_environment(tmp_path),
            check=False,
            timeout=60,
        ).returncode
    finally:
        os.close(writer)


@pytest.mark.parametrize("command", ["startup --service sensor", "doctor", "health broker"])
@pytest.mark.parametrize("stderr_too", [False, True])
def test_a_failure_stays_one(tmp_path: Path, command: str, stderr_too: bool) -> None:
    assert status_unread(tmp_path, [*NOBODY, *command.split()], stderr_too=stderr_too) == 3


def test_what_went_well_stays_so(tmp_path: Path) -> None:
    assert status_unread(tmp_path, ["topology", "list"]) == 0


def test_an_endless_batch_ends(tmp_path: Path) -> None:
    """Its status is that of what was asked until then."""
    file = tmp_path / "definitions.json"
    file.write_text('{"queues": [], "exchanges": [], "bindings": []}')
    question = '{"exchange": "", "routing_key": "x"}'
    with subprocess.Popen(["yes", question], stdout=subprocess.PIPE) as endless:
        try:
            assert status_unread(tmp_path, ["route", "--from", str(file), "--batch", "-"], stdin=endless.stdout) == 0
        finally:
            endless.kill()
