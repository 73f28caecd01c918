"""The message that a runbook follows without a given one has the routing key of the release on the broker."""

from __future__ import annotations

import msgspec
import pytest

from attune_ops.model.errors import ConfigError
from attune_ops.notebook.runbooks.session import dispatch
from tests.unit.doctor.checks.world import healthy
from tests.unit.facts import worker


@pytest.mark.parametrize(
    ("topology", "routing_key"),
    [
        ("attune-2026-01", "worker.7"),
        ("attune-2026-09", "execution.dispatch.worker.7"),
        ("attune-0.6", "execution.dispatch.worker.7"),
    ],
)
def test_it_goes_to_the_first_live_worker(topology: str, routing_key: str) -> None:
    found = dispatch(healthy(topology, (worker(3, status="inactive"), worker(7), worker(9))))
    assert (found.exchange, found.routing_key) == ("attune.executions", routing_key)


def test_without_a_live_worker_it_is_that_of_worker_one() -> None:
    assert dispatch(healthy("attune-0.6", (worker(3, status="inactive"),))).routing_key == "execution.dispatch.worker.1"


def test_a_topology_without_such_a_message_needs_both_parameters() -> None:
    facts = healthy("attune-0.6")
    other = msgspec.structs.replace(facts.topology, name="other", publishes=())
    with pytest.raises(ConfigError, match="topology other sends no execution to one worker; set exchange"):
        dispatch(msgspec.structs.replace(facts, topology=other))
