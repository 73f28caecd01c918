"""`lab run`, as the quickstart runs it: its output, what keeps running, and what never does."""

from __future__ import annotations

import os
import re
import secrets
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from attune_ops import lab
from attune_ops.installation.config.running_lab import lab_folder
from attune_ops.lab.server import find
from attune_ops.model.errors import ConfigError
from tests.world import Run, eventually

DENIES = "deprecated_features.permit.transient_nonexcl_queues = false"


@pytest.fixture
def server() -> str | None:
    """The installation that the live tests run on."""
    from tests.conftest import lacking

    wanted = os.environ.get("ATTUNE_OPS_TEST_SERVER")
    try:
        find(wanted)
    except ConfigError as e:
        lacking(f"no broker to start: {e}")
    return wanted


@pytest.fixture
def words(server: str | None) -> Iterator[list[str]]:
    """`lab run` with a name of the test's own; whatever it left is taken down."""
    name = f"r{secrets.token_hex(4)}"
    yield ["lab", "run", "--name", name, *(["--server", server] if server else [])]
    lab.down(name)


ENVIRONMENT = "XDG_STATE_HOME"  # the command shares the state folder of this test run


def environment() -> dict[str, str]:
    return {ENVIRONMENT: os.environ[ENVIRONMENT]}


def stand_ins(name: str) -> list[int]:
    """The processes of that lab's stand-ins, by their open log files."""
    folder = str(lab_folder(name))
    found = []
    for process in Path("/proc").iterdir():
        if not process.name.isdecimal():
            continue
        try:
            files = [os.readlink(entry) for entry in (process / "fd").iterdir()]
            is_ours = b"attune_ops.startup.standins" in (process / "cmdline").read_bytes()
        except OSError:
            continue  # it has just ended, or is somebody else's
        if is_ours and any(file.startswith(folder) for file in files):
            found.append(int(process.name))
    return found


def test_the_main_job(run: Run, words: list[str]) -> None:
    done = run(*words, "--for", "3s", "--workers", "2", env=environment(), status=0, timeout=120)
    out = done.stdout
    for service in ("worker w1", "worker w2", "executor", "sensor", "notifier"):
        assert f"\n{service}\n" in out
    for step in ("connect", "setup", "register", "declare", "bind", "consume", "ready"):
        assert f" ✓ {step}" in out
    assert "✗" not in out
    for table in ("messages", "queues", "bindings", "workers", "orphans", "doctor"):
        assert f"\n{table}\n" in out
    sent = {line.split()[0]: line.split() for line in out.splitlines() if line.startswith(("executor", "sensor"))}
    assert int(sent["sensor"][1]) > 0
    published, confirmed = int(sent["executor"][1]), int(sent["executor"][2])
    assert published - 1 <= confirmed <= published, "each is confirmed, the last one maybe not yet"
    assert "no orphans" in out
    assert "! degraded: no problems except " in out
    story = out.partition("\nwhat happened\n")[2].splitlines()
    assert ": 2 workers, executor, sensor, notifier" in story[0]
    assert re.match(r"  \d+ messages published in 3 s, 0 returned", story[2])
    assert int(story[2].split()[0].replace(",", "")) >= published + int(sent["sensor"][1])
    assert re.match(r"  \d+ executions handled by workers; \d+ messages in 2 queues without a consumer", story[3])
    assert story[4] == ""
    following = out.partition("\ntry next\n")[2].splitlines()
    assert f"  a crash, measured  attune-ops --lab {words[3]} drill run worker-crash" in following
    name = words[3]
    assert not lab_folder(name).exists()
    assert stand_ins(name) == []


@pytest.mark.slow
def test_what_is_kept_runs_until_lab_down(run: Run, words: list[str]) -> None:
    """Also: where January's worker queues are refused, the 541 is explained and September's take their place."""
    name = words[3]
    options = ("--for", "1s", "--workers", "1", "--keep")
    done = run(*words, *options, "--set", DENIES, env=environment(), timeout=120)
    denied = done.returncode == 0
    if not denied:  # RabbitMQ 3 does not know the setting, and does not start with it
        assert done.returncode == 1
        assert not lab_folder(name).exists()
        done = run(*words, *options, env=environment(), status=0, timeout=120)
    assert ("541 INTERNAL_ERROR - Feature `transient_nonexcl_queues` is deprecated" in done.stdout) is denied
    assert ("Continuing with attune-2026-09" in done.stdout) is denied
    assert f"`attune-ops lab down --name {name}` stops it" in done.stdout
    running = 4  # a worker, the executor, the sensor, and January's notifier or September's API
    assert len(stand_ins(name)) == running
    again = run(*words, env=environment(), status=1, timeout=60)
    assert "has workers running (w1)" in again.stderr
    assert len(stand_ins(name)) == running
    broker = lab.Lab(name)
    node = broker.state.nodes[0].name
    broker.stop_node(node)
    broker.start_node(node, timeout=120)
    logs = list(Path(broker.state.folder, "services").glob("attune-2026-09-*.jsonl" if denied else "*.jsonl"))
    eventually(lambda: [log.read_text().count('"event":"ready"') for log in logs] == [2] * running)
    run("lab", "down", "--name", name, env=environment(), status=0)
    eventually(lambda: not stand_ins(name))


@pytest.mark.slow
def test_two_at_once(run: Run, words: list[str]) -> None:
    """The second neither uses nor stops the lab of the first."""
    arguments = (*words, "--for", "3s", "--workers", "1")
    with run.start(*arguments, env=environment()) as one, run.start(*arguments, env=environment()) as other:
        ended = {process.communicate(timeout=120)[1]: process.returncode for process in (one, other)}
    assert sorted(ended.values()) == [0, 1], ended
    refused = next(said for said, status in ended.items() if status)
    assert "has just been started by another command" in refused or "has workers running" in refused
    assert not lab_folder(words[3]).exists()


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["starting", "worker w1", "messages"])
def test_ctrl_c_takes_all_down(run: Run, words: list[str], moment: str) -> None:
    name = words[3]
    with run.start(*words, "--for", "60s", env=environment()) as process:
        stream = process.stderr if moment in ("starting", "messages") else process.stdout
        assert stream is not None
        while moment not in stream.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "Traceback" not in said
    assert not lab_folder(name).exists()
    assert stand_ins(name) == []
