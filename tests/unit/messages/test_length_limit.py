"""A full queue drops messages that it has confirmed: what may exceed its limit is refused before it is published."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from attune_ops.installation.config import resolve
from attune_ops.installation.management_types.objects import OneQueue
from attune_ops.messages.length_limit import Room, dropping, read_room, reported_policy
from attune_ops.messages.selection import Target
from attune_ops.model.errors import ActionError
from attune_ops.model.snapshot import PolicyState
from attune_ops.routing.effective_policy import queue_settings

LIMIT, BYTES = {"x-max-length": 1000}, {"x-max-length-bytes": 5000}
DROPPED = "a full queue drops its oldest messages"


def room(arguments: dict[str, Any], ready: int | None = 200, size: int | None = 400, **policy: Any) -> Room:
    state = PolicyState("/", "p", ".*", "all", 0, policy) if policy else None
    return Room("q", dropping("classic", queue_settings(arguments, "classic", state, None)), ready, size)


@pytest.mark.parametrize(
    ("limited", "messages", "size", "said"),
    [
        (room(LIMIT), 801, 1, "max-length 1,000 (its argument): 200 messages are ready, and up to 801 more would"),
        (room({}, **{"max-length": 10}), 1, 1, "max-length 10 (policy 'p'): 200 messages"),
        (room(LIMIT, **{"max-length": 10}), 1, 1, "max-length 10 (policy 'p')"),
        (room(BYTES), 1, 4601, "max-length-bytes 5,000 (its argument): 400 bytes are ready, and up to 4,601 more"),
    ],
)
def test_what_may_exceed_the_limit_is_refused(limited: Room, messages: int, size: int, said: str) -> None:
    with pytest.raises(ActionError) as refused:
        limited.notes(messages, size)
    assert said in str(refused.value)
    assert str(refused.value).endswith(f"{DROPPED}, so nothing was published")


@pytest.mark.parametrize(
    ("limited", "messages", "size"),
    [
        (room(LIMIT), 800, None),
        (room(BYTES), 10**6, 4600),
        (room(LIMIT, ready=5000), 0, 0),  # nothing to publish
        (room({}), 10**6, None),
        (room(LIMIT | {"x-overflow": "reject-publish"}), 10**6, None),
        (room(LIMIT, overflow="reject-publish-dlx"), 10**6, None),
        (Room(), 10**6, None),
    ],
)
def test_what_fits_or_is_nacked_is_published(limited: Room, messages: int, size: int | None) -> None:
    assert limited.notes(messages, size) == ()


def test_bytes_that_are_never_counted_are_not_waited_for() -> None:
    off = msgspec.structs.replace(room(BYTES, size=None), statistics_off=True)
    with pytest.raises(ActionError, match=r"max-length-bytes 5,000 .*statistics are disabled.* reject-publish") as e:
        off.notes(1, None)
    assert "try again" not in str(e.value)


def test_the_size_of_all_messages_is_not_that_of_the_selected_ones() -> None:
    with pytest.raises(ActionError, match="up to 9,999 more would exceed it; that is the size of all messages"):
        room(BYTES).notes(1, 9999, of_all=True)
    with pytest.raises(ActionError, match="up to 801 more would exceed it; a full queue"):
        room(LIMIT).notes(801, 1, of_all=True)


def test_limits_that_cannot_be_read_are_a_note() -> None:
    (note,) = Room("q", unknown="it is down").notes(1, None)
    assert note == f"the length limit of queue 'q' is unknown (it is down): {DROPPED}"


@pytest.mark.parametrize(
    ("limited", "limit"),
    [(room(LIMIT, ready=None), "max-length 1,000"), (room(BYTES), "max-length-bytes 5,000")],
)
def test_what_is_not_counted_yet_is_not_published(limited: Room, limit: str) -> None:
    with pytest.raises(ActionError, match=rf"has {limit} \(its argument\), and it is not known yet.*try again"):
        limited.notes(1, None)
    assert limited.notes(0, None) == ()


def test_a_quorum_queue_drops_its_oldest_where_a_classic_one_dead_letters_the_new() -> None:
    for overflow, drops in (("drop-head", True), ("reject-publish-dlx", True), ("reject-publish", False)):
        settings = queue_settings({**LIMIT, "x-overflow": overflow}, "quorum", None, None)
        assert bool(dropping("quorum", settings)) is drops


def test_only_a_queue_has_one_limit() -> None:
    settings = resolve({"amqp_url": "amqp://127.0.0.1:1", "management_url": "http://127.0.0.1:1"}, {})
    for target in (Target(), Target("x", "k"), Target("", None), Target(None, "k")):
        assert read_room(settings, target) == Room()
    assert "127.0.0.1:1" in read_room(settings, Target("", "q")).unknown


def test_the_policy_that_the_broker_reports() -> None:
    assert reported_policy(None) is reported_policy(OneQueue("q", "/")) is None
    for definition, has in (({"max-length": 7}, {"max-length": 7}), ([], {})):
        found = reported_policy(OneQueue("q", "/", policy="p", effective_policy_definition=definition))
        assert found == PolicyState("/", "p", "", definition=has)
    limit = {"max-length": 7}
    for policy, operator_policy, named in (None, "o", "o"), ("p", "o", "p"), (None, None, ""):
        reported = OneQueue("q", "/", policy=policy, operator_policy=operator_policy, effective_policy_definition=limit)
        assert reported_policy(reported) == PolicyState("/", named, "", definition=limit)
