"""Where a message goes when it is sent again, what keeps it back, and which are duplicates."""

from __future__ import annotations

import json
from typing import Any

import pytest

from attune_ops.messages.message import REPLAYS, Message
from attune_ops.messages.properties import decode
from attune_ops.messages.publisher import Destination
from attune_ops.messages.restore import DuplicateDetector
from attune_ops.messages.selection import Guard, Target, executions_of
from tests.unit.messages.wire import Typed, properties


def death(queue: str = "work", reason: str = "rejected", **changes: Any) -> dict[str, Any]:
    return {"queue": queue, "reason": reason, "count": 1, "exchange": "x", "routing-keys": ["job.1"]} | changes


def message(*deaths: Any, body: Any = None, key: bytes | None = None, headers: dict[str, Any] | None = None) -> Message:
    headers = headers or {}
    raw = properties(headers={"x-death": list(deaths), **headers} if deaths else headers, message_id="id")
    return Message(1, "came.by", "came.with", raw, json.dumps(body or {}).encode(), key=key)


def where(found: Destination) -> tuple[str, str | bytes]:
    return found.exchange, found.routing_key


@pytest.mark.parametrize(
    ("target", "of", "goes"),
    [
        (Target(), message(death()), ("x", "job.1")),
        (Target(), message(death("newest", exchange="n"), death("older", exchange="o")), ("n", "job.1")),
        (Target(), message(death() | {"routing-keys": []}), ("x", "came.with")),
        (Target(), message(), ("came.by", "came.with")),
        (Target(), message(key=b"\xff"), ("came.by", b"\xff")),
        (Target("to", "k"), message(death()), ("to", "k")),
        (Target("to"), message(death()), ("to", "came.with")),
        (Target(None, "k"), message(death()), ("x", "k")),
        (Target("", "queue"), message(), ("", "queue")),
    ],
)
def test_destinations(target: Target, of: Message, goes: tuple[str, str | bytes]) -> None:
    assert where(target.of(of)) == goes


def test_only_a_dead_letter_is_counted_and_only_on_its_way_again() -> None:
    once = Target().of(message(death()))
    assert (decode(once.properties).headers or {})[REPLAYS] == 1
    again = Target().of(message(death(), headers={REPLAYS: Typed(b"I", 4)}))
    assert (decode(again.properties).headers or {})[REPLAYS] == 5
    named = Target("to", "k", counted=False, counted_back=True)
    for target, of in (
        (Target(), message()),
        (named, message(death())),
        (Target("", "k", counted=False), message(death())),
        (Target("", death()["queue"], counted=False), message(death())),
    ):
        assert target.of(of).properties == of.properties
    back = Target("", death()["queue"], counted=False, counted_back=True)
    assert (decode(back.of(message(death())).properties).headers or {})[REPLAYS] == 1
    assert Guard(0, target=back).why_not(message(death()), {}) == "already replayed 0 times"
    assert Guard(0, target=named).why_not(message(death()), {}) is None
    twice = message(death(), death(queue="before"))
    assert back.is_replay(twice)
    assert not Target("", "before", counted=False, counted_back=True).is_replay(twice)


@pytest.mark.parametrize("nonsense", ["x", -1, None, {"a": 1}, [1]])
def test_a_count_that_is_none_counts_nothing(nonsense: Any) -> None:
    assert message(death(), headers={REPLAYS: nonsense}).replays == 0


@pytest.mark.parametrize("history", ["text", 5, [], [1, "x"], [{"reason": "expired"}], {"queue": "q"}])
def test_a_history_that_is_none_is_none(history: Any) -> None:
    assert message(headers={"x-death": history}).deaths == ()


def test_the_guard() -> None:
    asked = message(death(), body={"message_type": "ExecutionRequested", "payload": {"execution_id": 7}})
    told = message(death(), body={"message_type": "ExecutionCompleted", "payload": {"execution_id": 7}})
    ended = {7: "failed"}
    assert Guard().why_not(asked, ended) == "its execution is already failed"
    assert Guard().why_not(asked, {8: "failed"}) is None
    assert Guard().why_not(told, ended) is None
    often = message(death(), headers={REPLAYS: 3})
    assert Guard().why_not(often, {}) == "already replayed 3 times"
    assert Guard(max_replays=4).why_not(often, {}) is None
    assert Guard(max_replays=None).why_not(often, {}) is None
    assert Guard().why_not(message(headers={REPLAYS: 3}), {}) is None, "it never died"


def test_only_its_user_may_publish_what_names_one() -> None:
    theirs = Message(1, "", "q", properties(user_id="bob"), b"")
    assert Guard(user="bob").why_not(theirs, {}) is None
    assert "bob" in str(Guard(user="ann").why_not(theirs, {}))


def test_which_executions_are_asked_for() -> None:
    def of(type: str, id: Any) -> Message:
        return message(body={"message_type": type, "payload": {"execution_id": id}})

    found = executions_of(
        [
            of("ExecutionRequested", 3),
            of("ExecutionCancelRequested", 1),
            of("ExecutionRequested", 3),
            of("EventCreated", 2),
            of("ExecutionRequested", "4"),
            of("ExecutionRequested", True),
            of("ExecutionRequested", 2**63 - 1),
            of("ExecutionRequested", 2**63),  # no bigint of PostgreSQL
            of("ExecutionRequested", 0),
            Message(1, "", "", properties(type="ExecutionRequested"), b"no JSON"),
        ]
    )
    assert found == (1, 3, 2**63 - 1)


def copy(id: str | None, body: bytes = b"{}", headers: dict[str, Any] | None = None) -> Message:
    ids: dict[str, Any] = {} if id is None else {"message_id": id}
    return Message(1, "", "q", properties(headers=headers or {}, **ids), body)


def test_duplicates() -> None:
    duplicates = DuplicateDetector()
    assert not duplicates.has(copy("a"))
    assert duplicates.has(copy("a"))
    assert duplicates.has(copy("a", headers={"x-delivery-count": 1})), "a quorum queue adds a header to the second copy"
    assert not duplicates.has(copy("a", b"{ }")), "another body"
    assert not duplicates.has(copy("b"))
    assert not duplicates.has(copy(None))
    assert not duplicates.has(copy(None)), "without an id two alike may be two messages"
    by_envelope = copy(None, b'{"message_id": "m"}')
    assert [duplicates.has(by_envelope), duplicates.has(by_envelope)] == [False, True]
    assert [duplicates.has(copy("x" * 255)), duplicates.has(copy("x" * 255))] == [False, True]


def test_duplicates_keep_the_memory_the_same() -> None:
    duplicates = DuplicateDetector(window=3)
    for id in "abcd":
        assert not duplicates.has(copy(id))
    assert not duplicates.has(copy("a"))
    assert duplicates.has(copy("d"))
