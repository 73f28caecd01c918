"""The undo lists of killed drills: a file that is none stops nothing else, and two may be written at once."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from attune_ops.drills import target, undo
from attune_ops.drills.catalog import find
from attune_ops.drills.runner import run
from attune_ops.drills.target import refuse_unless_allowed, settings_of_record
from attune_ops.drills.undo import Record, UndoEntry, UndoList, recover
from attune_ops.installation.config import resolve
from attune_ops.model.errors import ActionError, DrillRefused, SourceError

DEAD = (2**22 + 1, "long ago")  # the process of a killed drill
ENVIRONMENTS = """
[env.staging]
amqp_url = "amqp://u:p@127.0.0.1:1/v"
drills = true
"""


def test_a_file_that_is_no_undo_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(undo, "folder", lambda: tmp_path)
    left = tmp_path / "left"
    left.mkdir()
    record = Record("worker-crash", *DEAD, undo=[UndoEntry("folder", str(left))])
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


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration file with an environment that allows drills; the undo lists are beside it."""
    monkeypatch.setattr(undo, "folder", lambda: tmp_path)
    made = tmp_path / "attune-ops.toml"
    made.write_text(ENVIRONMENTS)
    return made


@pytest.mark.parametrize(
    ("env", "broker", "says"),
    [
        ("elsewhere", "", "no environment 'elsewhere'"),
        ("staging", "prod:15672", "the drill ran at prod:15672, and environment 'staging' is 127.0.0.1:15672 here"),
        ("staging", "127.0.0.1:15672", "could not undo vhost attune-ops-drill-1"),
    ],
)
def test_what_is_on_a_broker_that_is_not_found_stays_on_the_list(env: str, broker: str, says: str, file: Path) -> None:
    left = file.with_name("left")
    left.mkdir()
    entries = [UndoEntry("folder", str(left)), UndoEntry("vhost", "attune-ops-drill-1"), UndoEntry("user", "u")]
    record = Record("worker-crash", *DEAD, env=env, broker=broker, undo=entries)
    written = file.with_name("a.json")
    written.write_bytes(msgspec.json.encode(record))
    said: list[str] = []
    assert recover(lambda r: settings_of_record(r, str(file)), said.append) == 0
    assert says in " ".join(said)
    assert not left.exists(), "what needs no broker is undone"
    assert [e.kind for e in msgspec.json.decode(written.read_bytes(), type=Record).undo] == ["vhost", "user"]


def test_a_virtual_host_that_is_made_in_part_stays_on_the_list(file: Path) -> None:
    settings = resolve({"env": "staging", "config": str(file)}, {})
    made = UndoList("worker-crash", env="staging")
    with pytest.raises(SourceError):
        target.prepare(find("worker-crash"), settings, None, made, lambda line: None)
    said: list[str] = []
    made.undo(said.append)
    assert "could not undo vhost" in " ".join(said)
    assert [e.kind for e in made.record.undo] == ["vhost"]


@pytest.mark.parametrize(
    ("options", "variables", "given"),
    [
        ({"env": "staging", "amqp_url": "amqp://u:p@prod/v"}, {}, "--amqp-url"),
        ({"env": "staging", "management_url": "http://u:p@prod:15672"}, {}, "--management-url"),
        ({}, {"ATTUNE_OPS_ENV": "staging", "ATTUNE_OPS_AMQP_URL": "amqp://u:p@prod/v"}, "ATTUNE_OPS_AMQP_URL"),
    ],
)
def test_an_environment_allows_drills_on_its_own_broker_only(
    options: dict[str, str], variables: dict[str, str], given: str, file: Path
) -> None:
    refuse_unless_allowed(resolve({"env": "staging", "config": str(file)}, {}), "staging")
    with pytest.raises(DrillRefused, match=f"{given} points at another broker than environment 'staging'"):
        refuse_unless_allowed(resolve({**options, "config": str(file)}, variables), "staging")


def test_a_load_on_an_environment_is_small(file: Path) -> None:
    settings = resolve({"env": "staging", "config": str(file)}, {})
    with pytest.raises(DrillRefused, match=r"1,000 messages \(954 MiB\) could set off a memory alarm"):
        run("worker-crash", settings, confirm="staging", rate=1000, size=1_000_000)
