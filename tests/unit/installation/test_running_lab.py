from __future__ import annotations

import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from attune_ops.installation.config import running_lab
from attune_ops.installation.config.running_lab import LabNode, Process, RunningLab, read, read_state, start_time
from attune_ops.lab import folder as files
from attune_ops.model.errors import ConfigError


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunningLab:
    """The written state of a lab whose second node is this very process."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    folder = running_lab.lab_folder()
    folder.parent.mkdir(parents=True)
    files.make(folder)
    me = Process(os.getpid(), start_time(os.getpid()) or "")
    return files.save(
        RunningLab(
            name="default",
            folder=str(folder),
            server="/usr/lib/rabbitmq/bin/rabbitmq-server",
            user="attune",
            nodes=(
                LabNode("attune-1@localhost", "/1", 20001, 20002, 20003, 20004, Process(os.getpid(), "earlier")),
                LabNode("attune-2@localhost", "/2", 20005, 20006, 20007, 20008, me),
            ),
            epmd_port=20000,
            created=datetime.now(UTC),
            ready=True,
        )
    )


def test_a_lab_reads_back(made: RunningLab) -> None:
    assert read() == made
    assert read_state("other") is None
    assert read("other") is None


def test_urls_are_those_of_a_node_that_lives(made: RunningLab) -> None:
    password = made.password.reveal()
    assert made.amqp_url == f"amqp://attune:{password}@127.0.0.1:20005/%2F"
    assert made.management_url == f"http://attune:{password}@127.0.0.1:20006"
    assert made.database_url == f"sqlite:///{made.folder}/registry.sqlite"


def test_the_lab_at_an_amqp_port(made: RunningLab) -> None:
    """Only of a node that lives, on loopback; another state file may be damaged."""
    other = running_lab.lab_folder("broken")
    other.mkdir()
    (other / "state.json").write_text("{")
    assert running_lab.node_at("localhost", 20005) == (made, made.nodes[1])
    assert running_lab.node_at("127.0.0.1", 20001) is None
    assert running_lab.node_at("127.0.0.1", 5672) is None
    assert running_lab.node_at("10.0.0.1", 20005) is None


def test_the_password_stands_in_its_own_file_alone(made: RunningLab) -> None:
    password = made.password.reveal()
    assert len(password) >= 20
    assert password not in Path(made.folder, "state.json").read_text()
    assert password not in repr(made)
    made.password_file.unlink()
    with pytest.raises(ConfigError, match="password file"):
        made.amqp_url  # noqa: B018


def test_a_lab_that_is_not_ready_or_dead_is_none(made: RunningLab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running_lab, "start_time", lambda pid: None)
    assert read() is None
    assert read_state() == made


@pytest.mark.parametrize("name", ["", "..", "a/b", "A", "-x", "x" * 32, "a b", "a\n", "ü"])
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(ConfigError, match="invalid lab name"):
        read(name)


def test_a_zombie_is_not_alive() -> None:
    with subprocess.Popen(["sleep", "60"]) as child:
        one = Process(child.pid, start_time(child.pid) or "")
        assert one.alive
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # it has ended and nobody has fetched its status
        assert not one.alive


def test_both_ways_of_asking_for_the_start_time_agree_on_who_lives() -> None:
    by_ps = running_lab._start_time_by_ps
    assert by_ps(os.getpid()) == by_ps(os.getpid()) is not None
    with subprocess.Popen(["true"]) as gone:
        gone.wait()
    assert by_ps(gone.pid) is None
    assert start_time(gone.pid) is None
