"""What a reading could not see has no sample, and is null in a line of `watch`."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from attune_ops.doctor.diagnose import diagnose
from attune_ops.model.facts import Facts, Source
from attune_ops.monitoring.live_reading import as_json
from attune_ops.monitoring.metrics import exposition, families
from tests.unit import facts as small
from tests.unit.doctor.checks import world

NO_TAG = "the user lacks the tag monitoring"
AWAY = "connection refused"


def without_consumers(facts: Facts) -> Facts:
    """The facts as a user without the tag monitoring reads them."""
    queues = tuple(msgspec.structs.replace(q, consumers=None) for q in facts.actual.queues or ())
    changed = world.change(facts, queues=queues, consumers=None)
    return msgspec.structs.replace(changed, missing={Source.CONSUMERS: NO_TAG})


def without_broker(facts: Facts) -> Facts:
    return msgspec.structs.replace(facts, broker=None, earlier=None, missing={Source.BROKER: AWAY})


def samples(facts: Facts, name: str) -> list[str]:
    """The samples of one metric, without its prefix."""
    lines = exposition(families(diagnose(facts))).decode().splitlines()
    return [line.removeprefix("attune_ops_") for line in lines if line.partition(" ")[0].partition("{")[0]
            == f"attune_ops_{name}"]  # fmt: skip


@pytest.mark.parametrize(
    ("unread", "known"),
    [
        (without_consumers, {"stopped": 0, "crashed": 1, "error": 0, "stale": 0, "no queue": 0, "unregistered": 0}),
        (without_broker, {"stopped": 0, "crashed": 1, "error": 0, "stale": 0}),
    ],
)
def test_a_worker_of_unknown_state_is_not_counted(unread: Any, known: dict[str, int]) -> None:
    crashed = small.worker(4, status="inactive", last_heartbeat=small.NOW - timedelta(hours=1), updated=small.NOW)
    read = world.registered(world.healthy("attune-0.6"), *map(small.worker, (1, 2, 3)), crashed)
    assert 'workers{state="ready"} 3.0' in samples(read, "workers")
    assert len(samples(read, "worker_ready")) == 4
    facts = unread(read)
    assert samples(facts, "workers") == [f'workers{{state="{s}"}} {n}.0' for s, n in known.items()]
    assert samples(facts, "worker_ready") == ['worker_ready{id="4",worker="w4"} 0.0']


def test_an_orphaned_queue_of_unknown_depth_is_not_empty() -> None:
    facts = world.healthy("attune-0.6", (small.worker(1), world.stale(2, 60)))
    assert samples(facts, "orphaned_queue_messages") == ["orphaned_queue_messages 0.0"]
    unknown = world.queues(facts, "worker.2.executions", messages=None)
    assert samples(unknown, "orphaned_queues") == samples(facts, "orphaned_queues")
    assert samples(unknown, "orphaned_queue_messages") == []


def test_a_queue_without_statistics_has_no_number_of_consumers() -> None:
    facts = world.change(world.queues(world.healthy(), world.EVENTS, consumers=None), consumers=())
    assert f'queue_consumers{{queue="{world.NOTIFICATIONS}"}} 0.0' in samples(facts, "queue_consumers")
    assert not [s for s in samples(facts, "queue_consumers") if world.EVENTS in s]


@pytest.mark.parametrize(("unread", "reason"), [(without_consumers, NO_TAG), (without_broker, AWAY)])
def test_a_line_of_watch_says_what_is_unknown(unread: Any, reason: str) -> None:
    healthy = world.healthy("attune-0.6")
    assert as_json(healthy, ())["workers_ready"] == 3
    line = as_json(unread(healthy), ())
    assert (line["workers"], line["workers_ready"], line["reason"]) == (3, None, reason)
