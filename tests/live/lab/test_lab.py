"""The lab: what it starts, what it never touches, and how it survives whatever happened to it."""

from __future__ import annotations

import json
import os
import secrets
import signal
import stat
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import msgspec
import pytest

from attune_ops import lab
from attune_ops.installation.config.running_lab import (
    LabNode,
    Process,
    RunningLab,
    lab_folder,
    read,
    read_state,
    start_time,
)
from attune_ops.lab import folder as files
from attune_ops.lab.process import _BARRIER
from attune_ops.lab.server import find
from attune_ops.model.errors import ActionError, ConfigError
from tests.world import Broker, Run, eventually

IPV4_LOOPBACK, IPV6_LOOPBACK = "0100007F", "00000000000000000000000001000000"


@pytest.fixture
def name() -> Iterator[str]:
    """The name of a lab of the test's own, taken down after it."""
    made = f"t{secrets.token_hex(4)}"
    yield made
    lab.down(made)


@pytest.fixture
def server() -> str | None:
    """The installation that the live tests run on; the broker fixture's rule says what happens without any."""
    from tests.conftest import lacking

    wanted = os.environ.get("ATTUNE_OPS_TEST_SERVER")
    try:
        find(wanted)
    except ConfigError as e:
        lacking(f"no broker to start: {e}")
    return wanted


def options(server: str | None) -> list[str]:
    return ["--server", server] if server else []


def environment() -> dict[str, str]:
    """The command shares the state folder of this test run."""
    return {"XDG_STATE_HOME": os.environ["XDG_STATE_HOME"]}


def listening(pid: int) -> set[str]:
    """The local addresses, as the kernel writes them, on which a process listens."""
    sockets = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            sockets.add(os.readlink(entry).removeprefix("socket:[").removesuffix("]"))
        except FileNotFoundError:
            continue
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in sockets:
                found.add(fields[1].partition(":")[0])
    return found


def test_up_status_down(run: Run, name: str, server: str | None) -> None:
    up = run("lab", "up", "--name", name, *options(server), env=environment(), status=0)
    state = read(name)
    assert state is not None
    password = state.password.reveal()
    assert password not in up.stdout + up.stderr + json.dumps(msgspec.to_builtins(state))
    assert "is ready after" in up.stderr
    for path in (state.password_file, Path(state.folder, "state.json"), Path(state.node.folder, "rabbitmq.conf")):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert stat.S_IMODE(Path(state.folder).stat().st_mode) == 0o700

    broker = Broker(state.amqp_url, state.management_url)
    assert broker.api("GET", "whoami").json()["name"] == "attune"
    with broker.vhost() as vhost, vhost.channel() as channel:
        channel.queue_declare("", exclusive=True)
    assert broker.session.get(f"{broker.management_url}/api/whoami", auth=("guest", "guest")).status_code == 401

    assert state.node.process is not None
    assert state.epmd is not None
    if Path("/proc/self/net/tcp").exists():  # Linux's tables of sockets
        assert listening(state.node.process.pid) == {IPV4_LOOPBACK}
        assert listening(state.epmd.pid) <= {IPV4_LOOPBACK, IPV6_LOOPBACK}

    again = run("lab", "up", "--name", name, env=environment(), status=0)
    assert "is already running" in again.stderr
    assert read(name) == state
    rows = json.loads(run("lab", "status", "--name", name, "--format", "json", env=environment(), status=0).stdout)
    assert [(r["node"], r["state"], r["amqp_url"]) for r in rows["rows"]] == [
        ("attune-1@localhost", "running", f"amqp://attune:***@127.0.0.1:{state.node.amqp_port}/%2F")
    ]

    refused = run("lab", "up", "--name", name, "--nodes", "2", env=environment(), status=1)
    assert "is already running with 1 node:" in refused.stderr

    run("lab", "down", "--name", name, env=environment(), status=0)
    assert not any(n.alive for n in state.nodes)
    assert not state.epmd.alive
    assert not Path(state.folder).exists()
    assert "no lab" in run("lab", "down", "--name", name, env=environment(), status=0).stderr
    run("lab", "status", "--name", name, env=environment(), status=1)


