"""RabbitMQ's definitions export ↔ broker snapshot.

One virtual host or a whole broker, in the formats of 3.10 to 4.3. Users, permissions and all runtime
parameters except operator policies are not decoded: a definitions file contains password hashes.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

import msgspec

from attune_ops.model.decoding import decode
from attune_ops.model.erlang_json import Flag, WireTable, flag, table
from attune_ops.model.facts import Source
from attune_ops.model.snapshot import BindingState, BrokerSnapshot, ExchangeState, PolicyState, QueueState
from attune_ops.model.topology import Binding, Exchange, Queue

# What a definitions file does not contain.
UNKNOWN = {
    Source.AMQP: "a definitions file is not a broker",
    Source.MANAGEMENT: "a definitions file is not a broker",
    Source.PERMISSIONS: "a definitions file is read without a user",
    Source.USER_PERMISSIONS: "a definitions file has no connections",
    Source.DEPTHS: "a definitions file has no message counts",
    Source.CONSUMERS: "a definitions file has no consumers",
    Source.CONNECTIONS: "a definitions file has no connections",
    Source.NODES: "a definitions file has no nodes",
    Source.ALARMS: "a definitions file has no alarms",
    Source.DEPRECATED: "a definitions file does not say which features are denied",
    Source.REGISTRY: "a definitions file has no workers",
    Source.EXECUTIONS: "a definitions file has no executions",
    Source.ASSIGNMENTS: "a definitions file has no executions",
    Source.EARLIER: "a definitions file is one sample",
}


class _Named(msgspec.Struct):
    vhost: str | None = None  # absent where the file is of one virtual host


class _ExchangeDefinition(_Named, kw_only=True):
    name: str
    type: str
    durable: Flag = True
    auto_delete: Flag = "undefined"  # left out by an export from 4.0 where the import had left it out
    internal: Flag = False
    arguments: WireTable = {}


class _QueueDefinition(_Named, kw_only=True):
    name: str
    durable: Flag = True
    auto_delete: Flag = False
    arguments: WireTable = {}
    type: str | None = None


class _BindingDefinition(_Named, kw_only=True):
    source: str
    destination: str
    destination_type: Literal["queue", "exchange"] = "queue"
    routing_key: str = ""
    arguments: WireTable = {}


class _PolicyDefinition(_Named, kw_only=True, rename={"apply_to": "apply-to"}):
    name: str = ""
    pattern: str = ""
    apply_to: str = "all"
    priority: int = 0
    definition: dict[str, Any] | tuple[()] | None = {}


class _Parameter(_Named, kw_only=True):
    component: str
    name: str = ""
    value: msgspec.Raw = msgspec.Raw(b"{}")


class _VirtualHost(msgspec.Struct):
    name: str
    default_queue_type: str | None = None
    metadata: Any = None


class Definitions(msgspec.Struct, rename={"format": "rabbitmq_definition_format"}):
    """The members of a definitions file that are read."""

    rabbit_version: str | None = None
    rabbitmq_version: str | None = None
    product_name: str | None = None
    original_cluster_name: str | None = None
    original_vhost_name: str | None = None
    default_queue_type: str | None = None
    metadata: Any = None
    vhosts: list[_VirtualHost] = []
    exchanges: list[_ExchangeDefinition] = []
    queues: list[_QueueDefinition] = []
    bindings: list[_BindingDefinition] = []
    policies: list[_PolicyDefinition] | None = None  # every export has them; without them they are unknown
    parameters: list[_Parameter] = []

    @property
    def filled(self) -> frozenset[str]:
        """The names of the virtual hosts that have an exchange, a queue or a binding."""
        objects = (*self.exchanges, *self.queues, *self.bindings)
        return frozenset(o.vhost or "/" for o in objects)

    @property
    def nameless(self) -> bool:
        """Whether the file is of one virtual host without a name, as exports of 3.10 are."""
        objects = (*self.exchanges, *self.queues, *self.bindings, *(self.policies or ()))
        return not self.vhosts and self.original_vhost_name is None and all(o.vhost is None for o in objects)

    def brokers(self, taken_at: datetime) -> Mapping[str, BrokerSnapshot]:
        """A snapshot of each virtual host, by its name; a file of one without a name is that of `/`."""
        objects = (*self.exchanges, *self.queues, *self.bindings)
        if not self.vhosts and all(o.vhost is None for o in objects):
            only = self.original_vhost_name or next((p.vhost for p in self.policies or () if p.vhost), None) or "/"
            return {only: self._snapshot(only, taken_at, _default_queue_type(self), self._lists)}
        grouped = [_by_vhost(items) for items in self._lists]
        defaults = {v.name: _default_queue_type(v) for v in self.vhosts}
        names = dict.fromkeys((*defaults, *(o.vhost or "/" for o in objects)))
        return {
            n: self._snapshot(n, taken_at, defaults.get(n), tuple(items.get(n, []) for items in grouped)) for n in names
        }

    @property
    def _lists(self) -> tuple[list[Any], ...]:
        return self.exchanges, self.queues, self.bindings, self.policies or [], self.parameters

    def _snapshot(
        self, vhost: str, taken_at: datetime, default_queue_type: str | None, lists: tuple[list[Any], ...]
    ) -> BrokerSnapshot:
        exchanges, queues, bindings, policies, parameters = lists
        operator = tuple(
            (p.name, decode(p.value, _PolicyDefinition)) for p in parameters if p.component == "operator_policy"
        )
        return BrokerSnapshot(
            vhost=vhost,
            taken_at=taken_at,
            product=self.product_name or "RabbitMQ",
            version=self.rabbitmq_version or self.rabbit_version,
            cluster=self.original_cluster_name,
            exchanges=tuple(_exchange(vhost, e) for e in exchanges),
            queues=tuple(_queue(vhost, q) for q in queues),
            bindings=tuple(_binding(vhost, b) for b in bindings),
            policies=None
            if self.policies is None and not operator
            else (
                *(_policy(vhost, p.name, p, operator=False) for p in policies),
                *(_policy(vhost, name, p, operator=True) for name, p in operator),
            ),
            default_queue_type=default_queue_type,
        )


def _by_vhost(items: list[Any]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for item in items:
        found.setdefault(item.vhost or "/", []).append(item)
    return found


def _default_queue_type(source: _VirtualHost | Definitions) -> str | None:
    metadata = source.metadata if isinstance(source.metadata, dict) else {}
    found = source.default_queue_type or metadata.get("default_queue_type")
    return found if isinstance(found, str) and found != "undefined" else None


def _exchange(vhost: str, e: _ExchangeDefinition) -> ExchangeState:
    durable, internal = flag(e.durable) is not False, bool(flag(e.internal))
    return ExchangeState(e.name, vhost, e.type, durable, flag(e.auto_delete), internal, table(e.arguments))


def _queue(vhost: str, q: _QueueDefinition) -> QueueState:
    arguments = table(q.arguments)
    kind = q.type or str(arguments.get("x-queue-type", "classic"))
    # A broker refuses to import a queue without these two, so there is none that has no value.
    return QueueState(q.name, vhost, kind, flag(q.durable) is not False, bool(flag(q.auto_delete)), arguments=arguments)


def _binding(vhost: str, b: _BindingDefinition) -> BindingState:
    return BindingState(vhost, b.source, b.destination, b.routing_key, b.destination_type, table(b.arguments))


def _policy(vhost: str, name: str, p: _PolicyDefinition, operator: bool) -> PolicyState:
    return PolicyState(vhost, name, p.pattern, p.apply_to, p.priority, table(p.definition), operator)


def export(
    exchanges: tuple[Exchange | ExchangeState, ...],
    queues: tuple[Queue | QueueState, ...],
    bindings: tuple[Binding | BindingState, ...],
    policies: tuple[PolicyState, ...] = (),
    version: str | None = None,
) -> dict[str, Any]:
    """Definitions of one virtual host without its name, to be imported into any.

    Built-in exchanges and exclusive queues, which belong to a connection, are left out. No member is omitted: 3.10
    refuses a queue with a missing one.
    """
    kept = tuple(q for q in queues if not q.exclusive)
    gone = {q.name for q in queues} - {q.name for q in kept}
    return {
        **({"rabbit_version": version} if version else {}),
        "rabbitmq_definition_format": "single_virtual_host",
        "exchanges": [
            {"name": e.name, "type": e.type, "durable": e.durable, "auto_delete": bool(e.auto_delete),
             "internal": e.internal, "arguments": e.arguments}
            for e in exchanges if e.name and not e.name.startswith("amq.")
        ],
        "queues": [
            {"name": q.name, "durable": q.durable, "auto_delete": q.auto_delete, "arguments": q.arguments} for q in kept
        ],
        "bindings": [
            {"source": b.source, "destination": b.destination, "destination_type": b.destination_kind,
             "routing_key": b.routing_key, "arguments": b.arguments}
            for b in bindings if b.source and not (b.destination_kind == "queue" and b.destination in gone)
        ],
        "policies": [policy_body(p) | {"name": p.name} for p in policies if not p.operator],
        "parameters": [
            {"component": "operator_policy", "name": p.name, "value": policy_body(p)}
            for p in policies if p.operator
        ],
    }  # fmt: skip


def policy_body(policy: PolicyState) -> dict[str, Any]:
    """A policy as the management API and a definitions file have it."""
    return {
        "pattern": policy.pattern,
        "apply-to": policy.apply_to,
        "priority": policy.priority,
        "definition": policy.definition,
    }
