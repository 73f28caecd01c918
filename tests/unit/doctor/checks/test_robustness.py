"""No check falls over what a broker may leave untold, nor over a topology or names it was not written for."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attune_ops.doctor.findings import CheckStatus
from attune_ops.model.facts import Facts
from attune_ops.model.snapshot import (
    BindingState,
    BrokerSnapshot,
    ChannelState,
    ConnectionState,
    ConsumerState,
    ExchangeState,
    QueueState,
)
from attune_ops.model.topology import Exchange, Topology
from tests.hostile import NAMES
from tests.unit.doctor.checks.firing import CASES
from tests.unit.doctor.checks.world import FLAWLESS, JANUARY, SEPTEMBER, ask, change, healthy, topology
from tests.unit.facts import NOW, worker

LISTS = ("exchanges", "queues", "bindings", "consumers", "connections", "channels", "policies", "nodes", "alarms",
         "deprecated", "version", "cluster", "default_queue_type")  # fmt: skip


def crashes(facts: Facts) -> list[str | None]:
    return [r.reason for r in ask(facts).results if r.status is CheckStatus.CRASHED]


def untold(kind: Any) -> dict[str, Any]:
    """None for every member of a struct that may be None."""
    return {f.name: None for f in msgspec.structs.fields(kind) if f.default is None}


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize("at", [JANUARY, SEPTEMBER])
def test_a_listing_that_could_not_be_read(at: str, name: str) -> None:
    facts = change(healthy(at), **{name: None})
    assert crashes(facts) == []
    assert crashes(msgspec.structs.replace(facts, earlier=None, reach=())) == []


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c.code}-{c.what}")
def test_objects_of_which_little_is_told(case: Any) -> None:
    if case.facts.broker is None:
        return
    broker = case.facts.broker
    bare = {
        "queues": (QueueState, broker.queues), "consumers": (ConsumerState, broker.consumers),
        "connections": (ConnectionState, broker.connections), "channels": (ChannelState, broker.channels),
    }  # fmt: skip
    changes = {
        name: tuple(msgspec.structs.replace(o, **untold(kind)) for o in objects or ())
        for name, (kind, objects) in bare.items()
    }
    assert crashes(change(case.facts, **changes)) == []


@pytest.mark.parametrize(
    "wanted",
    [
        Topology("empty", ()),
        Topology("one", (Exchange("x", "x-random"),)),
        msgspec.structs.replace(FLAWLESS, publishes=()),
        msgspec.structs.replace(FLAWLESS, consumers=()),
        msgspec.structs.replace(FLAWLESS, bindings=()),
    ],
    ids=["empty", "one exchange", "no publishes", "no consumers", "no bindings"],
)
def test_topologies_of_few_words(wanted: Topology) -> None:
    assert crashes(topology(healthy(FLAWLESS), **msgspec.structs.asdict(wanted))) == []
    assert crashes(Facts(wanted, NOW)) == []


@settings(max_examples=40, deadline=None)
@given(
    names=st.lists(st.sampled_from(NAMES), min_size=2, max_size=6, unique=True), kind=st.sampled_from(["topic", "x"])
)
def test_names_that_mean_harm(names: list[str], kind: str) -> None:
    seen = healthy().actual
    facts = change(
        healthy(workers=(worker(1), worker(2, name=names[0]))),
        exchanges=(*(seen.exchanges or ()), *(ExchangeState(n, "/", kind) for n in names if n)),
        queues=(*(seen.queues or ()), *(QueueState(n, "/", messages=3) for n in names)),
        bindings=(*(seen.bindings or ()), *(BindingState("/", names[0], n, names[1]) for n in names)),
        consumers=(*(seen.consumers or ()), *(ConsumerState("/", n, names[1]) for n in names)),
    )
    assert crashes(facts) == []


def test_a_broker_of_which_nothing_is_told() -> None:
    assert (
        crashes(msgspec.structs.replace(healthy(), broker=BrokerSnapshot("/", NOW), earlier=BrokerSnapshot("/", NOW)))
        == []
    )
