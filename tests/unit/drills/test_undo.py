"""The undo lists of killed drills: a file that is none stops nothing else, and two may be written at once."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from attune_ops.drills import undo
from attune_ops.drills.undo import Record, UndoEntry, UndoList, recover
from attune_ops.model.errors import ActionError


def test_a_file_that_is_no_undo_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(undo, "folder", lambda: tmp_path)
    left = tmp_path / "left"
    left.mkdir()
    record = Record("worker-crash", 2**22 + 1, "long ago", undo=[UndoEntry("folder", str(left))])
    (tmp_path / "a.json").write_bytes(b"\xff{")
    (tmp_path / "b.json").write_bytes(b'{"drill": 1}')
    (tmp_path / "c.json").write_bytes(msgspec.json.encode(record))
    with pytest.raises(ActionError, match=r"no undo list: .*a\.json.*; .*b\.json.*undo it by hand"):
        recover(lambda r: None, lambda line: None)
    assert not left.exists(), "the others are undone"
    assert not (tmp_path / "c.json").exists()
    assert undo.abandoned() == [], "a drill starts all the same"


def test_two_recoveries_write_files_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(undo, "folder", lambda: tmp_path)
    first = UndoList("worker-crash")
    first.add("folder", "/nowhere")
    replace, renamed = Path.replace, set[Path]()

    def noted(self: Path, target: Path) -> Path:
        renamed.add(self)
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", noted)
    for process in (11, 12):
        monkeypatch.setattr(os, "getpid", lambda process=process: process)
        first.add("folder", f"/nowhere/{process}")
    assert len(renamed) == 2
