"""Snapshot and definitions files: told apart by content, and one line for what is wrong, half, huge or hostile."""

from __future__ import annotations

import gzip
import io
import json
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from attune_ops.model import snapshot_file
from attune_ops.model.errors import ConfigError
from attune_ops.model.facts import Facts, Reach, Source
from attune_ops.model.snapshot import BrokerSnapshot, ConnectionState, QueueState
from attune_ops.model.snapshot_file import load_all, load_brokers, load_facts, save_facts
from attune_ops.model.topologies import load

NOW = datetime(2026, 1, 16, tzinfo=UTC)
HOSTILE = "<script>'\"../\n\u202e💥"

FACTS = Facts(
    topology=load("attune-2026-01"),
    taken_at=NOW,
    broker=BrokerSnapshot(
        "v", NOW, exchanges=(), queues=(QueueState(HOSTILE, "v"),), bindings=(),
        connections=(ConnectionState("c", "v", client_name="amqp://u:hunter2@h/v"),),
    ),
    reach=(Reach(Source.AMQP, error="amqp://u:hunter2@h refused"),),
    missing={Source.REGISTRY: "postgresql://u:hunter2@h/db: refused"},
    vhost="v",
)  # fmt: skip

DEFINITIONS = {
    "rabbit_version": "4.0.5",
    "vhosts": [{"name": "a"}, {"name": "b"}],
    "exchanges": [{"name": "attune.events", "vhost": "b", "type": "topic"}],
    "queues": [{"name": "q", "vhost": "a"}],
    "bindings": [],
}


def test_a_snapshot_goes_out_and_comes_back_without_secrets(tmp_path: Path) -> None:
    file = tmp_path / "one.json.gz"
    size = save_facts(FACTS, str(file))
    assert size == file.stat().st_size
    assert b"hunter2" not in gzip.decompress(file.read_bytes())
    found = load_facts(str(file))
    assert found.actual.queues == FACTS.actual.queues
    assert found.missing == {Source.REGISTRY: "postgresql://u:***@h/db: refused"}
    save_facts(found, str(tmp_path / "two"))
    assert (tmp_path / "two").read_bytes() == file.read_bytes(), "the same facts are the same bytes"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["one.json.gz", "two"]


def test_another_topology_takes_the_place_of_the_snapshots_own(tmp_path: Path) -> None:
    save_facts(FACTS, str(tmp_path / "f"))
    assert load_facts(str(tmp_path / "f"), load("attune-2026-09")).topology.name == "attune-2026-09"
    with pytest.raises(ConfigError, match="it is a snapshot of virtual host 'v', not of 'w'"):
        load_facts(str(tmp_path / "f"), vhost="w")
    assert list(load_brokers(str(tmp_path / "f"))) == ["v"]


@pytest.mark.parametrize("packed", [False, True])
def test_definitions(tmp_path: Path, packed: bool) -> None:
    data = json.dumps(DEFINITIONS).encode()
    (tmp_path / "d.txt").write_bytes(gzip.compress(data) if packed else b"\xef\xbb\xbf" + data)
    found = load_facts(str(tmp_path / "d.txt"), vhost="b")
    assert found.vhost == "b"
    assert found.topology.name == "attune-2026-01"
    assert {s for s in Source if found.missing_reason((s,))} == set(Source) - {Source.BROKER}
    assert load_facts(str(tmp_path / "d.txt"), vhost="a").vhost == "a"
    with pytest.raises(ConfigError, match="no virtual host 'c'; it has 'a', 'b'"):
        load_facts(str(tmp_path / "d.txt"), vhost="c")
    with pytest.raises(ConfigError, match="several virtual hosts, give --vhost: 'a', 'b'"):
        load_facts(str(tmp_path / "d.txt"))
    assert list(load_brokers(str(tmp_path / "d.txt"))) == ["a", "b"]
    assert {name: f.vhost for name, f in load_all(str(tmp_path / "d.txt")).items()} == {"a": "a", "b": "b"}