@pytest.mark.slow
def test_nodes_are_stopped_killed_suspended_and_started_again(name: str, server: str | None) -> None:
    made = lab.up(name, server=server, config=["channel_max = 7"])
    node = made.state.node.name
    broker = Broker(made.state.amqp_url, made.state.management_url)
    with broker.vhost("kept") as vhost:
        with vhost.channel() as channel:
            channel.queue_declare("durable", durable=True)
        assert "channel_max,7" in made.ctl("environment")
        # A queue that was declared just before a kill can be gone (drill declare-then-kill).
        made.ctl("eval", "mnesia:sync_log().")

        made.suspend_node(node)
        assert made.node(node).alive
        made.resume_node(node)
        assert broker.api("GET", "whoami").ok

        killed = made.node(node).process
        assert killed is not None
        made.kill_node(node)
        with pytest.raises(ChildProcessError):  # no zombie is left of it
            os.waitpid(killed.pid, os.WNOHANG)
        assert read(name) is None
        assert lab.status(name).column("state") == ("down",)
        with pytest.raises(ActionError, match="is not running"):
            made.suspend_node(node)

        made.start_node(node, config=["channel_max = 9"])
        assert "channel_max,9" in made.ctl("environment")
        assert [q["name"] for q in vhost.api("GET", "queues/{vhost}?columns=name").json()] == ["durable"]
    with pytest.raises(ConfigError, match=node):
        made.stop_node("attune-9@localhost")


@pytest.mark.slow
def test_the_remains_of_a_killed_lab_are_removed(name: str, server: str | None) -> None:
    first = lab.up(name, server=server).state
    lab.Lab(name).kill_node(first.node.name)
    notes: list[str] = []
    second = lab.up(name, server=server, note=notes.append).state
    assert f"removing the remains of lab {name!r}" in notes
    assert first.epmd is not None
    assert not first.epmd.alive
    assert second.node.alive

    # Everything is killed, as by a reboot or an out-of-memory killer.
    killed = [p for p in (second.node.process, second.epmd) if p is not None]
    for process in killed:
        os.kill(process.pid, signal.SIGKILL)
    eventually(lambda: not any(p.alive for p in killed))
    assert lab.down(name)
    assert not lab.down(name)


@pytest.mark.slow
def test_several_at_once(run: Run, name: str, server: str | None) -> None:
    other = f"{name}-other"

    def start(which: str) -> subprocess.CompletedProcess[str]:
        return run("lab", "up", "--name", which, *options(server), env=environment(), status=0, timeout=120)

    try:
        with ThreadPoolExecutor() as pool:
            done = list(pool.map(start, (name, name, other)))
        assert sorted("is already running" in d.stderr for d in done) == [False, False, True]
        mine, others = read(name), read(other)
        assert mine is not None
        assert others is not None
        assert not ports(mine) & ports(others)
    finally:
        lab.down(other)


def ports(state: RunningLab) -> set[int]:
    own = {p for n in state.nodes for p in (n.amqp_port, n.management_port, n.prometheus_port, n.distribution_port)}
    return own | {state.epmd_port}


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_up(run: Run, name: str, server: str | None, how: signal.Signals) -> None:
    with run.start("lab", "up", "--name", name, *options(server), env=environment()) as up:
        state = eventually(lambda: (s := read_state(name)) and s.nodes[0].process and s)
        assert state.epmd.alive
        assert not state.ready
        eventually(lambda: told_to_go(state.nodes[0].process))  # before that the node would end with the pipe
        up.send_signal(how)
        assert up.wait(60) == (130 if how == signal.SIGINT else -signal.SIGKILL)
    if how == signal.SIGKILL:  # nobody could undo it: that is for the next one
        assert read(name) is None
        assert lab.status(name).column("state") == ("half-started",)
        assert lab.down(name)
    assert not state.nodes[0].alive
    assert not state.epmd.alive
    assert not Path(state.folder).exists()


def told_to_go(process: Process) -> bool:
    """Whether it runs the broker's program, and no longer the shell that waits for the word to do so."""
    return _BARRIER not in Path(f"/proc/{process.pid}/cmdline").read_text()


def test_a_recycled_id_is_never_signalled(name: str) -> None:
    with subprocess.Popen(["sleep", "60"]) as mine, subprocess.Popen(["sleep", "60"]) as stranger:
        try:
            started = start_time(mine.pid)
            assert started is not None
            crafted(name, Process(mine.pid, started), Process(stranger.pid, "an earlier time"))
            assert lab.down(name)
            assert start_time(mine.pid) is None
            assert stranger.poll() is None
        finally:
            stranger.kill()
            mine.kill()


