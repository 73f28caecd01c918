"""What a snapshot holds, and what came, went and changed between two."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from attune_ops.inventory.snapshot_diff import changes, contents, file_changes
from attune_ops.model.errors import ConfigError
from attune_ops.model.facts import Facts, Reach, Source
from attune_ops.model.registry import RegistryView, Worker
from attune_ops.model.snapshot import (
    BindingState,
    BrokerSnapshot,
    ConsumerState,
    ExchangeState,
    PolicyState,
    QueueState,
)
from attune_ops.model.snapshot_file import load_all, save_facts
from attune_ops.model.topologies import load

NOW = datetime(2026, 1, 16, tzinfo=UTC)

BROKER = BrokerSnapshot(
    "/", NOW, version="4.0.5",
    exchanges=(ExchangeState("x", "/", "topic"),),
    queues=(QueueState("q", "/", messages=3, memory=1000, publish_rate=1.0), QueueState("gone", "/")),
    bindings=(BindingState("/", "x", "q", "k"), BindingState("/", "x", "q", "k", arguments={"a": 1})),
    consumers=(ConsumerState("/", "q", "t", connection="one"), ConsumerState("/", "q", "t", connection="two")),
    policies=(PolicyState("/", "p", ".*"), PolicyState("/", "p", ".*", operator=True)),
)  # fmt: skip
WORKERS = (Worker(1, "w1", last_heartbeat=NOW), Worker(2, "w2"))
FACTS = Facts(
    load("attune-2026-01"), NOW, BROKER, RegistryView("sqlite", WORKERS), missing={Source.NODES: "not permitted"}
)  # fmt: skip


def later(**broker: Any) -> Facts:
    changed = msgspec.structs.replace(BROKER, taken_at=NOW + timedelta(minutes=1), **broker)
    return msgspec.structs.replace(FACTS, taken_at=changed.taken_at, broker=changed)


def test_nothing_changes_in_what_never_stands_still() -> None:
    queues = (msgspec.structs.replace(BROKER.queues[0], memory=2000, publish_rate=9.0), BROKER.queues[1])  # type: ignore[index]
    assert changes(FACTS, FACTS).rows == ()
    assert changes(FACTS, later(queues=queues)).rows == ()


def test_what_came_went_and_changed() -> None:
    after = later(
        version="4.3.6",
        queues=(QueueState("q", "/", messages=5), QueueState("new", "/")),
        bindings=(BindingState("/", "x", "q", "k"),),
        consumers=(ConsumerState("/", "q", "t", connection="three"), ConsumerState("/", "q", "t", connection="two")),
        policies=(PolicyState("/", "p", ".*"), PolicyState("/", "p", "^q", operator=True)),
    )
    workers = (Worker(1, "w1", status="inactive", last_heartbeat=NOW + timedelta(seconds=30)), Worker(3, "w3"))
    after = msgspec.structs.replace(after, registry=RegistryView("sqlite", workers))
    found = changes(FACTS, after)
    assert sorted(found.rows, key=str) == sorted(
        [
            ("changed", "broker", "", "version", '"4.0.5"', '"4.3.6"'),
            ("went", "queue", "gone", None, None, None),
            ("came", "queue", "new", None, None, None),
            ("changed", "queue", "q", "messages", "3", "5"),
            ("went", "binding", "x → q ('k')", None, None, None),
            ("changed", "policy", "p", "pattern", '".*"', '"^q"'),
            ("changed", "consumer", "t on q", "connection", '"one"', '"three"'),
            ("changed", "worker", "1 w1", "status", '"active"', '"inactive"'),
            ("went", "worker", "2 w2", None, None, None),
            ("came", "worker", "3 w3", None, None, None),
        ],
        key=str,
    )
    assert found.notes[0] == "from 2026-01-16 00:00:00Z to 2026-01-16 00:01:00Z"


def test_what_one_of_them_lacks_is_not_compared_but_said() -> None:
    less = msgspec.structs.replace(later(), registry=None, missing={Source.REGISTRY: "refused"})
    found = changes(FACTS, less)
    assert [r[:4] for r in found.rows] == [
        ("changed", "source", "nodes", "missing"), ("changed", "source", "registry", "missing"),
    ]  # fmt: skip
    assert "workers not compared: the second snapshot does not have them (refused)" in found.notes


def test_what_a_definitions_file_never_has_did_not_come(tmp_path: Path) -> None:
    """No counts, no policy of a queue, no built-in exchange, no exclusive queue: a snapshot of the same equals it."""
    listed = {
        "exchanges": [{"name": "x", "type": "topic"}], "queues": [{"name": "q"}], "policies": [],
        "bindings": [{"source": "x", "destination": "q", "routing_key": "k"}],
    }  # fmt: skip
    (tmp_path / "file").write_text(json.dumps({"vhosts": [{"name": "/"}], **listed}))
    (before,) = load_all(str(tmp_path / "file")).values()
    exclusive = QueueState("amq.gen-1", "/", exclusive=True, durable=False)
    broker = BrokerSnapshot(
        "/", NOW, version="4.0.5", erlang="26", alarms=(), limits={"max-queues": 1},
        exchanges=(ExchangeState("x", "/", "topic", auto_delete=None), ExchangeState("amq.topic", "/", "topic")),
        queues=(QueueState("q", "/", messages=3, consumers=1, policy="p"), exclusive),
        bindings=(BindingState("/", "x", "q", "k"), BindingState("/", "x", "amq.gen-1", "k")), policies=(),
    )  # fmt: skip
    after = Facts(before.topology, NOW, broker)
    assert [r for r in changes(before, after).rows if r[1] not in ("source", "broker")] == []
    assert [r[3] for r in changes(before, after).rows if r[1] == "broker"] == []
    unlimited = msgspec.structs.replace(after, broker=msgspec.structs.replace(broker, limits={}))
    assert [r[3] for r in changes(after, unlimited).rows] == ["limits"]


def test_a_queue_that_becomes_unavailable_has_changed() -> None:
    assert BROKER.queues is not None
    queues = (msgspec.structs.replace(BROKER.queues[0], state="minority"), BROKER.queues[1])
    assert changes(FACTS, later(queues=queues)).rows == (("changed", "queue", "q", "state", None, '"minority"'),)


def test_contents_of_every_source() -> None:
    reach = (Reach(Source.AMQP), Reach(Source.MANAGEMENT, permissions=("", "", "")))
    whole = msgspec.structs.replace(
        later(
            nodes=(), alarms=(), limits={}, deprecated=(), connections=(), channels=(), dead_lettered={},
            user_permissions=(),
        ),
        earlier=BROKER, reach=reach, missing={}, registry=RegistryView("sqlite", WORKERS, executions=()),
    )  # fmt: skip
    assert all(row[1] is True for row in contents(whole).rows)


def test_contents() -> None:
    rows = {r[0]: r[1:] for r in contents(FACTS).rows}
    assert rows["broker"] == (True, 7, "1 exchange, 2 queues, 2 bindings, 2 policies")
    assert rows["depths"] == (True, None, "3 messages")
    assert rows["registry"] == (True, 2, "2 workers")
    assert rows["nodes"] == (False, None, "not permitted")
    assert contents(FACTS).notes == ("attune-2026-01 in virtual host /, RabbitMQ 4.0.5",)
    assert all(row[1] is False for row in contents(Facts(FACTS.topology, NOW)).rows)


def exported(file: Path, **queues: list[str]) -> str:
    """Writes the definitions of a whole broker with these virtual hosts and queues."""
    listed = [{"name": name, "vhost": vhost} for vhost, names in queues.items() for name in names]
    file.write_text(json.dumps({"vhosts": [{"name": v} for v in queues], "queues": listed, "exchanges": []}))
    return str(file)


def test_all_virtual_hosts_of_two_files_are_compared(tmp_path: Path) -> None:
    before = exported(tmp_path / "one", a=["q"], b=["q", "old"], gone=["last"], empty=[])
    after = exported(tmp_path / "two", a=["q"], b=["q", "new"], fresh=["first"], empty=[])
    found = file_changes(before, after)
    assert found.columns[-1].name == "vhost"
    assert sorted((r[0], r[1], r[2], r[-1]) for r in found.rows) == [
        ("came", "queue", "first", "fresh"),
        ("came", "queue", "new", "b"),
        ("came", "vhost", "fresh", "fresh"),
        ("went", "queue", "last", "gone"),
        ("went", "queue", "old", "b"),
        ("went", "vhost", "gone", "gone"),
    ]
    assert [r[:3] for r in file_changes(before, after, "b").rows] == [
        ("went", "queue", "old"),
        ("came", "queue", "new"),
    ]
    assert file_changes(before, before).rows == ()
    with pytest.raises(ConfigError, match="no virtual host 'gone'; it has 'a', 'b', 'fresh', 'empty'"):
        file_changes(before, after, "gone")


def test_a_snapshot_is_compared_with_its_own_virtual_host(tmp_path: Path) -> None:
    whole = exported(tmp_path / "one", a=["q"], **{"/": ["q"]})
    save_facts(FACTS, str(tmp_path / "snapshot"))
    found = file_changes(whole, str(tmp_path / "snapshot"))
    assert ("came", "queue", "gone", None, None, None, "/") in found.rows
    assert not any(r[1] == "vhost" for r in found.rows), "a snapshot says nothing of other virtual hosts"
    assert "not compared, as one of the two is not an export of all virtual hosts: a" in found.notes
    with pytest.raises(ConfigError, match="no virtual host in common: 'a', 'b'; '/'"):
        file_changes(exported(tmp_path / "two", a=["q"], b=["q"]), str(tmp_path / "snapshot"))
