"""Binding and unbinding by hand: dry until asked, exactly the one that is meant, and the undo that is told undoes."""

from __future__ import annotations

from pathlib import Path

import pytest

import attune_ops
from attune_ops.installation import audit
from attune_ops.model.errors import ConfigError, SourceError
from attune_ops.model.table import Table
from attune_ops.ops import Ops
from tests.world import Run, Users, Vhost

KEYS = ["", "#", "a.b", "a/b c", "ü~%2F", "it's", "-x", "two\nlines", "x" * 255]


@pytest.fixture
def ops(vhost: Vhost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ops:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    with vhost.channel() as channel:
        channel.exchange_declare("x", "headers")
        channel.exchange_declare("-y", "topic")
        channel.queue_declare("q")
    return attune_ops.connect(amqp_url=vhost.amqp_url, management_url=vhost.management_url)


def bound(ops: Ops) -> set[tuple[object, ...]]:
    return {(*row[:4], row[5]) for row in ops.bindings().rows}


def undo(table: Table, vhost: Vhost, run: Run) -> None:
    for note in table.notes:
        if note.startswith("undo: "):
            done = run.shell(note.removeprefix("undo: "), vhost.environment)
            assert done.returncode == 0, done.stderr


def test_each_key_is_bound_and_unbound(ops: Ops, vhost: Vhost, run: Run) -> None:
    for key in KEYS:
        assert ops.bind("x", "q", key).rows[0][:3] == ("x", key, "q")
        assert bound(ops) == set(), "only looked"
        made = ops.bind("x", "q", key, apply=True)
        assert bound(ops) == {("x", key, "q", "queue", ())}
        assert "it exists already" in ops.bind("x", "q", key, apply=True).notes
        undo(made, vhost, run)
        assert bound(ops) == set(), key
    what = [e.what for e in audit.entries()]
    assert what == ["topology bind"] * 2 * len(KEYS), "the undo has a journal of its own"


def test_only_the_one_that_is_meant_goes_and_comes_back(ops: Ops, vhost: Vhost, run: Run) -> None:
    arguments: list[dict[str, object]] = [{"x-match": "any", "n": 1}, {"n": 2}, {}]
    for found in arguments:
        ops.bind("x", "q", "k", arguments=found, apply=True)
    ops.bind("-y", "x", "k", exchange=True, apply=True)
    before = bound(ops)
    assert len(before) == 4
    one = ops.unbind("x", "q", "k", arguments={"n": 2}, apply=True)
    assert before - bound(ops) == {("x", "k", "q", "queue", ("n=2",))}
    undo(one, vhost, run)
    every = ops.unbind("x", "q", "k", apply=True)
    assert len(every.rows) == 3
    ends = ops.unbind("-y", "x", "k", exchange=True, apply=True)
    assert bound(ops) == set()
    undo(every, vhost, run)
    undo(ends, vhost, run)
    assert bound(ops) == before


def test_an_argument_of_a_type_that_json_lacks(ops: Ops, vhost: Vhost) -> None:
    with vhost.channel() as channel:
        channel.queue_bind("q", "x", "k", arguments={"x-match": "any", "present": None})
    ops.unbind("x", "q", "k", apply=True)
    assert bound(ops) == set()


def test_what_the_topology_wants_is_said(ops: Ops) -> None:
    ops.topology_apply(apply=True, force=True)
    said = ops.unbind("attune.events", "attune.events.queue", "#")
    assert said.column("wanted") == (True,)
    assert (
        "attune-2026-01 has this binding: without it, messages with this key do not reach "
        "'attune.events.queue', and are lost where no other binding matches"
    ) in said.notes


def test_mistakes(ops: Ops, vhost: Vhost, user: Users) -> None:
    ops.bind("x", "q", "k", apply=True)
    for wrong, says in (
        (("x", "q", "l"), "is not bound to 'x' with key 'l' .*; existing keys: 'k'"),
        (("x", "r", "k"), "existing keys: none"),
    ):
        with pytest.raises(ConfigError, match=says):
            ops.unbind(*wrong, apply=True)
    for wrong, says in (
        (("", "q", "k"), "default exchange"),
        (("nix", "q", "k"), "no exchange 'nix'"),
        (("x", "nix", "k"), "no queue 'nix'"),
    ):
        with pytest.raises(ConfigError, match=says):
            ops.bind(*wrong, apply=True)
    reader = user(vhost, write="")
    theirs = attune_ops.connect(amqp_url=reader.amqp_url, management_url=reader.management_url)
    with pytest.raises(SourceError):
        theirs.unbind("x", "q", "k", apply=True)
    assert len(bound(ops)) == 1
