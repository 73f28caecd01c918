"""The release that runs is recognised from its objects, also where one release contains the other."""

from __future__ import annotations

import msgspec
import pytest

from attune_ops.model.recognition import Fit, best_first, recognise
from attune_ops.model.snapshot import BindingState, BrokerSnapshot, ConsumerState, ExchangeState, QueueState
from attune_ops.model.topologies import load, names
from attune_ops.model.topology import Per, Topology
from tests.unit.facts import NOW, broker

ALL = [load(name) for name in names()]
LIFECYCLE = "attune.rules.lifecycle.queue"


def running(name: str, *, without: tuple[str, ...] = ()) -> BrokerSnapshot:
    """A broker on which a release runs, a replica of each service; `without` are services that are down."""
    topology = load(name)
    there = broker(topology)
    queues, bindings = list(there.queues or ()), list(there.bindings or ())
    for n, label in enumerate(q for q in topology.queues if q.per is Per.REPLICA and q.service not in without):
        own = f"amq.gen-{n}"
        queues.append(QueueState(own, "/", durable=False, auto_delete=True, exclusive=True))
        bindings += [BindingState("/", b.source, own, b.routing_key) for b in topology.bindings_to(label.name)]
    labels = {q.name for q in topology.queues if q.per is Per.REPLICA}
    gone = {c.queue for c in topology.consumers if c.service in without} | labels
    consumers = tuple(c for c in there.consumers or () if c.queue not in gone)
    return msgspec.structs.replace(there, queues=tuple(queues), bindings=tuple(bindings), consumers=consumers)


def with_leftover(there: BrokerSnapshot) -> BrokerSnapshot:
    """The broker after an upgrade from 0.5: its lifecycle queue stays, bound and not consumed."""
    old = load("attune-2026-09")
    queue = QueueState(LIFECYCLE, "/")
    bindings = tuple(BindingState("/", b.source, LIFECYCLE, b.routing_key) for b in old.bindings_to(LIFECYCLE))
    return msgspec.structs.replace(
        there, queues=(*(there.queues or ()), queue), bindings=(*(there.bindings or ()), *bindings)
    )


@pytest.mark.parametrize("name", names())
def test_each_release_is_recognised_whole(name: str) -> None:
    found = recognise(running(name), ALL)
    assert found.best is not None
    assert (found.best.name, found.equal) == (name, ())
    assert found.best.matched == found.best.total
    assert found.line == f"{name}, recognised: {found.best.total} of {found.best.total} objects"


def test_a_leftover_queue_does_not_make_it_the_earlier_release() -> None:
    found = recognise(with_leftover(running("attune-0.6")), ALL)
    assert found.best is not None
    assert (found.best.name, found.equal) == ("attune-0.6", ())


def test_the_earlier_release_is_not_taken_for_the_later_one_that_it_contains() -> None:
    found = recognise(running("attune-2026-09"), ALL)
    assert found.best is not None
    assert found.best.name == "attune-2026-09"


def test_of_equal_ones_the_newest_is_taken_and_both_are_named() -> None:
    found = recognise(with_leftover(running("attune-0.6", without=("sensor",))), ALL)
    assert found.best is not None
    assert (found.best.name, found.equal) == ("attune-0.6", ("attune-2026-09",))
    assert "as well as attune-2026-09: choose with --topology" in found.line


@pytest.mark.parametrize("name", names())
def test_what_is_missing_lowers_the_fit_and_changes_nothing_else(name: str) -> None:
    there = running(name)
    lost = msgspec.structs.replace(there, queues=(there.queues or ())[1:], bindings=(there.bindings or ())[1:])
    found = recognise(lost, ALL)
    assert found.best is not None
    assert found.best.name == name
    assert found.best.matched == found.best.total - 2


def test_another_type_or_argument_is_no_match() -> None:
    there = running("attune-2026-09")
    exchanges = tuple(
        msgspec.structs.replace(e, type="direct") if e.name == "attune.executions" else e for e in there.exchanges or ()
    )
    queues = tuple(msgspec.structs.replace(q, arguments={}) for q in there.queues or ())
    whole, other = (recognise(b, ALL).fits for b in (there, msgspec.structs.replace(there, exchanges=exchanges)))
    assert _matched(other, "attune-2026-09") == _matched(whole, "attune-2026-09") - 1
    bare = recognise(msgspec.structs.replace(there, queues=queues), ALL).fits
    assert _matched(bare, "attune-2026-09") < _matched(whole, "attune-2026-09") - 8


def test_the_type_that_4_x_adds_is_no_difference() -> None:
    there = running("attune-0.6")
    queues = tuple(
        msgspec.structs.replace(q, arguments={**q.arguments, "x-queue-type": "classic"}) for q in there.queues or ()
    )
    found = recognise(msgspec.structs.replace(there, queues=queues), ALL)
    assert found.best is not None
    assert found.best.matched == found.best.total


