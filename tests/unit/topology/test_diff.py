"""Topology minus broker: what is missing, different, overruled, unexpected, foreign, and the steps that are left."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attune_ops.model.facts import Facts, Reach, Source
from attune_ops.model.registry import RegistryView, Worker
from attune_ops.model.snapshot import (
    BindingState,
    BrokerSnapshot,
    DeprecatedFeature,
    ExchangeState,
    PolicyState,
    QueueState,
)
from attune_ops.model.topologies import load
from attune_ops.model.topology import Binding, Exchange, Queue
from attune_ops.topology.diff import ROUTES_DEAD_LETTERS, UNEXPECTED, diff
from attune_ops.topology.drift import Difference, DiffKind, Fix, TopologyDiff

NOW = datetime(2026, 1, 16, 12, tzinfo=UTC)
JANUARY, SEPTEMBER = load("attune-2026-01"), load("attune-2026-09")
EMPTY = BrokerSnapshot(
    "/", NOW, version="3.10.8", exchanges=(), queues=(), bindings=(), policies=(), deprecated=(), consumers=()
)  # fmt: skip


def facts(broker: BrokerSnapshot = EMPTY, workers: tuple[int, ...] = (), **members: Any) -> Facts:
    registry = RegistryView("sqlite", tuple(Worker(i, f"w{i}", last_heartbeat=NOW) for i in workers))
    return Facts(**{"topology": JANUARY, "taken_at": NOW, "broker": broker, "registry": registry, **members})


def declared(broker: BrokerSnapshot, steps: tuple[Exchange | Queue | Binding, ...]) -> BrokerSnapshot:
    """The broker after these declarations, as a 4.x lists them."""
    exchanges, queues, bindings = list(broker.exchanges or ()), list(broker.queues or ()), list(broker.bindings or ())
    for step in steps:
        if isinstance(step, Exchange):
            exchanges.append(
                ExchangeState(step.name, "/", step.type, step.durable, step.auto_delete, step.internal, step.arguments)
            )
        elif isinstance(step, Queue):
            arguments = {"x-queue-type": step.type, **step.arguments}
            queues.append(QueueState(step.name, "/", step.type, step.durable, step.auto_delete, arguments=arguments))
        else:
            bindings.append(
                BindingState(
                    "/", step.source, step.destination, step.routing_key, step.destination_kind, step.arguments
                )
            )
    return msgspec.structs.replace(broker, exchanges=tuple(exchanges), queues=tuple(queues), bindings=tuple(bindings))


def healthy(topology: Any = JANUARY, workers: tuple[int, ...] = (1,), **members: Any) -> BrokerSnapshot:
    broker = declared(EMPTY, diff(facts(workers=workers, topology=topology)).steps)
    changed: BrokerSnapshot = msgspec.structs.replace(broker, **members)
    return changed


def changed(broker: BrokerSnapshot, name: str, **members: Any) -> BrokerSnapshot:
    """The broker with one exchange or queue otherwise."""

    def swap(items: Any) -> Any:
        return tuple(msgspec.structs.replace(i, **members) if i.name == name else i for i in items)

    return msgspec.structs.replace(broker, exchanges=swap(broker.exchanges), queues=swap(broker.queues))


def the_one(found: TopologyDiff) -> Difference:
    (difference,) = found.differences
    return difference


def test_an_empty_broker_misses_everything_in_order() -> None:
    found = diff(facts(workers=(2,)))
    assert {d.kind for d in found.differences} == {DiffKind.MISSING}
    assert [d.name for d in found.differences] == [
        "attune.events", "attune.executions", "attune.notifications", "attune.dlx",
        "attune.events.queue", "attune.executions.queue", "attune.notifications.queue",
        "attune.events → attune.events.queue ('#')",
        "attune.executions → attune.executions.queue ('execution')",
        "attune.notifications → attune.notifications.queue ('')",
        "worker.2.executions",
        "attune.executions → worker.2.executions ('worker.2')",
    ]  # fmt: skip
    assert len(found.steps) == 12
    (queue,) = found.about("queue", "worker.2.executions")
    assert queue.worker_id == 2
    assert queue.using is not None
    assert queue.using.text == "NOT_FOUND - no queue 'worker.2.executions' in vhost '/'"
    assert list(found.about("queue", "worker.1.executions")) == []


@pytest.mark.parametrize("topology", [JANUARY, SEPTEMBER], ids=lambda t: t.name)
def test_a_healthy_broker_has_no_difference(topology: Any) -> None:
    found = diff(facts(healthy(topology, (1, 7)), (1, 7), topology=topology))
    assert found.differences == ()
    assert found.not_compared == ()


@given(st.data())
def test_declaring_what_is_planned_leaves_nothing(data: st.DataObject) -> None:
    topology = data.draw(st.sampled_from([JANUARY, SEPTEMBER]))
    workers = data.draw(st.sets(st.integers(0, 9), max_size=3).map(lambda s: tuple(sorted(s))))
    steps = diff(facts(workers=workers, topology=topology)).steps
    partly = declared(EMPTY, tuple(data.draw(st.lists(st.sampled_from(steps), unique_by=id))))
    left = diff(facts(partly, workers, topology=topology)).steps
    assert diff(facts(declared(partly, left), workers, topology=topology)).differences == ()


def test_a_queue_declared_otherwise() -> None:
    found = the_one(diff(facts(changed(healthy(), "worker.1.executions", durable=True, auto_delete=False), (1,))))
    assert (found.kind, found.fix, found.worker_id) == (DiffKind.DIFFERENT, Fix.RECREATE, 1)
    assert [(a.name, a.desired, a.actual) for a in found.attributes] == [
        ("durable", False, True),
        ("auto_delete", True, False),
    ]
    assert found.declaring is not None
    assert (found.declaring.code, found.declaring.closes) == (406, "channel")
    assert found.declaring.text == (
        "PRECONDITION_FAILED - inequivalent arg 'durable' for queue 'worker.1.executions' in vhost '/': "
        "received 'false' but current is 'true'"
    )


def test_an_unregistered_workers_queue_is_judged_but_not_missed() -> None:
    broker = changed(healthy(workers=(1, 2)), "worker.2.executions", auto_delete=False)
    assert the_one(diff(facts(broker, (1,)))).name == "worker.2.executions"
    assert diff(facts(healthy(workers=(1,)), (1,))).differences == ()


DLX = "x-dead-letter-exchange"


@pytest.mark.parametrize(
    ("arguments", "name", "words", "key"),
    [
        ({}, DLX, "received the value 'attune.dlx' of type 'longstr' but current is none", "dead-letter-exchange"),
        ({DLX: "other"}, DLX, "received 'attune.dlx' but current is 'other'", None),
        (
            {DLX: "attune.dlx", "x-expires": 5},
            "x-expires",
            "none but current is the value '5' of type 'signedint'",
            None,
        ),
    ],
)
def test_other_arguments(arguments: Any, name: str, words: str, key: str | None) -> None:
    found = the_one(diff(facts(changed(healthy(), "attune.events.queue", arguments=arguments), (1,))))
    (attribute,) = found.attributes
    assert (attribute.name, attribute.policy_key) == (name, key)
    assert found.declaring is not None
    assert found.declaring.text.endswith(words)


def test_an_argument_that_the_broker_does_not_compare() -> None:
    arguments = {"x-dead-letter-exchange": "attune.dlx", "x-ours": 1}
    found = the_one(diff(facts(changed(healthy(), "attune.events.queue", arguments=arguments), (1,))))
    assert (found.kind, found.declaring, found.attributes[0].compared) == (DiffKind.DIFFERENT, None, False)


def test_another_exchange_type() -> None:
    found = the_one(diff(facts(changed(healthy(), "attune.executions", type="topic"), (1,))))
    assert found.declaring is not None
    assert found.declaring.text.endswith("received 'direct' but current is 'topic'")


def test_the_default_queue_type_of_the_virtual_host() -> None:
    broker = healthy(version="4.0.5", default_queue_type="quorum")
    found = diff(facts(broker, (1,)))
    assert [d.name for d in found.differences] == [
        "attune.events.queue", "attune.executions.queue", "attune.notifications.queue",
    ]  # fmt: skip
    assert found.differences[0].declaring is not None
    assert found.differences[0].declaring.text.endswith("received 'quorum' but current is 'classic'")


def test_a_policy_that_supplies_what_is_missing_is_counted_in() -> None:
    policy = PolicyState("/", "dlx", "^attune", "queues", 0, {"dead-letter-exchange": "attune.dlx"})
    broker = changed(healthy(policies=(policy,)), "attune.events.queue", arguments={})
    found = diff(facts(broker, (1,))).of(DiffKind.DIFFERENT)
    (attribute,) = found[0].attributes
    assert (attribute.actual, attribute.in_force, attribute.policy) == (None, "attune.dlx", "dlx")
    assert found[0].declaring is not None, "the services' declaration is refused all the same"


def test_a_policy_that_overrules_and_one_that_adds() -> None:
    policy = PolicyState("/", "short", "^worker", "queues", 0, {"message-ttl": 1000, "max-length": 5})
    found = diff(facts(healthy(SEPTEMBER, policies=(policy,)), (1,), topology=SEPTEMBER))
    (overruled,) = found.of(DiffKind.OVERRIDDEN)
    assert (overruled.name, overruled.fix, overruled.declaring) == ("worker.1.executions", Fix.POLICY, None)
    (attribute,) = overruled.attributes
    assert (attribute.name, attribute.desired, attribute.in_force) == ("x-message-ttl", 300000, 1000)
    assert {d.name for d in found.of(DiffKind.SET_BY_POLICY)} == {
        f"worker.1.{n}" for n in ("executions", "packs", "cancel", "packtests")
    }
    assert found.drift == (overruled,)


def test_foreign_objects_are_no_difference_but_an_unexpected_binding_is() -> None:
    broker = declared(
        healthy(),
        (
            Exchange("billing", "topic"), Queue("billing.queue"), Binding("billing", "billing.queue", "#"),
            Binding("attune.events", "billing.queue", "#"),
            Binding("attune.events", "worker.1.executions", "event.#"),
            Binding("billing", "attune.dlx", "", "exchange"),
        ),
    )  # fmt: skip
    found = diff(facts(broker, (1,)))
    assert [(d.name, d.worker_id) for d in found.drift] == [
        ("attune.events → worker.1.executions ('event.#')", 1),
        ("billing → attune.dlx ('')", None),
    ]
    assert {d.kind for d in found.drift} == {DiffKind.UNEXPECTED}
    assert len(found.of(DiffKind.UNMANAGED)) == 4


def test_a_binding_that_keeps_dead_letters_is_not_to_be_unbound() -> None:
    """The key of this release's own binding matches none: by another one they reach their queue."""
    dead = "attune.dlx.queue"
    broker = declared(healthy(SEPTEMBER), (Binding("attune.dlx", dead, "a"), Binding("attune.events", dead, "b")))
    found = diff(facts(broker, (1,), topology=SEPTEMBER)).drift
    assert [(d.kind, d.fix) for d in found] == [(DiffKind.UNEXPECTED, Fix.NOTHING), (DiffKind.UNEXPECTED, Fix.UNBIND)]
    assert [d.why for d in found] == [ROUTES_DEAD_LETTERS, UNEXPECTED]


