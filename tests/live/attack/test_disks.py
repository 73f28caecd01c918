"""Disks that are full, too small or read-only: one clear line, and no message is lost."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from attune_ops.messages.restore_progress import _first_line
from tests.live.attack.proxy import spend
from tests.live.messages.ledger import fill, in_file, in_queue
from tests.live.messages.site import connect
from tests.live.messages.test_round_trip import declare
from tests.world import Vhost

pytestmark = pytest.mark.slow

COUNT = 3000
RESTORE = "messages restore kept --apply --exchange= --routing-key=other"
DRAIN = "messages drain q --to kept --apply"


def mounted(folder: Path, options: str) -> None:
    """Mounts a file system of memory there, or the same with other options; skips where that is not allowed."""
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"mount is not permitted: {done.stderr.strip()}")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 2 MiB, with the state folder of the runs elsewhere."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted(folder, "size=2m")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def occupy(disk: Path) -> Path:
    """Fills the disk to the last byte."""
    file = disk / "full"
    with file.open("wb", buffering=0) as data:
        try:
            while True:
                data.write(bytes(4096))
        except OSError:
            return file


def state(vhost: Vhost, tmp_path: Path) -> dict[str, str]:
    return vhost.environment | {"XDG_STATE_HOME": str(tmp_path / "elsewhere")}


def in_one_line(status: int, said: str) -> None:
    assert (status, said.strip().count("\n")) == (1, 0), said
    assert "a bug" not in said
    assert "Traceback" not in said


@pytest.mark.parametrize("how", ["full", "full later", "full, with a hole", "read-only", "read-only folder"])
def test_restore_without_room_for_its_progress_file(how: str, vhost: Vhost, disk: Path, tmp_path: Path) -> None:
    declare(vhost, "q", "other")
    settings, environment = connect(vhost).settings, state(vhost, tmp_path)
    ids = fill(settings, "q", COUNT)
    assert spend(disk, environment, *shlex.split(DRAIN)).status == 0
    full = None
    if how == "full":
        full = occupy(disk)
    elif how == "full later":  # the first line of the progress file fits, the marks do not
        (disk / "kept.restored").write_bytes(b"")
        full = occupy(disk)
        os.truncate(full, full.stat().st_size - 4096)
    elif how == "full, with a hole":  # as a copy may leave it; written when the disk is full, it would be SIGBUS
        with (disk / "kept").open("rb") as lines:
            (disk / "kept.restored").write_bytes(_first_line(json.loads(next(lines))["id"]))
        os.truncate(disk / "kept.restored", 1 << 20)
        full = occupy(disk)
    elif how == "read-only":
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    else:
        if os.geteuid() == 0:
            pytest.skip("root writes everywhere")
        disk.chmod(0o500)
    try:
        done = spend(disk, environment, *shlex.split(RESTORE))
    finally:
        subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
        disk.chmod(0o700)
        if full is not None:
            full.unlink()
    in_one_line(done.status, done.said)
    assert "kept.restored" in done.said
    assert set(in_file(disk / "kept")) == ids, "the file is as it was"
    assert spend(disk, environment, *shlex.split(RESTORE)).status == 0
    found = in_queue(settings, "other")
    assert set(found) == ids, "lost"
    assert found.total() == COUNT, "nothing was published without a mark"


@pytest.mark.parametrize("how", ["full", "full later", "read-only"])
def test_drain_without_room_for_its_file(how: str, vhost: Vhost, disk: Path, tmp_path: Path) -> None:
    declare(vhost, "q", "other")
    settings, environment = connect(vhost).settings, state(vhost, tmp_path)
    ids, full = fill(settings, "q", COUNT), None
    if how == "full":
        full = occupy(disk)
    elif how == "full later":
        full = occupy(disk)
        os.truncate(full, full.stat().st_size - (200 << 10))
    else:
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    done = spend(disk, environment, *shlex.split(DRAIN))
    subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
    if full is not None:
        full.unlink()
    in_one_line(done.status, done.said)
    assert spend(disk, environment, *shlex.split(DRAIN)).status == 0
    found: Counter[str] = in_file(disk / "kept")
    assert set(found) == ids, "lost"


def test_no_room_for_the_audit_log_changes_nothing(vhost: Vhost, disk: Path, tmp_path: Path) -> None:
    declare(vhost, "q", "other")
    settings = connect(vhost).settings
    ids = fill(settings, "q", 20)
    environment = vhost.environment | {"XDG_STATE_HOME": str(disk / "state")}
    occupy(disk)
    for line in (DRAIN, "messages move q other --apply"):
        done = spend(tmp_path, environment, *shlex.split(line))
        in_one_line(done.status, done.said)
    assert set(in_queue(settings, "q")) == ids
