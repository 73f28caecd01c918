"""The folders and files that this tool makes for itself are its user's alone, whatever the umask."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from attune_ops.model.files import make_folder, make_private


@pytest.fixture(params=[0o000, 0o022, 0o777], ids=oct)
def umask(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[int]:
    assert tmp_path.is_dir()  # made before, or its owner could not use it
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.usefixtures("umask")
def test_each_missing_folder_and_the_file_are_private(tmp_path: Path) -> None:
    folder = tmp_path / "state" / "attune-ops" / "drills"
    make_folder(folder)
    make_private(folder / "file")
    assert [mode(p) for p in (folder.parent.parent, folder.parent, folder)] == [0o700] * 3
    assert mode(folder / "file") == 0o600


def test_what_exists_keeps_its_mode_and_content(tmp_path: Path) -> None:
    file = tmp_path / "audit.jsonl"
    file.write_text("kept")
    file.chmod(0o640)
    tmp_path.chmod(0o750)
    make_folder(tmp_path)
    make_private(file)
    assert (mode(tmp_path), mode(file), file.read_text()) == (0o750, 0o640, "kept")


def test_several_make_it_at_once(tmp_path: Path) -> None:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # as often as the machine can
    try:
        with ThreadPoolExecutor(6) as pool:
            for i in range(200):
                for made in [pool.submit(make_folder, tmp_path / str(i) / "attune-ops" / "lab") for _ in range(6)]:
                    made.result()
    finally:
        sys.setswitchinterval(before)


def test_where_none_can_be_made_it_is_an_error(tmp_path: Path) -> None:
    file, link = tmp_path / "file", tmp_path / "link"
    file.touch()
    link.symlink_to(tmp_path / "gone")
    none = [Path("/proc/folder")] if Path("/proc/self").exists() else []
    for path in (file, file / "folder", link, link / "folder", *none):
        with pytest.raises(OSError, match=str(path.parent)):
            make_folder(path)
    with pytest.raises(FileExistsError):
        make_folder(tmp_path, new=True)
    assert sorted(tmp_path.iterdir()) == [file, link]
