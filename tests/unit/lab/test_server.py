from __future__ import annotations

import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from attune_ops.installation.config.running_lab import RunningLab
from attune_ops.lab import node as nodes
from attune_ops.lab.server import find
from attune_ops.model.errors import ConfigError


def installation(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for name in ("rabbitmq-server", "rabbitmqctl", "epmd"):
        (folder / name).write_text("#!/bin/sh\n")
        (folder / name).chmod(0o755)
    return folder / "rabbitmq-server"


@pytest.mark.parametrize("inside", ["sbin", "bin", "."])
def test_a_folder_is_looked_through(tmp_path: Path, inside: str) -> None:
    start = installation(tmp_path / "tree" / inside)
    found = find(str(tmp_path / "tree"))
    assert (found.start, found.ctl, found.epmd) == tuple(
        str(start.resolve().with_name(name)) for name in ("rabbitmq-server", "rabbitmqctl", "epmd")
    )


def test_a_link_leads_to_the_installation(tmp_path: Path) -> None:
    start = installation(tmp_path / "sbin")
    (tmp_path / "link").symlink_to(start)
    assert find(str(tmp_path / "link")).start == str(start)


def test_debians_wrapper_is_stepped_over(tmp_path: Path) -> None:
    start = installation(tmp_path / "lib")
    start.with_name("rabbitmq-script-wrapper").write_text("#!/bin/sh\n")
    (tmp_path / "sbin").mkdir()
    (tmp_path / "sbin" / "rabbitmq-server").symlink_to("../lib/rabbitmq-script-wrapper")
    assert find(str(tmp_path)).start == str(start)


def test_what_cannot_be_started_is_not_found(tmp_path: Path) -> None:
    installation(tmp_path / "sbin").chmod(0o644)
    with pytest.raises(ConfigError, match=f"no rabbitmq-server in {tmp_path}"):
        find(str(tmp_path))


def test_none_at_all_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("attune_ops.lab.server.FOLDERS", ())
    monkeypatch.setattr("attune_ops.lab.server.MORE_PATH", ())
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ConfigError, match="quickstart"):
        find()


def test_erlang_off_the_standard_path_is_named_to_rabbitmqctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `doctor` prints for such a lab runs in a shell that does not know this Erlang."""
    installation(tmp_path / "sbin")
    erl = tmp_path / "erlang" / "bin" / "erl"
    erl.parent.mkdir(parents=True)
    erl.write_text("#!/bin/sh\necho this one\n")
    erl.chmod(0o755)
    monkeypatch.setenv("PATH", f"{erl.parent}:/usr/bin:/bin")
    found = find(str(tmp_path))
    assert found.erlang == str(erl.parent)
    lab = RunningLab("n", "/f", found.start, "attune", (), 25005, datetime.now(UTC), erlang=found.erlang)
    printed = " ".join(["env", *(f"{k}={v}" for k, v in lab.ctl_environment.items()), "erl"])
    bare = subprocess.run(printed, shell=True, env={"PATH": "/usr/bin:/bin"}, capture_output=True, check=True)
    assert bare.stdout == b"this one\n"
    assert nodes.environment(lab)["PATH"].startswith(f"{erl.parent}:")


@pytest.mark.parametrize("path", ["/usr/bin:/bin", "/nowhere"])
def test_erlang_on_every_path_is_not_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    installation(tmp_path / "sbin")
    monkeypatch.setattr("attune_ops.lab.server.MORE_PATH", ())
    monkeypatch.setenv("PATH", path)
    lab = RunningLab("n", "/f", "s", "attune", (), 1, datetime.now(UTC), erlang=find(str(tmp_path)).erlang)
    assert "PATH" not in lab.ctl_environment
