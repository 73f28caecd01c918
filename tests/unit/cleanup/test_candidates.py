"""Only a queue that broker and registry show as orphaned in two runs, a grace period apart, may be deleted."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from attune_ops.cleanup.candidates import Candidate, ReapResult, candidates, orphaned_since
from attune_ops.model.errors import SourceError
from attune_ops.model.facts import Facts, Source
from attune_ops.model.ownership import most_consumers
from attune_ops.model.registry import Worker
from attune_ops.render import form
from tests.unit.facts import NOW, worker
from tests.unit.facts import facts as installation

QUEUE = "worker.3.executions"
GRACE = timedelta(minutes=10)


def facts(gone: Worker | None, consumers: int = 0, **queue: Any) -> Facts:
    """An installation whose worker 3 is as given, or not registered at all; its queue changed."""
    made = installation()
    assert made.registry is not None
    assert made.broker is not None
    workers = tuple(w for w in made.registry.workers if w.id != 3) + ((gone,) if gone else ())
    queues = tuple(
        msgspec.structs.replace(q, consumers=consumers, **queue) if q.name == QUEUE else q
        for q in made.broker.queues or ()
    )
    others = tuple(c for c in made.broker.consumers or () if c.queue != QUEUE)
    return msgspec.structs.replace(
        made,
        registry=msgspec.structs.replace(made.registry, workers=workers),
        broker=msgspec.structs.replace(made.broker, queues=queues, consumers=others),
    )


STOPPED = worker(3, status="inactive", last_heartbeat=NOW - timedelta(hours=1))
STALE = worker(3, last_heartbeat=NOW - timedelta(hours=1))


def only(found: tuple[Candidate, ...]) -> Candidate:
    (one,) = found
    return one


@pytest.mark.parametrize("gone", [None, STOPPED, STALE])
def test_an_orphan_is_deleted_after_the_grace_period(gone: Worker | None) -> None:
    f = facts(gone)
    before = {QUEUE: NOW - GRACE}
    assert orphaned_since(f, before) == before
    assert only(candidates(f, before, GRACE, lambda _: True)).verdict == "deletes"


def test_an_orphan_that_is_found_for_the_first_time_waits() -> None:
    f = facts(None)
    since = orphaned_since(f, {})
    assert since == {QUEUE: NOW}
    one = only(candidates(f, since, GRACE, lambda _: True))
    assert (one.verdict, one.orphaned_for) == ("waits", timedelta())


def test_a_heartbeat_meanwhile_starts_the_grace_period_again() -> None:
    f = facts(worker(3, last_heartbeat=NOW - timedelta(minutes=15)))
    assert orphaned_since(f, {QUEUE: NOW - timedelta(minutes=20)}) == {QUEUE: NOW}


@pytest.mark.parametrize("status", ["active", "inactive"])
def test_a_worker_that_may_be_starting_keeps_its_queue(status: str) -> None:
    registered = NOW - timedelta(minutes=5)  # the executor sets it inactive after 90 s
    f = facts(worker(3, status=status, last_heartbeat=registered, updated=registered + timedelta(seconds=95)))
    assert orphaned_since(f, {QUEUE: NOW - GRACE}) == {}
    assert candidates(f, {QUEUE: NOW - GRACE}, GRACE, lambda _: True) == ()


def test_a_live_worker_and_a_consumer_each_keep_a_queue() -> None:
    before = {QUEUE: NOW - GRACE}
    assert orphaned_since(installation(), before) == {}
    assert candidates(installation(), before, GRACE, lambda _: True) == ()
    assert orphaned_since(facts(None, consumers=1), before) == {}
    assert only(candidates(facts(None, consumers=1), before, GRACE, lambda _: True)).verdict == "kept"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"state": "down"}, "unavailable"),
        ({"type": "quorum"}, "quorum"),
        ({"messages_unacknowledged": 2}, "2 unacknowledged messages"),
    ],
)
def test_what_the_broker_could_not_guard_is_kept(changes: dict[str, Any], says: str) -> None:
    one = only(candidates(facts(None, **changes), {QUEUE: NOW - GRACE}, GRACE, lambda _: True))
    assert one.verdict == "kept"
    assert says in one.reason


def test_only_what_matches() -> None:
    assert candidates(facts(None), {}, GRACE, lambda name: name == "other") == ()


@pytest.mark.parametrize("source", [Source.REGISTRY, Source.BROKER, Source.CONSUMERS])
def test_who_cannot_look_deletes_nothing(source: Source) -> None:
    blind = msgspec.structs.replace(facts(None), missing={source: "it is down"})
    with pytest.raises(SourceError, match="it is down"):
        orphaned_since(blind, {})


def test_a_first_run_is_not_some_seconds_ago() -> None:
    one = only(candidates(facts(None), {}, GRACE, lambda _: True))
    for orphaned_for, said in (
        (timedelta(), "first found in this run"),
        (timedelta(seconds=90), "first found 1 min"),
    ):
        again = msgspec.structs.replace(one, orphaned_for=orphaned_for)
        assert f"; {said}" in form(ReapResult(False, (again,), GRACE, NOW), "text")


def test_the_reason_says_how_long_the_grace_period_was() -> None:
    for grace, reason in (
        (GRACE, "orphaned for the whole grace period of 10 min"),
        (timedelta(), "orphaned, no grace"),
    ):
        one = only(candidates(facts(None), {QUEUE: NOW - GRACE}, grace, lambda _: True))
        assert one.verdict == "deletes"
        assert one.reason.startswith(reason)
        assert one.saved_messages == 0


def test_the_grace_period_ends_at_its_last_second() -> None:
    for early, verdict in ((timedelta(seconds=1), "waits"), (timedelta(), "deletes")):
        assert only(candidates(facts(None), {QUEUE: NOW - GRACE + early}, GRACE, lambda _: True)).verdict == verdict


def test_consumers_are_the_larger_of_two_counts() -> None:
    assert most_consumers(facts(None), QUEUE) == 0
    assert most_consumers(facts(None, consumers=2), QUEUE) == 2
    assert most_consumers(facts(None), "no such queue") == 0


def test_verdicts_are_counted_apart() -> None:
    one = only(candidates(facts(None), {QUEUE: NOW - GRACE}, GRACE, lambda _: True))
    result = ReapResult(False, (one, one, one.judged("kept", "it has 1 consumer")), GRACE, NOW)
    assert (result.count("deletes"), result.count("kept"), result.count("waits")) == (2, 1, 0)


@pytest.mark.parametrize(
    ("worker_id", "restores"),
    [
        (3, f"messages restore --exchange= --routing-key={QUEUE} --apply -- saved.jsonl"),
        (None, "messages restore -- saved.jsonl"),  # a leftover's queue does not come back: only the dry run
    ],
)
def test_saved_messages_are_restored_to_the_queue_alone(worker_id: int | None, restores: str) -> None:
    """Their original exchange would send old events to every live worker."""
    one = only(candidates(facts(None), {QUEUE: NOW - GRACE}, GRACE, lambda _: True)).judged("deleted", "")
    saved = msgspec.structs.replace(one, worker_id=worker_id, saved="saved.jsonl", saved_messages=2)
    shown = form(ReapResult(True, (saved,), GRACE, NOW), "text")
    assert f"2 messages saved: attune-ops {restores}\n" in shown