def test_nothing_of_attune() -> None:
    foreign = BrokerSnapshot(
        "/", NOW, exchanges=(ExchangeState("amq.topic", "/", "topic"),), queues=(QueueState("shop", "/"),), bindings=()
    )
    found = recognise(foreign, ALL)
    assert found.best is None
    assert found.line == "no Attune topology on this broker"


def test_better_than_the_one_given() -> None:
    found = recognise(running("attune-0.6"), ALL)
    better = found.better_than("attune-2026-01")
    assert better is not None
    assert better.name == "attune-0.6"
    assert found.better_than("attune-2026-09") is not None  # by the sensors' replica queues and the missing queue
    assert found.better_than("attune-0.6") is None
    assert found.better_than("unheard-of") is None


def test_a_users_own_topology_is_a_candidate() -> None:
    mine: Topology = msgspec.structs.replace(load("attune-0.6"), name="mine", released="2027-01-01")
    found = recognise(running("attune-0.6"), [*ALL, mine])
    assert found.best is not None
    assert (found.best.name, found.equal) == ("mine", ("attune-0.6",))


def test_a_consumer_on_the_lifecycle_queue_is_release_0_5() -> None:
    there = with_leftover(running("attune-0.6", without=("sensor",)))
    consumers = (*(there.consumers or ()), ConsumerState("/", LIFECYCLE, "sensor-rule-lifecycle"))
    found = recognise(msgspec.structs.replace(there, consumers=consumers), ALL)
    assert found.best is not None
    assert (found.best.name, found.equal) == ("attune-2026-09", ())


def test_a_damaged_object_of_the_release_that_runs_does_not_make_it_another() -> None:
    """Release 0.6 lacks the damaged queue, so all of it is there; but only 0.5 explains what is in use."""
    there = running("attune-2026-09")
    left = tuple(b for b in there.bindings or () if (b.destination, b.routing_key) != (LIFECYCLE, "rule.created"))
    found = recognise(msgspec.structs.replace(there, bindings=left), ALL)
    assert [f.name for f in found.fits][:2] == ["attune-2026-09", "attune-0.6"]
    assert found.fits[0].fraction < found.fits[1].fraction == 1
    assert found.better_than("attune-0.6") is None


def without_exchange(there: BrokerSnapshot, name: str) -> BrokerSnapshot:
    exchanges = tuple(e for e in there.exchanges or () if e.name != name)
    bindings = tuple(b for b in there.bindings or () if b.source != name)
    return msgspec.structs.replace(there, exchanges=exchanges, bindings=bindings)


def test_a_lost_exchange_does_not_make_it_the_release_with_fewer_bindings_of_it() -> None:
    """Ten objects of 0.5 are gone, three of 0.6; but the sensor consumes the queue that only 0.5 has."""
    found = recognise(without_exchange(running("attune-2026-09"), "attune.events"), ALL)
    assert [f.name for f in found.fits][:2] == ["attune-2026-09", "attune-0.6"]
    assert [f.lacking for f in found.fits][:2] == [10, 3]


def test_what_two_releases_lack_does_not_make_it_the_one_with_more_objects() -> None:
    """After an upgrade, while the sensor is down: the newest of both is taken, and both are named."""
    there = with_leftover(running("attune-0.6", without=("sensor",)))
    shared = [b for b in there.bindings or () if b.destination.startswith("attune.") and b.destination != LIFECYCLE]
    for lost in shared:
        left = tuple(b for b in there.bindings or () if b is not lost)
        found = recognise(msgspec.structs.replace(there, bindings=left), ALL)
        assert [f.name for f in found.fits][:2] == ["attune-0.6", "attune-2026-09"], lost
        assert found.equal == ("attune-2026-09",)
    queues = tuple(q for q in there.queues or () if q.name != "attune.dlx.queue")
    assert recognise(msgspec.structs.replace(there, queues=queues), ALL).fits[0].name == "attune-0.6"


def test_by_names_alone_too() -> None:
    """What passive declares tell: one queue is missing, and the sensor's own queues cannot be seen."""
    newest_first = Fit("attune-0.6", 13, 14, 8), Fit("attune-2026-09", 14, 15, 8), Fit("attune-2026-01", 5, 7, 0)
    assert [f.name for f in best_first(newest_first)][:2] == ["attune-0.6", "attune-2026-09"]


def _matched(fits: tuple[Fit, ...], name: str) -> int:
    return next(f.matched for f in fits if f.name == name)


def test_worker_queues_of_any_name_count() -> None:
    topology = load("attune-2026-01")
    renamed = msgspec.json.decode(
        msgspec.json.encode(topology).replace(b"worker.{id}.executions", b"agent-{id}-jobs"), type=Topology
    )
    there = broker(topology)
    queues = [q for q in there.queues or () if not q.name.startswith("worker.")]
    queues += [QueueState(f"agent-{i}-jobs", "/", durable=False, auto_delete=True) for i in (1, 2)]
    (fit,) = recognise(msgspec.structs.replace(there, queues=tuple(queues)), [renamed]).fits
    (old,) = recognise(msgspec.structs.replace(there, queues=tuple(queues)), [topology]).fits
    assert fit.total == old.total + 1, "the template has queues, so it is an object"
