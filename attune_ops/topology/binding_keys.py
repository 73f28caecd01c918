"""What makes a binding the same binding: its key, for a topology's and a broker's alike. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from attune_ops.model.facts import Facts
from attune_ops.model.snapshot import BindingState
from attune_ops.model.topology import ID, Binding, Topology
from attune_ops.routing.header_values import Value, comparable

BindingKey = tuple[str, str, str, str, Value]


def binding_key(binding: Binding | BindingState) -> BindingKey:
    """Source, kind and name of the destination, routing key, and arguments by type and value."""
    arguments = comparable(binding.arguments, loose=False) if binding.arguments else ()
    return binding.source, binding.destination_kind, binding.destination, binding.routing_key, arguments


def keys_on_broker(facts: Facts) -> tuple[BindingKey, ...]:
    """For `facts.memo`: the key of each binding on the broker."""
    return tuple([binding_key(b) for b in facts.actual.bindings or ()])


def keys_of_live_workers(facts: Facts) -> dict[int, list[BindingKey]]:
    """For `facts.memo`: the keys of each live worker's bindings as the topology has them."""
    return worker_keys(facts.topology, (w.id for w in facts.live_workers))


def desired_keys(facts: Facts) -> frozenset[BindingKey]:
    """For `facts.memo`: the keys of all bindings of the topology, with those of live workers."""
    base = map(binding_key, facts.topology.base_bindings)
    return frozenset(base).union(*facts.memo(keys_of_live_workers).values())


def missing_keys(facts: Facts) -> frozenset[BindingKey]:
    """For `facts.memo`: the keys of `desired_keys` that no binding on the broker has."""
    return facts.memo(desired_keys).difference(facts.memo(keys_on_broker))


def worker_keys(topology: Topology, ids: Iterable[int]) -> dict[int, list[BindingKey]]:
    """The keys of each worker's bindings, in a third of the time that the bindings themselves take."""
    templates = [binding_key(b) for b in topology.worker_binding_templates]
    found = {}
    for worker_id in ids:
        i = str(worker_id)
        found[worker_id] = [
            (source, kind, name.replace(ID, i), key.replace(ID, i), arguments)
            for source, kind, name, key, arguments in templates
        ]
    return found
