"""What is recorded of a worker's health, and the one line that it makes."""

from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from attune_ops.doctor import health
from attune_ops.doctor.health import _until_healthy, worker_health
from attune_ops.doctor.health_check import Health, HealthCheck, heartbeat, starting
from attune_ops.installation import registry_write
from attune_ops.installation.config import resolve
from attune_ops.model.errors import SourceError
from attune_ops.model.passive import MANAGEMENT_API, PASSIVE_DECLARE
from tests.unit.facts import NOW, worker

LIMIT = timedelta(seconds=90)


def test_a_worker_is_healthy_where_nothing_is_against_it() -> None:
    began = time.perf_counter()
    check = HealthCheck("worker", "1 (w1)")
    check.expect(True, "q is bound", "q is not bound")
    found = check.health()
    assert (found.healthy, found.origin) == (True, MANAGEMENT_API)
    assert found.line == "healthy: worker 1 (w1): q is bound"
    check.expect(False, "one consumer", "no consumer")
    found = check.health()
    assert (found.healthy, found.reasons, found.seen) == (False, ("no consumer",), ("q is bound",))
    assert found.line == "not healthy: worker 1 (w1): no consumer"
    assert 0 < found.duration_ms <= (time.perf_counter() - began) * 1000


def test_it_is_checked_again_until_it_is_healthy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "INTERVAL_S", 0.01)
    outcomes: list[tuple[str, ...] | None] = [None, ("no consumer",), ()]
    said: list[str] = []

    def check() -> Health:
        reasons = outcomes.pop(0)
        if reasons is None:
            raise SourceError("the registry is away")
        return Health("worker", "1 (w1)", reasons, (), NOW, 1.0)

    assert _until_healthy(check, 60, said.append).healthy
    assert [s.partition(": ")[2] for s in said] == ["the registry is away", "no consumer"]
    outcomes[:] = [None]
    with pytest.raises(SourceError, match="the registry is away"):
        _until_healthy(check, 0, said.append)


@pytest.mark.parametrize(
    ("named", "hint"), [("w9", ""), (None, "; this is the name of this host's worker: give an id or a name")]
)
def test_a_worker_that_is_not_registered(tmp_path: Path, named: str | None, hint: str) -> None:
    """Without a name it is this host's, which a person elsewhere does not expect."""
    registry = f"sqlite:///{tmp_path}/registry.sqlite"
    settings = resolve({"amqp_url": "amqp://127.0.0.1:1", "database_url": registry}, {})
    registry_write.register(settings.registry, "w1")
    found = worker_health(settings, named)
    assert found.line == (
        f"not healthy: worker {named or settings.own_worker}: not registered (registry {registry}){hint}"
    )


def test_what_was_not_checked_is_said_in_either_case() -> None:
    check = HealthCheck("worker", "1 (w1)")
    check.expect(True, "q has 1 consumer", "")
    check.skip("bindings", "no management API")
    found = check.health()
    assert found.origin == PASSIVE_DECLARE
    assert found.line == "healthy: worker 1 (w1): q has 1 consumer; not checked: bindings (no management API)"
    check.expect(False, "", "q is missing")
    assert check.health().line == "not healthy: worker 1 (w1): q is missing; not checked: bindings (no management API)"


@pytest.mark.parametrize(
    ("row", "reasons", "seen"),
    [
        ({}, (), ("heartbeat 5 s ago",)),
        ({"last_heartbeat": NOW + timedelta(seconds=9)}, (), ("heartbeat 0 s ago",)),  # its clock is ahead
        ({"last_heartbeat": NOW - LIMIT}, (), ("heartbeat 1 min 30 s ago",)),
        ({"last_heartbeat": NOW - timedelta(minutes=5)}, ("heartbeat 5 min ago (stale: more than 90 s)",), ()),
        ({"last_heartbeat": None}, ("heartbeat never sent",), ()),
        ({"cordoned": True}, (), ("heartbeat 5 s ago", "cordoned: it receives no new work")),
        ({"status": "inactive"}, ("status is inactive, last heartbeat 5 s ago",), ()),
        (
            {"status": "inactive", "updated": NOW, "last_heartbeat": NOW - timedelta(minutes=5)},
            ("status is inactive (crashed: its heartbeat stopped), last heartbeat 5 min ago",),
            (),
        ),
        (
            {"status": "inactive", "updated": NOW},
            ("status is inactive (stopped cleanly), last heartbeat 5 s ago",),
            (),
        ),
    ],
)
def test_what_the_registry_says_of_a_worker(row: dict[str, Any], reasons: Any, seen: Any) -> None:
    check = HealthCheck("worker", "1 (w1)")
    heartbeat(check, worker(1, **row), LIMIT, NOW)
    found = check.health()
    assert (found.reasons, found.seen) == (reasons, seen)


def test_a_worker_that_was_set_inactive_and_consumes() -> None:
    """A heartbeat did not set it active again before 0.6."""
    lives = "consumes and sends heartbeats (last 20 s ago)"
    for beat, updated, consumes, says in (
        (20, 1200, True, lives), (20, 20, True, lives), (20, 20, False, "stopped"), (95, 94, True, "stopped"),
        (20, 0, True, "stopped cleanly"),  # its consumer is listed for up to 10 s more
    ):  # fmt: skip
        ago = {"last_heartbeat": NOW - timedelta(seconds=beat), "updated": NOW - timedelta(seconds=updated)}
        row = worker(1, status="inactive", **ago)
        check = HealthCheck("worker", "1 (w1)")
        heartbeat(check, row, LIMIT, NOW, consumes=consumes)
        (reason,) = check.health().reasons
        assert says in reason


def test_a_worker_that_starts_is_not_healthy_yet() -> None:
    check = HealthCheck("worker", "1 (w1)")
    starting(check, worker(1, last_heartbeat=None), NOW)
    assert check.health().reasons == ("starting: its queues exist, no consumer yet; heartbeat never sent",)
