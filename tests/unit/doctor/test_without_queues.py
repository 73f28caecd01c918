"""What is prepared while the queues are awaited: it uses none, and the checks get it."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from attune_ops.doctor.diagnose import diagnose
from attune_ops.doctor.diagnosis import WITHOUT_QUEUES
from attune_ops.model.facts import Facts, changed, decode, encode
from attune_ops.model.topologies import names
from attune_ops.routing import Router
from tests.unit.facts import facts


def without_queues(made: Facts) -> Facts:
    """The same facts before the answer about the queues is there."""
    assert made.broker is not None
    return msgspec.structs.replace(made, broker=msgspec.structs.replace(made.broker, queues=None))


@pytest.mark.parametrize("topology", names())
@pytest.mark.parametrize("make", WITHOUT_QUEUES, ids=lambda make: str(make.__name__))
def test_it_is_the_same_without_queues(make: Callable[[Facts], object], topology: str) -> None:
    made = facts(topology=topology)
    found, early = make(made), make(without_queues(made))
    if isinstance(found, Router) and isinstance(early, Router):
        found, early = ([(e, r.bindings(e)) for e in r.exchange_names] for r in (found, early))
    assert found or make.__name__ in ("lacking_consumers", "missing_keys")
    assert early == found


@pytest.mark.parametrize("topology", names())
def test_the_report_is_the_same(topology: str) -> None:
    made, early = facts(topology=topology), without_queues(facts(topology=topology))
    early.prepare(WITHOUT_QUEUES)
    prepared = decode(encode(made))
    prepared.take_prepared(early)
    assert all(prepared.memo(make) is early.memo(make) for make in WITHOUT_QUEUES)
    assert prepared.live_workers is early.live_workers
    assert diagnose(prepared) == diagnose(made)


def test_other_workers_are_prepared_anew() -> None:
    early = without_queues(facts())
    early.prepare(WITHOUT_QUEUES)
    same, none = changed(early, env="x"), changed(early, registry=None)
    make = WITHOUT_QUEUES[0]
    assert same.memo(make) is early.memo(make)
    assert early.memo(make)
    assert not none.memo(make)
