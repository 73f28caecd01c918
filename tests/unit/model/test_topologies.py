"""Which topologies there are, a user's own file, and what is said about a wrong one."""

from __future__ import annotations

from pathlib import Path

import pytest

import attune_ops.model.topologies
from attune_ops.model.errors import TopologyError
from attune_ops.model.topologies import DEFAULT, load, names
from attune_ops.model.topology_file import line_of

MINE = """name = "mine"
exchanges = [
    { name = "x", type = "topic" }, # a } in a comment, and { another
    { name = '"}{', type = "topic" },
    { name = "y", type = "topic", typ = 1 },
]
"""


def test_names_are_what_the_files_say() -> None:
    assert names() == ("attune-0.6", "attune-2026-01", "attune-2026-09")
    assert DEFAULT in names()
    assert [load(name).name for name in names()] == list(names())


def test_a_third_file_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "attune-2027-01.toml").write_text('name = "attune-2027-01"\nexchanges = []\n')
    monkeypatch.setattr(attune_ops.model.topologies, "__path__", [*attune_ops.model.topologies.__path__, str(tmp_path)])
    assert names() == ("attune-0.6", "attune-2026-01", "attune-2026-09", "attune-2027-01")
    assert load("attune-2027-01").exchanges == ()


def test_a_file_by_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = tmp_path / "mine"
    mine.write_text('name = "mine"\nexchanges = []\n')
    assert load(str(mine)).name == "mine"
    monkeypatch.chdir(tmp_path)
    assert load("mine").name == "mine"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert load("~/mine").name == "mine"


@pytest.mark.parametrize("name", ["attune", "", "x" * 5000, "a\0b", "<script>", "é\n"])
def test_unknown(name: str) -> None:
    with pytest.raises(TopologyError, match=r"use attune-0\.6, attune-2026-01, attune-2026-09 or the path of a file"):
        load(name)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b'name = "x"\nexchanges = [\n  { name = "a" type = "b" },\n]', ", line 3: not TOML: "),
        (b"name = ", ": not TOML: "),
        (b"\xff\xfe", ": byte 0 is not UTF-8"),
        (b"", ": the file: Object missing required field `name`"),
        (b"\n" * 4_000_001, ": more than 4000000 bytes"),
        (b"a = " + b"[" * 100_000, ": not a"),
        (MINE.encode(), ", line 5: exchanges[2]: Object contains unknown field `typ`; allowed are name, type"),
        (b'exchanges = []\nname = ""', ", line 2: name: empty"),
        (b'name = "x"\n[[exchanges]]\nname = "a"\ntype = "b"\n[[exchanges]]\nname = 7', ", line 5: exchanges[1].name"),
    ],
)  # fmt: skip
def test_wrong_file(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "my.toml"
    path.write_bytes(content)
    with pytest.raises(TopologyError) as e:
        load(str(path))
    assert f"my.toml{says}" in str(e.value)
    assert "\n" not in str(e.value)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(TopologyError, match=r"nope\.toml: cannot read the topology file: No such file"):
        load(str(tmp_path / "nope.toml"))
    with pytest.raises(TopologyError, match="a folder; use"):
        load(str(tmp_path))


def test_lines() -> None:
    assert [line_of(MINE, p) for p in ("name", "exchanges[0].name", "exchanges[1]", "exchanges[2].typ")] == [1, 3, 4, 5]
    assert [line_of(MINE, p) for p in ("exchanges[3]", "queues[0]", "the file", "")] == [None] * 4