def test_the_only_virtual_host_that_is_not_empty_is_taken_and_named(tmp_path: Path) -> None:
    (tmp_path / "d").write_text(json.dumps(DEFINITIONS | {"queues": []}))
    said: list[str] = []
    assert load_facts(str(tmp_path / "d"), on_progress=said.append).vhost == "b"
    assert said == [f"{tmp_path / 'd'}: virtual host 'b', the only one of 2 that is not empty"]
    (tmp_path / "d").write_text(json.dumps(DEFINITIONS | {"queues": [], "exchanges": [], "vhosts": [{"name": "a"}]}))
    assert load_facts(str(tmp_path / "d"), on_progress=said.append).vhost == "a"
    assert len(said) == 1, "a single virtual host needs no choice"


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    data = json.dumps(DEFINITIONS).encode()
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(data)))
    assert load_facts("-", vhost="b").vhost == "b"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "invalid or incomplete JSON"),
        (b"<html>", "invalid or incomplete JSON"),
        (b'{"exchanges": [', "invalid or incomplete JSON"),
        (b'{"queues": [],\n "exchanges": [\n   {},\n  ]}', "trailing comma in array (line 3, column 6)"),
        (b'{\n"queues": [], }', "trailing comma in object (line 2, column 13)"),
        (b'{"queues": [] x', "(line 1, column 15)"),
        (b'{"users": [], "permissions": []}', "a definitions export with users, permissions only; it has neither"),
        (b'{"policies": [{"name": "p"}]}', "a definitions export with policies only; it has neither exchanges"),
        (b'{"queues": [{"name": "q", "arguments": [3]}]}', "unexpected content"),
        (b'{"exchanges": [{"name": "x", "type": "topic", "auto_delete": "maybe"}]}', "unexpected content"),
        (b"[]", "unexpected content: Expected `object`, got `array`"),
        (b"{}", "neither a snapshot nor a RabbitMQ definitions export: it has neither exchanges nor queues"),
        (b'{"schema": "attune-ops/doctor/1"}', "a RabbitMQ definitions export: it is 'attune-ops/d"),
        (b'{"schema": "attune-ops/snapshot/2"}', "'attune-ops/snapshot/2' is of another release of attune-ops"),
        (b'{"schema": "attune-ops/snapshot/1"}', "unexpected content: Object missing required field `topology`"),
        (b'{"queues": [{"name": 1}]}', "unexpected content: Expected `str`, got `int` - at `$.queues[0].name`"),
        (b'{"queues": [{"name": "\xff"}]}', "invalid or incomplete JSON"),
        (b'{"queues": ' + b"[" * 100_000, "nested too deeply"),
        (b'{"queues": [], "parameters": [{"component": "operator_policy", "value": 3}]}', "unexpected content"),
        (gzip.compress(b'{"queues": []}' * 1000, mtime=0)[:-20], "the gzip data is cut off after"),
        (b"\x1f\x8bnonsense", "the gzip data is damaged"),
        (b"\x28\xb5\x2f\xfd....", "packed with zstd; unpack it first"),
    ],
)  # fmt: skip
def test_wrong_files(tmp_path: Path, content: bytes, says: str) -> None:
    file = tmp_path / "a\nfile"
    file.write_bytes(content)
    for read in (load_facts, load_brokers):
        with pytest.raises(ConfigError) as e:
            read(str(file))
        assert says in str(e.value)
        assert "a\\nfile: " in str(e.value)
        assert "\n" not in str(e.value)


def test_huge_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot_file, "MAX_BYTES", 1_000_000)
    for content in (b" " * 1_000_001, gzip.compress(b" " * 20_000_000)):
        (tmp_path / "f").write_bytes(content)
        with pytest.raises(ConfigError, match="more than 1 MB"):
            load_facts(str(tmp_path / "f"))


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read .*: No such file"):
        load_facts(str(tmp_path / "nope"))
    with pytest.raises(ConfigError, match="a folder; use"):
        load_facts(str(tmp_path))
    with pytest.raises(ConfigError, match="cannot read "):
        load_facts("a\0b")
    with pytest.raises(ConfigError, match="cannot write the snapshot: No such file"):
        save_facts(FACTS, str(tmp_path / "nope" / "f"))
    for replace in (True, False):
        with pytest.raises(ConfigError, match="a folder, not a regular file; it is not changed"):
            save_facts(FACTS, str(tmp_path), replace=replace)
    (tmp_path / "there").touch()
    with pytest.raises(ConfigError, match="the file exists; --force overwrites it"):
        save_facts(FACTS, str(tmp_path / "there"))
