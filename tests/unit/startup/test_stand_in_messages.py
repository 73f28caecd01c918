"""Where stand-ins publish, by the topology's table, and at what pace."""

from __future__ import annotations

import pytest

from attune_ops.model.topologies import load
from attune_ops.startup.standins.publishing import Pace, number_field, route

JANUARY, SEPTEMBER = "attune-2026-01", "attune-2026-09"


@pytest.mark.parametrize(
    ("topology", "service", "message_type", "worker", "wanted"),
    [
        (JANUARY, "sensor", "EventCreated", None, ("attune.events", "event.created")),
        (JANUARY, "executor", "ExecutionRequested", None, ("attune.executions", "execution")),
        (JANUARY, "executor", "ExecutionRequested", 7, ("attune.executions", "worker.7")),
        (JANUARY, "worker", "NotificationCreated", None, ("attune.notifications", "notification.created")),
        (JANUARY, "worker", "ExecutionCompleted", None, None),
        (SEPTEMBER, "executor", "ExecutionRequested", 7, ("attune.executions", "execution.dispatch.worker.7")),
        (SEPTEMBER, "worker", "ExecutionCompleted", None, ("attune.executions", "execution.completed")),
        (SEPTEMBER, "notifier", "NotificationCreated", None, None),
        (SEPTEMBER, "sensor", "ExecutionRequested", None, None),
    ],
)
def test_a_message_goes_where_the_topology_says(
    topology: str, service: str, message_type: str, worker: int | None, wanted: tuple[str, str] | None
) -> None:
    found = route(load(topology), service, message_type, worker)
    assert (found and (found.exchange, found.routing_key)) == wanted


def test_messages_are_numbered_in_attune_s_own_members() -> None:
    assert number_field("ExecutionRequested") == "execution_id"
    assert number_field("EventCreated") == "event_id"
    assert number_field("NotificationCreated") == "id"


def test_a_steady_pace_up_to_a_count() -> None:
    pace = Pace(rate=10, count=3, first=5)
    times = [0.0, 0.05, 0.1, 0.2, 0.3, 9.0]
    assert [pace.due(100 + t) for t in times] == [5, None, 6, 7, None, None]
    assert pace.wait(200, longest=0.1) == 0.1, "nothing more is due"


def test_a_pause_is_not_followed_by_a_flood() -> None:
    pace = Pace(rate=10, count=None, first=1)
    assert pace.due(0) == 1
    sent = [pace.due(60 + t / 100) for t in range(100)]
    assert len([n for n in sent if n]) <= 21, "a second's worth, and what is due meanwhile"


def test_no_rate_sends_nothing() -> None:
    pace = Pace(rate=0, count=None, first=1)
    assert pace.due(0) is None
    assert pace.wait(0, longest=0.1) == 0.1