def crafted(name: str, *processes: Process) -> RunningLab:
    """Writes the state file of a lab that has these processes."""
    folder = lab_folder(name)
    folder.parent.mkdir(parents=True, exist_ok=True)
    files.make(folder)
    nodes = tuple(LabNode(f"attune-{i}@localhost", str(folder), 1, 2, 3, 4, p) for i, p in enumerate(processes))
    return files.save(
        RunningLab(
            name=name,
            folder=str(folder),
            server="/nowhere",
            user="attune",
            nodes=nodes,
            epmd_port=5,
            created=datetime.now(UTC),
            ready=True,
        )
    )


def test_a_state_file_that_is_none(run: Run, name: str) -> None:
    crafted(name)
    Path(lab_folder(name), "state.json").write_text('{"name": 7}')
    assert "is not the state file" in run("lab", "status", "--name", name, env=environment(), status=1).stdout
    assert "is not the state file" in run("lab", "down", "--name", name, env=environment(), status=0).stderr
    assert not lab_folder(name).exists()


@pytest.mark.parametrize(
    ("printed", "shown"),
    [
        ("ERROR: no luck today\n\nERROR: next", r"ERROR: no luck today \("),
        (
            "Error: {error,\n          {no_luck,\n            [today]}}\n\nnext",
            r"Error: \{error, \{no_luck, \[today\]\}\} \(",
        ),
    ],
)
def test_a_broker_that_does_not_start_is_undone_and_its_error_shown(
    printed: str, shown: str, name: str, tmp_path: Path
) -> None:
    broken = tmp_path / "sbin" / "rabbitmq-server"
    broken.parent.mkdir()
    broken.write_text(f"#!/bin/sh\necho 'BOOT FAILED'; echo ===========; echo '{printed}'; exit 1\n")
    broken.chmod(0o755)
    with pytest.raises(ActionError, match=shown) as failed:
        lab.up(name, server=str(tmp_path))
    assert not lab_folder(name).exists()
    kept = lab_folder(name).with_suffix(".log")
    assert str(kept) in str(failed.value)
    assert printed in kept.read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--name", "../x"], "invalid lab name"),
        (["--nodes", "0"], "1 to 7 nodes"),
        (["--server", "/nowhere"], "no rabbitmq-server in /nowhere"),
        (["--set", "nonsense"], "KEY = VALUE"),
    ],
)
def test_wrong_options(run: Run, arguments: list[str], words: str) -> None:
    done = run("lab", "up", *arguments, status=2)
    assert words in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_cluster_of_three(name: str, server: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    made = lab.up(name, nodes=3, server=server, timeout=120)
    names = [n.name for n in made.state.nodes]
    broker = Broker(made.state.amqp_url, made.state.management_url)
    assert sorted(n["name"] for n in broker.api("GET", "nodes?columns=name,running").json() if n["running"]) == names
    made.kill_node(names[0])
    left = read(name)
    assert left is not None
    assert left.amqp_url != broker.amqp_url
    survivor = Broker(left.amqp_url, left.management_url)
    eventually(lambda: [n["running"] for n in survivor.api("GET", "nodes?columns=running").json()].count(True) == 2)
    # The node that is down comes back, on the lab's own server whatever would be found now.
    monkeypatch.setattr("attune_ops.lab.server.FOLDERS", ())
    monkeypatch.setattr("attune_ops.lab.server.MORE_PATH", ())
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    again = lab.up(name).state
    assert all(n.alive for n in again.nodes)
    broker = Broker(again.amqp_url, again.management_url)
    eventually(lambda: [n["running"] for n in broker.api("GET", "nodes?columns=running").json()].count(True) == 3)


def test_a_process_runs_only_once_it_is_on_record(tmp_path: Path) -> None:
    from attune_ops.lab.process import launch

    seen: list[Process] = []

    def record(process: Process) -> None:
        seen.append(process)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        launch(["touch", "ran"], dict(os.environ), tmp_path, tmp_path / "log", record)
    eventually(lambda: not seen[0].alive)
    assert not (tmp_path / "ran").exists()


def test_an_interrupt_when_a_process_was_told_to_run_ends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from attune_ops.lab.process import launch

    @contextmanager
    def interrupted(pipe: IO[bytes]) -> Iterator[IO[bytes]]:
        with pipe:
            yield pipe
        raise KeyboardInterrupt

    def start(*arguments: Any, **options: Any) -> Any:
        child = started(*arguments, **options)
        child.stdin = interrupted(child.stdin)
        return child

    started: Any = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", start)
    seen: list[Process] = []
    with pytest.raises(KeyboardInterrupt):
        launch(["sleep", "3600"], dict(os.environ), tmp_path, tmp_path / "log", seen.append)
    assert not seen[0].alive