def test_a_replicas_queue_is_not_foreign() -> None:
    broker = healthy(SEPTEMBER)
    replica = QueueState("amq.gen-1", "/", exclusive=True, durable=False, auto_delete=True)
    bound = BindingState("/", "attune.metadata", "amq.gen-1", "metadata.action.changed")
    broker = msgspec.structs.replace(
        broker, queues=(*(broker.queues or ()), replica), bindings=(*(broker.bindings or ()), bound)
    )
    assert diff(facts(broker, (1,), topology=SEPTEMBER)).differences == ()


def test_a_broker_that_denies_transient_queues() -> None:
    denied = DeprecatedFeature("transient_nonexcl_queues", "permitted_by_default", "denied")
    found = diff(facts(msgspec.structs.replace(EMPTY, version="4.3.6", deprecated=(denied,)), (1,)))
    queue, binding = found.differences[-2:]
    assert (queue.fix, binding.fix) == (Fix.REFUSED, Fix.REFUSED)
    assert queue.declaring is not None
    assert (queue.declaring.code, queue.declaring.closes, len(queue.declaring.text.encode())) == (
        541,
        "connection",
        255,
    )
    assert binding.declaring == queue.using
    assert len(found.steps) == 10


def test_a_user_without_rights() -> None:
    reach = Reach(Source.MANAGEMENT, user="ops", permissions=("^attune", "^attune.*queue$", ".*"))
    found = diff(facts(msgspec.structs.replace(EMPTY, version="4.0.5"), (1,), reach=(reach,)))
    refused = {d.name: d.declaring.text for d in found.differences if d.declaring}
    assert refused["attune.events.queue"].endswith(
        "write access to exchange 'attune.dlx' in vhost '/' refused for user 'ops'"
    )
    assert refused["worker.1.executions"].endswith(
        "configure access to queue 'worker.1.executions' in vhost '/' refused for user 'ops'"
    )
    assert (
        refused["attune.events → attune.events.queue ('#')"]
        == "NOT_FOUND - no queue 'attune.events.queue' in vhost '/'"
    )
    assert [s.name for s in found.steps if not isinstance(s, Binding)] == [
        "attune.events", "attune.executions", "attune.notifications", "attune.dlx",
    ]  # fmt: skip


def test_a_registry_that_could_not_be_read_is_not_no_drift() -> None:
    missing = {Source.REGISTRY: "registry refused"}
    reach = (Reach(Source.REGISTRY, error="registry refused"),)
    assert diff(facts(healthy(), registry=None, missing=missing, reach=reach)).unread == ("registry refused",)
    assert diff(facts(healthy(), registry=None, missing=missing)).unread == (), "none is configured"
    assert diff(facts(healthy(), (1,))).unread == ()


def test_what_was_not_seen_is_said() -> None:
    reasons = {Source.REGISTRY: "no registry is configured"}
    assert diff(facts(registry=None, missing=reasons)).not_compared == ("queues of workers: no registry is configured",)
    unsaid = DeprecatedFeature("transient_nonexcl_queues", "permitted_by_default")
    broker = msgspec.structs.replace(EMPTY, version="4.0.5", deprecated=(unsaid,))
    (note,) = diff(facts(broker, (1,))).not_compared
    assert note == "whether this broker denies transient queues: RabbitMQ 4.0.5 does not report what it denies"
    assert diff(facts(broker)).not_compared == (), "nothing transient is to be declared"
