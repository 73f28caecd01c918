"""`--watch SECONDS` of the commands that list something: in place at a terminal, again and again in a pipe."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess

import pytest

from tests.conftest import lacking
from tests.tmux import terminal
from tests.world import COMMAND, Run, Vhost, eventually

LISTS = ["queues", "bindings", "exchanges", "consumers", "workers", "orphans", "connections list", "health broker"]


@pytest.mark.parametrize("command", LISTS)
def test_at_no_interval(run: Run, vhost: Vhost, command: str) -> None:
    for time in ("0", "0.1", "nan", "-1"):
        done = run(*command.split(), f"--watch={time}", target=vhost, status=2)
        assert done.stdout == ""
        assert len(done.stderr.splitlines()) == 1


def test_again_and_again_in_a_pipe(run: Run, vhost: Vhost) -> None:
    with vhost.channel() as channel:
        channel.queue_declare("first")
        with run.start("queues", "--watch", "0.5", "--format", "json", target=vhost) as process:
            assert process.stdout is not None
            assert [r["name"] for r in json.loads(process.stdout.readline())["rows"]] == ["first"]
            channel.queue_declare("second")
            eventually(lambda: len(json.loads(process.stdout.readline())["rows"]) == 2)  # type: ignore[union-attr]
            process.send_signal(signal.SIGINT)
            assert process.wait(10) == 130
        with run.start("queues", "--watch", "0.5", "--columns", "name", target=vhost) as process:
            assert process.stdout is not None
            lines = [process.stdout.readline() for _ in range(12)]
            assert lines.count("first\n") >= 2
            assert "\n" in lines
            process.stdout.close()  # a closed pipe ends it
            assert process.wait(10) == 0


def test_in_place_at_a_terminal(run: Run, vhost: Vhost) -> None:
    if shutil.which("tmux") is None:
        lacking("no tmux")
    with terminal(run.environment(vhost), 100, 30) as at, vhost.channel() as channel:
        channel.queue_declare("first")
        at.type(f"{COMMAND} queues --watch 1; echo status=$?")
        at.shows("every 1 s", "Ctrl-C ends it", "first")
        channel.queue_declare("second")
        shown = at.shows("second")
        assert shown.count("first") == 1, "in place"
        at.press("C-c")
        at.shows("status=130")


def test_the_first_failure_ends_it(run: Run) -> None:
    env = {"ATTUNE_OPS_AMQP_URL": "amqp://u:p@127.0.0.1:1/", "ATTUNE_OPS_MANAGEMENT_URL": "http://127.0.0.1:2"}
    done: subprocess.CompletedProcess[str] = run("queues", "--watch", "1", env=env, status=3)
    assert len(done.stderr.splitlines()) == 1
