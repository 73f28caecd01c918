"""Drills on the real broker: each holds, accounts for every message and leaves nothing behind."""

from __future__ import annotations

import os
from typing import Any

import msgspec
import pytest

from attune_ops.config import Settings, resolve
from attune_ops.drills import Drill, all_drills
from attune_ops.drills._recover import folder
from attune_ops.drills._runner import run
from attune_ops.errors import DrillRefused
from attune_ops.journal import Comparison, Journal
from tests.world import Broker

SHORT = ("incident", "leaked-queue", "worker-crash", "worker-stop")
REFUSES = "ATTUNE_OPS_TEST_SERVER" in os.environ  # a newer one than the distribution's
WHOLE = "ATTUNE_OPS_TEST_DRILLS"  # set: every drill, 15 minutes; else the short set


@pytest.fixture
def settings(broker: Broker) -> Settings:
    """The broker as an environment that allows drills."""
    target = {"amqp_url": broker.amqp_url, "management_url": broker.management_url}
    return msgspec.structs.replace(resolve(target, {}), env="test", drills=True)


def drilled(drill: Drill | str, settings: Settings, **parameters: Any) -> Journal:
    """One run."""
    server = os.environ.get("ATTUNE_OPS_TEST_SERVER")
    made = run(drill, settings, confirm="test", server=server, **{"rate": 60, **parameters})
    assert isinstance(made, Journal)
    return made


def chosen() -> list[Any]:
    names = all_drills() if os.environ.get(WHOLE) else SHORT
    return [pytest.param(n, marks=pytest.mark.slow) if n != SHORT[0] else n for n in names]


@pytest.mark.parametrize("name", chosen())
def test_it_holds_and_accounts_for_every_message(name: str, settings: Settings) -> None:
    try:
        journal = drilled(name, settings)
    except DrillRefused:
        if name == "upgrade-rehearsal" and not REFUSES:
            return  # that broker cannot be made to refuse transient queues
        raise
    assert journal.verdict == "held", journal
    assert journal.ledger.adds_up
    assert not [f for f in folder().glob("*.json") if f'"{name}"' in f.read_text()], "its undo list is done"


@pytest.mark.slow
def test_a_broken_consumer_is_a_violation(settings: Settings) -> None:
    """A worker that acknowledges and forgets: the broker is content, the ledger is not."""
    drill = all_drills()["incident"]
    broken = msgspec.structs.replace(drill, worker={**drill.worker, "outcome": "lose", "only": (3, 5)})
    journal = drilled(broken, settings)
    assert journal.verdict == "violated"
    assert [loss.numbers for loss in journal.ledger.losses] == [(3, 5)]
    assert "lost" in journal.reason


def test_an_environment_has_to_allow_it_and_be_named(settings: Settings) -> None:
    for wrong, confirm in (
        (settings, None),
        (settings, "tset"),
        (msgspec.structs.replace(settings, drills=False), "test"),
        (msgspec.structs.replace(settings, env=None), None),
    ):
        with pytest.raises(DrillRefused):
            run("worker-crash", wrong, confirm=confirm)


@pytest.mark.slow
def test_a_remedy_keeps_what_was_lost(settings: Settings) -> None:
    made = run("worker-stop", settings, confirm="test", remedy="durable", rate=60)
    assert isinstance(made, Comparison)
    assert made.first.ledger.lost > 0
    assert made.second.ledger.lost == 0
    assert made.second.verdict == "held"
