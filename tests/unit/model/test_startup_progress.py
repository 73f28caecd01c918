"""Which steps a service has, and how far the registered workers got."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from attune_ops.model.errors import ConfigError
from attune_ops.model.startup_progress import SERVICES, Step, progress, steps_of
from attune_ops.model.topologies import load
from tests.unit.facts import facts, worker

JANUARY, SEPTEMBER, RELEASE_0_6 = "attune-2026-01", "attune-2026-09", "attune-0.6"


@pytest.mark.parametrize(
    ("topology", "service", "steps"),
    [
        (JANUARY, "worker", "connect setup register declare bind consume ready"),
        (JANUARY, "executor", "connect setup consume ready"),
        (JANUARY, "sensor", "connect setup ready"),
        (JANUARY, "notifier", "connect setup ready"),
        (SEPTEMBER, "worker", "connect setup register declare bind consume ready"),
        (SEPTEMBER, "executor", "connect setup declare bind consume ready"),
        (SEPTEMBER, "sensor", "connect setup declare bind consume ready"),
        (SEPTEMBER, "supervisor", "connect setup ready"),
        (RELEASE_0_6, "executor", "connect setup declare bind consume ready"),
        (RELEASE_0_6, "sensor", "connect setup declare bind consume ready"),
        (RELEASE_0_6, "api", "connect setup declare bind consume ready"),
    ],
)
def test_each_service_has_the_steps_that_the_topology_gives_it(topology: str, service: str, steps: str) -> None:
    assert " ".join(steps_of(load(topology), service)) == steps


@pytest.mark.parametrize("topology", [SEPTEMBER, RELEASE_0_6])
def test_the_notifier_of_a_later_release_is_refused(topology: str) -> None:
    with pytest.raises(ConfigError, match=f"the notifier does not use RabbitMQ in topology {topology}; .*: api, exec"):
        steps_of(load(topology), "notifier")


def test_an_unknown_service_or_step_is_told_those_there_are() -> None:
    with pytest.raises(ConfigError, match=", ".join(SERVICES)):
        steps_of(load(JANUARY), "scheduler")
    with pytest.raises(ConfigError, match="connect, setup, register, declare, bind, consume, ready"):
        Step.named("declair")


def without(topology: str, **lost: Any) -> Any:
    """Two workers, of which the second has lost something on the broker."""
    found = facts((worker(1), worker(2)), topology=topology)
    assert found.broker is not None
    kept = {
        listing: tuple(item for item in getattr(found.broker, listing) if not gone(item))
        for listing, gone in lost.items()
    }
    return msgspec.structs.replace(found, broker=msgspec.structs.replace(found.broker, **kept))


@pytest.mark.parametrize("topology", [JANUARY, SEPTEMBER])
def test_a_whole_start_up_is_stuck_nowhere(topology: str) -> None:
    for one in progress(facts(topology=topology)):
        assert (one.stuck_at, one.lacks, one.unknown) == (None, (), ())


def test_the_first_step_that_left_nothing_is_named_with_what_is_missing() -> None:
    queue = "worker.2.executions"
    cases = {
        Step.DECLARE: without(
            JANUARY,
            queues=lambda q: q.name == queue,
            bindings=lambda b: b.destination == queue,
            consumers=lambda c: c.queue == queue,
        ),
        Step.BIND: without(JANUARY, bindings=lambda b: b.destination == queue),
        Step.CONSUME: without(JANUARY, consumers=lambda c: c.queue == queue),
    }
    for step, found in cases.items():
        first, second = progress(found)
        assert first.stuck_at is None
        assert second.stuck_at is step
        assert any(queue in lack for lack in second.lacks)
    assert second.sentence() == (
        "worker 2 'w2' is registered; its consume step did not run, or was undone later "
        "(missing: consumer worker-2 on worker.2.executions)"
    )


def test_what_was_not_told_is_unknown_and_never_missing() -> None:
    found = facts((worker(1),), consumers=None)
    assert [(p.stuck_at, p.unknown) for p in progress(found)] == [(None, (Step.CONSUME,))]


def test_a_sensor_worker_has_no_start_up_of_queues() -> None:
    assert progress(facts((worker(1, role="sensor"),))) == ()
