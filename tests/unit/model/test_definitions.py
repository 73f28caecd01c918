"""RabbitMQ's definitions files in the shapes of 3.10, 4.0 and 4.3, and what is exported for an import."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from attune_ops.model.definitions import Definitions, export
from attune_ops.model.snapshot import BrokerSnapshot, PolicyState, QueueState

NOW = datetime(2026, 1, 16, tzinfo=UTC)

QUEUE = {"name": "q", "durable": False, "auto_delete": True, "arguments": {"x-max-length": 5}}
EXCHANGE = {"name": "x", "type": "topic", "durable": True, "auto_delete": False, "arguments": {}}
BINDING = {"source": "x", "destination": "q", "destination_type": "queue", "routing_key": "k", "arguments": {}}
POLICY = {"name": "p", "pattern": "q", "apply-to": "queues", "definition": {"max-length": 4}, "priority": 3}
OPERATOR = {
    "component": "operator_policy", "name": "o",
    "value": {"pattern": "q", "definition": {"max-length": 3}, "priority": 0, "apply-to": "all"},
}  # fmt: skip
IN = {"vhost": "v"}


def read(data: dict[str, Any]) -> Mapping[str, BrokerSnapshot]:
    return msgspec.json.decode(msgspec.json.encode(data), type=Definitions).brokers(NOW)


def test_one_virtual_host_of_3_10_where_only_policies_name_it() -> None:
    (broker,) = read({
        "rabbit_version": "3.10.8", "parameters": [OPERATOR | IN], "policies": [POLICY | IN], "queues": [QUEUE],
        "exchanges": [EXCHANGE | {"internal": False}], "bindings": [BINDING],
    }).values()  # fmt: skip
    assert (broker.vhost, broker.version, broker.default_queue_type) == ("v", "3.10.8", None)
    assert broker.queues == (QueueState("q", "v", durable=False, auto_delete=True, arguments={"x-max-length": 5}),)
    assert broker.policies == (
        PolicyState("v", "p", "q", "queues", 3, {"max-length": 4}),
        PolicyState("v", "o", "q", "all", 0, {"max-length": 3}, operator=True),
    )


def test_one_virtual_host_of_4() -> None:
    (broker,) = read({
        "rabbitmq_version": "4.3.6", "rabbitmq_definition_format": "single_virtual_host", "original_vhost_name": "v",
        "metadata": {"description": "", "tags": [], "default_queue_type": "quorum"}, "limits": [],
        "queues": [QUEUE | {"type": "quorum"}], "exchanges": [EXCHANGE], "bindings": [BINDING], "policies": [POLICY],
        "parameters": [OPERATOR, {"component": "shovel", "name": "s", "value": {"src-uri": "amqp://u:secret@h"}}],
    }).values()  # fmt: skip
    assert (broker.vhost, broker.default_queue_type) == ("v", "quorum")
    assert [q.type for q in broker.queues or ()] == ["quorum"]
    assert len(broker.policies or ()) == 2
    assert "secret" not in msgspec.json.encode(broker).decode()


def test_a_whole_broker() -> None:
    other = {"vhost": "w"}
    brokers = read({
        "rabbit_version": "4.0.5", "users": [{"name": "guest", "password_hash": "secret"}], "global_parameters": [],
        "vhosts": [{"name": "v", "metadata": {}, "default_queue_type": "undefined"}, {"name": "empty"}],
        "queues": [QUEUE | IN, QUEUE | other], "exchanges": [EXCHANGE | IN], "bindings": [BINDING | IN],
        "policies": [POLICY | IN, POLICY | other], "parameters": [OPERATOR | other],
    })  # fmt: skip
    assert list(brokers) == ["v", "empty", "w"]
    assert [len(b.queues or ()) for b in brokers.values()] == [1, 0, 1]
    assert [len(b.policies or ()) for b in brokers.values()] == [1, 0, 2]
    assert brokers["v"].default_queue_type is None


def test_export_leaves_out_what_lives_with_a_connection_or_belongs_to_the_broker() -> None:
    (broker,) = read({
        "queues": [QUEUE], "exchanges": [EXCHANGE, EXCHANGE | {"name": "amq.topic"}, EXCHANGE | {"name": ""}],
        "bindings": [BINDING, BINDING | {"destination": "amq.gen-1"}], "policies": [POLICY], "parameters": [OPERATOR],
    }).values()  # fmt: skip
    exclusive = QueueState("amq.gen-1", "v", exclusive=True)
    made = export(
        broker.exchanges or (), (*(broker.queues or ()), exclusive), broker.bindings or (), broker.policies or ()
    )
    assert made == {
        "rabbitmq_definition_format": "single_virtual_host",
        "exchanges": [EXCHANGE | {"internal": False}], "queues": [QUEUE], "bindings": [BINDING], "policies": [POLICY],
        "parameters": [OPERATOR],
    }  # fmt: skip


def test_what_erlang_writes_where_nothing_was_given() -> None:
    """As 3.10 exports an exchange that was imported without `auto_delete`, and as other tools write empty tables."""
    (broker,) = read({
        "exchanges": [EXCHANGE | {"auto_delete": "undefined", "internal": "undefined", "arguments": []}],
        "queues": [QUEUE | {"arguments": []}], "bindings": [BINDING | {"arguments": []}],
        "policies": [POLICY | {"definition": []}],
    }).values()  # fmt: skip
    (exchange,), (queue,), (binding,), (policy,) = (
        broker.exchanges or (), broker.queues or (), broker.bindings or (), broker.policies or (),
    )  # fmt: skip
    assert (exchange.auto_delete, exchange.internal, exchange.arguments) == (None, False, {})
    assert (queue.arguments, binding.arguments, policy.definition) == ({}, {}, {})
    made = export(broker.exchanges or (), (), ())
    assert made["exchanges"][0]["auto_delete"] is False, "the copy can be imported and redeclared"
