"""Counts by outcome; what stays makes a transfer incomplete. The state of a queue, and what reading it changes."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from attune_ops.installation.config import resolve
from attune_ops.installation.management_types.objects import OneQueue
from attune_ops.messages.drain import _outcomes, _undo_notes, drain
from attune_ops.messages.move import move
from attune_ops.messages.publisher import Destination, PublishResult, blocked
from attune_ops.messages.queue_state import QueueInfo, _default_limit, _limit, size_of
from attune_ops.messages.restore import restore
from attune_ops.messages.selection import MOST_GROUPS, Kept, OutcomeCounter, Target
from attune_ops.messages.transfer import Outcome, OutcomeCount, Transfer
from attune_ops.model.command_lines import restore_to_queue
from tests.unit.facts import NOW


@pytest.mark.parametrize(
    ("result", "outcome"),
    [
        ("published", ("published", "")),
        ("unroutable", ("returned", "unroutable")),
        ("exchange not found", ("returned", "exchange not found")),
        ("nacked", ("refused", "nacked by the broker (a full queue with overflow reject-publish?)")),
    ],
)
def test_the_outcome_of_each_answer(result: PublishResult, outcome: tuple[str, str]) -> None:
    counter = OutcomeCounter()
    counter.settle(Destination("x", b"k\xff", b""), result)
    (one,) = counter.outcomes
    assert ((one.outcome, one.why), one.exchange, one.routing_key, one.messages) == (outcome, "x", "k\ufffd", 1)


def test_counts_by_outcome() -> None:
    counter = OutcomeCounter()
    assert counter.were_published == "0 messages were"
    counter.add(Destination("x", "k", b""))
    assert counter.were_published == "1 message was"
    counter.add(Kept("kept", "why"))
    counter.add(Kept("kept", "why"))
    counter.expect(3)
    assert (counter.count("published"), counter.count("kept"), counter.count("returned")) == (4, 2, 0)
    assert counter.were_published == "4 messages were"
    assert [(o.outcome, o.messages, o.exchange, o.why) for o in counter.outcomes] == [
        ("published", 3, None, ""), ("kept", 2, None, "why"), ("published", 1, "x", ""),
    ]  # fmt: skip


def test_beyond_two_hundred_groups_the_rest_is_counted_together() -> None:
    counter = OutcomeCounter()
    for i in range(MOST_GROUPS + 5):
        counter.add(Destination("x", f"worker.{i}", b""))
    counter.add(Destination("x", "worker.0", b""))
    assert counter.count("published") == MOST_GROUPS + 6
    assert {o.messages for o in counter.outcomes if o.routing_key == "worker.0"} == {2}
    assert [(o.messages, o.why) for o in counter.outcomes if o.routing_key is None] == [(5, "…")]
    assert len(counter.outcomes) == 201


@pytest.mark.parametrize(
    ("outcome", "incomplete"),
    [
        ("returned", True), ("refused", True), ("kept", True), ("damaged", True), ("drained", False),
        ("published", False), ("other", False), ("duplicate", False), ("before", False),
    ],
)  # fmt: skip
def test_what_stays_makes_a_transfer_incomplete(outcome: Outcome, incomplete: bool) -> None:
    counts = (OutcomeCount("published", 5), OutcomeCount(outcome, 1))
    transfer = Transfer("restore", "file", "x", True, counts, NOW)
    assert transfer.incomplete is incomplete
    assert transfer.count(outcome) == (6 if outcome == "published" else 1)
    none = Transfer("restore", "file", "x", True, (OutcomeCount(outcome, 0),), NOW)
    assert not none.incomplete


@pytest.mark.parametrize(
    ("target", "words"),
    [
        (Target(), "their original exchange"),
        (Target(None, "k"), "its exchange, key 'k'"),
        (Target("", "q"), "queue 'q'"),
        (Target("x"), "exchange 'x', its own key"),
        (Target("x", "k"), "exchange 'x', key 'k'"),
        (Target("", None), "exchange '', its own key"),
    ],
)
def test_the_destination_in_words(target: Target, words: str) -> None:
    assert target.words == words


def test_a_drain_says_what_it_requeued_and_how_to_undo_it() -> None:
    assert _outcomes(Counter(drained=3)) == (OutcomeCount("drained", 3),)
    assert _outcomes(Counter(drained=0, other=2)) == (
        OutcomeCount("drained", 0),
        OutcomeCount("other", 2, why="not matched by --filter; requeued"),
    )
    undo = str(restore_to_queue("worker.1.executions", "-f.jsonl"))
    assert "messages restore --exchange= --routing-key=worker.1.executions --apply -- -f.jsonl" in undo
    (note,) = _undo_notes(resolve({"amqp_url": "amqp://127.0.0.1:1", "database_url": "sqlite:////r.db"}, {}))
    assert "finished executions in the file; `--finished`" in note
    assert not _undo_notes(resolve({"amqp_url": "amqp://127.0.0.1:1"}, {}))


@pytest.mark.parametrize(("auto_delete", "may"), [(False, True), (True, False), (None, False)])
def test_an_auto_delete_queue_is_never_consumed_from(auto_delete: bool | None, may: bool) -> None:
    """Nor one of which it is unknown: with its last consumer it would be deleted, messages included."""
    assert QueueInfo("q", 1, 0, auto_delete=auto_delete).may_consume is may


OTHERS = "2 other consumers of the queue may receive messages meanwhile"
REQUEUED = "requeued messages keep their position and are flagged `redelivered`"
QUORUM = "a quorum queue before RabbitMQ 4.3 counts a delivery for each requeued message"
LIMIT = (
    "a message that has reached its delivery limit (20) is republished at the end of the queue instead"
)  # fmt: skip


@pytest.mark.parametrize(
    ("info", "requeued", "notes"),
    [
        (QueueInfo("q", 1, 0, "classic", False), False, ()),
        (QueueInfo("q", 1, 2, "classic", False), False, (OTHERS,)),
        (QueueInfo("q", 1, 0, "classic", False), True, (REQUEUED,)),
        (QueueInfo("q", 1, 0, "quorum", False, 20), True, (REQUEUED, QUORUM, LIMIT)),
        (QueueInfo("q", 1, 0, "quorum", False, 20, False), True, (REQUEUED, QUORUM)),
        (QueueInfo("q", 1, 0, "quorum", False), True, (REQUEUED, QUORUM)),
        (QueueInfo("q", 1, 0, "quorum", False, 20), False, ()),
        (
            QueueInfo("q", 1, 0, "classic", True),
            False,
            ("auto-delete queue: using basic.get, because its last consumer would delete it",),
        ),
        (
            QueueInfo("q", 1, 0, unknown="it is down"),
            False,
            ("auto-delete flag unknown (it is down): using basic.get, slower",),
        ),
    ],
)
def test_what_reading_changes(info: QueueInfo, requeued: bool, notes: tuple[str, ...]) -> None:
    assert info.notes(requeued=requeued) == notes


@pytest.mark.parametrize(
    ("argument", "policy", "version", "limit"),
    [
        (5, 7, "4.3.6", 5),
        (7, 5, "4.3.6", 5),
        (5, None, "4.3.6", 5),
        (None, 5, "3.13.7", 5),
        (0, None, "4.3.6", 0),
        (-1, None, "4.3.6", None),
        (None, None, "4.3.6", 20),
        (None, None, "3.13.7", None),
        (None, "nonsense", "4.0.0", 20),
    ],
)
def test_the_delivery_limit_of_a_quorum_queue(argument: Any, policy: Any, version: str, limit: int | None) -> None:
    made = OneQueue(
        "q", "/", "quorum",
        arguments={} if argument is None else {"x-delivery-limit": argument},
        effective_policy_definition=[] if policy is None else {"delivery-limit": policy},
    )  # fmt: skip
    assert _limit(made, version) == limit
    assert _limit(msgspec.structs.replace(made, type="classic"), version) is None


@pytest.mark.parametrize(("version", "limit"), [("3.13.7", None), ("4.3.6", 20)])
def test_a_queue_of_unknown_type_may_have_the_default_delivery_limit(version: str, limit: int | None) -> None:
    assert _limit(None, version) == limit


@pytest.mark.parametrize(("version", "limit"), [("2.8.7", None), ("3.13.7", None), ("4.0.0", 20), ("", 20)])
def test_the_default_delivery_limit(version: str, limit: int | None) -> None:
    assert _default_limit(version) == limit


def test_an_alarm_in_words() -> None:
    assert blocked("memory").startswith("the broker blocks publishers: memory; ")
    assert blocked("memory", 12.3).startswith("the broker blocks publishers for 12 s: memory; ")
    assert blocked(None) == "the broker accepts messages again"


@pytest.mark.parametrize("operation", [drain, move, restore])
def test_whatever_moves_messages_is_a_dry_run_unless_asked_to_apply(operation: Callable[..., Transfer]) -> None:
    assert inspect.signature(operation).parameters["apply"].default is False


@pytest.mark.parametrize(("counted", "size"), [(None, None), (4, None), (5, 99), (6, 99)])
def test_the_bytes_of_fewer_messages_than_are_ready_are_not_their_size(counted: int | None, size: int | None) -> None:
    """The statistics are seconds old."""
    assert size_of(OneQueue("q", "/", messages_ready=counted, message_bytes_ready=99), 5) == size
    assert size_of(None, 5) is None
