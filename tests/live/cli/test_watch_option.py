"""`--watch TIME` of the commands that list something: in place at a terminal, again and again in a pipe."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from pathlib import Path

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
            assert process.wait(60) == 130
        with run.start("queues", "--watch", "0.5", "--columns", "name", target=vhost) as process:
            assert process.stdout is not None
            lines = [process.stdout.readline() for _ in range(12)]
            assert lines.count("first\n") >= 2
            assert "\n" in lines
            process.stdout.close()  # a closed pipe ends it
            assert process.wait(60) == 0


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


@pytest.fixture
def blind(run: Run, vhost: Vhost, tmp_path: Path) -> dict[str, str]:
    """An environment whose registry cannot be read."""
    file = tmp_path / "registry.sqlite"
    file.write_text("not a database")
    return run.environment(vhost, env={"ATTUNE_OPS_DATABASE_URL": f"sqlite:///{file}"})


def test_what_a_reading_does_not_see(run: Run, blind: dict[str, str]) -> None:
    """It is named beside each table, and gives the exit status, as without --watch."""
    assert "not seen: " in run("queues", env=blind, status=3).stderr
    with run.start("queues", "--watch", "0.5", "--format", "json", env=blind) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        for _ in range(2):
            assert json.loads(process.stdout.readline())["name"] == "queues"
            assert process.stderr.readline().startswith("attune-ops: not seen: registry")
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 3
    with run.start("queues", "--watch", "0.5", "--format", "json", env=blind) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(60) == 3
    with run.start("health", "route", "no such", "key", "--watch", "0.5", env=blind) as process:
        assert process.stdout is not None
        assert "not healthy" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 1
    with run.start("watch", "--json-lines", "--interval", "1s", env=blind) as process:
        assert process.stdout is not None
        assert "registry" in json.loads(process.stdout.readline())["reason"]
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 3
    run("watch", "--json-lines", "--interval", "1s", "--for", "1s", env=blind, status=3)
    run("watch", "--lines", "--interval", "1s", "--for", "1s", env=blind, status=0)  # which show no workers


def test_what_a_terminal_does_not_see(blind: dict[str, str]) -> None:
    if shutil.which("tmux") is None:
        lacking("no tmux")
    with terminal(blind, 100, 30) as at:
        at.type(f"{COMMAND} queues --watch 1; echo status=$?")
        at.shows("every 1 s", "× not seen: registry")
        at.press("C-c")
        at.shows("status=3")
        at.type(f"{COMMAND} watch --interval 1s; echo status=$?")
        at.shows("? unknown: registry")
        at.press("q")
        at.shows("status=3")
