"""The lock beside a lab's folder: one at a time, and nothing is left of a lab that is gone."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from attune_ops import lab
from attune_ops.installation.config.running_lab import lab_folder
from attune_ops.lab import folder as files


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


def lock_of(name: str) -> Path:
    return lab_folder(name).with_suffix(".lock")


def test_taking_a_missing_lab_down_leaves_nothing() -> None:
    assert lab.down("nosuch") is False
    assert not lab_folder("nosuch").parent.exists()


def test_the_lock_goes_with_the_folder_and_stays_with_it() -> None:
    with files.locked("x", print) as folder:
        files.make(folder)
    assert lock_of("x").exists()
    assert lab.down("x") is True
    assert list(lab_folder("x").parent.iterdir()) == []


def test_a_lock_of_a_lab_that_died_goes_too() -> None:
    lock_of("x").parent.mkdir(parents=True)
    lock_of("x").touch()
    assert lab.down("x") is False
    assert not lock_of("x").exists()


def test_who_waits_for_a_lock_that_is_removed_shuts_the_next_one_out() -> None:
    inside: list[str] = []
    most = 0

    def work(name: str) -> None:
        nonlocal most
        for _ in range(50):
            with files.locked("x", lambda text: None):  # the folder never exists, so each removes the lock
                inside.append(name)
                most = max(most, len(inside))
                inside.remove(name)

    threads = [threading.Thread(target=work, args=(str(i),)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not any(thread.is_alive() for thread in threads)
    assert most == 1
    assert not lock_of("x").exists()
