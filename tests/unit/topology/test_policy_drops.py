"""What a length limit takes out of queues at once: how much, where it goes, what saves it; and what it spares."""

from __future__ import annotations

import shlex
from typing import Any

import msgspec
import pytest

from attune_ops.topology.policies.effects import preview_set
from attune_ops.topology.policies.policy_change import Drop, PolicyChange
from attune_ops.topology.policies.view_policy_change import as_json
from tests.unit.facts import queue
from tests.unit.topology.test_policies import EVENTS, only, policy, with_policies

WAITING = {"messages": 9, "messages_ready": 7, "messages_unacknowledged": 2, "arguments": {}}


def change(definition: dict[str, Any], *others: Any, **changes: Any) -> PolicyChange:
    return preview_set(with_policies(*others, **(WAITING | changes)), policy(definition=definition))


def test_a_limit_takes_the_ready_messages_above_it_and_says_how_to_save_them() -> None:
    found = change({"max-length": 3})
    assert only(found).drop == Drop(7, 4, lost="no dead-letter exchange")
    (line,) = found.commands
    assert shlex.split(str(line))[1:] == [
        "messages", "drain", "--to", f"{EVENTS}.jsonl", "--limit", "4", "--apply", "--", EVENTS
    ]  # fmt: skip
    text = str(found)
    assert "removes 4 of its 7 ready messages at once, oldest first; they are lost: no dead-letter exchange" in text
    assert (
        "removes 4 ready messages from 1 queue at once; 4 of them are lost; the undo does not bring them back" in text
    )
    drop = as_json(found)["effects"][0]["drop"]
    assert drop is not None
    assert drop["messages"] == 4


@pytest.mark.parametrize(
    ("definition", "changes"),
    [
        ({"max-length": 7}, {}),
        ({"max-length": 3}, {"messages_ready": None}),
        ({"max-length": 3}, {"messages_ready": 0}),
        ({"max-length": 3}, {"arguments": {"x-max-length": 3}}),  # it was in force before
        ({"max-length": 3, "overflow": "reject-publish"}, {"type": "quorum"}),
        ({"max-length": 3}, {"arguments": {"x-overflow": "reject-publish"}}),
        ({"max-length-bytes": 100}, {"message_bytes": 100}),
        ({"expires": 1000}, {}),
        ({"message-ttl": 1}, {}),
    ],
)
def test_what_drops_nothing(definition: dict[str, Any], changes: dict[str, Any]) -> None:
    found = change(definition, **changes)
    assert only(found).drop is None
    assert found.commands == ()
    assert not any("at once" in w for w in found.warnings)


@pytest.mark.parametrize("bytes_", [None, 0, 101])
def test_how_many_go_by_their_sizes_is_not_known(bytes_: int | None) -> None:
    found = change({"max-length-bytes": 100}, message_bytes=bytes_)
    assert only(found).drop == Drop(7, None, lost="no dead-letter exchange")
    assert found.commands == (), "a drain would take other messages"
    assert "removes some of its 7 ready messages at once, oldest first, depending on their sizes" in str(found)


@pytest.mark.parametrize("overflow", ["reject-publish", "reject-publish-dlx"])
def test_a_classic_queue_drops_before_it_refuses(overflow: str) -> None:
    found = change({"max-length": 3, "overflow": overflow})
    assert only(found).drop == Drop(7, 4, lost="no dead-letter exchange")
    assert any("set --overflow first" in w for w in found.warnings)
    before = policy(definition={"overflow": overflow})
    assert only(change({"max-length": 3, "overflow": overflow}, before)).drop is None


def test_dead_letters_are_followed_by_the_policies_as_they_will_be() -> None:
    there = {"dead-letter-exchange": "", "dead-letter-routing-key": "attune.executions.queue"}
    found = change({"max-length": 3} | there)
    assert only(found).drop == Drop(7, 4, ("attune.executions.queue",))
    assert found.commands == ()
    assert any("they are dead-lettered" in w for w in found.warnings)
    assert only(change({"max-length": 3, "overflow": "reject-publish"} | there)).drop == Drop(
        7, 4, ("attune.executions.queue",)
    ), "while they go the queue does not refuse yet"
    lost = only(change({"max-length": 3, "dead-letter-exchange": "nope"})).drop
    assert lost is not None
    assert (lost.goes_to, "does not exist" in lost.lost) == ((), True)


def test_dead_letters_into_a_queue_that_is_limited_too() -> None:
    made = with_policies(
        **(WAITING | {"arguments": {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"}})
    )
    assert made.broker is not None
    broker = msgspec.structs.replace(made.broker, queues=(*(made.broker.queues or ()), queue("dead")))
    facts = msgspec.structs.replace(made, broker=broker)
    assert only(preview_set(facts, policy(definition={"max-length": 3}))).drop == Drop(7, 4, ("dead",))
    limited = policy(pattern="^(attune\\.events\\.queue|dead)$", definition={"max-length": 3})
    drop = next(e.drop for e in preview_set(facts, limited).effects if e.name == EVENTS)
    assert drop == Drop(7, 4, ("dead",), "dead has a length limit too")


def test_a_ttl_spares_what_waits_and_says_so() -> None:
    assert any("the 7 ready messages do not expire" in w for w in change({"message-ttl": 5}).warnings)


@pytest.mark.parametrize("changes", [{"exclusive": True}, {"arguments": {"x-max-priority": 5}}])
def test_no_drain_is_offered_that_would_not_save_them(changes: dict[str, Any]) -> None:
    found = change({"max-length": 3}, **changes)
    assert only(found).drop == Drop(7, 4, lost="no dead-letter exchange")
    assert found.commands == ()
