"""Reading a topology file: what it must hold, and a complaint that names the field, what was found, what is allowed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from attune_ops.errors import TopologyError
from attune_ops.topology import ID, Binding, Consumer, Exchange, Per, Publish, Queue, Topology


def parse(data: Mapping[str, Any], origin: str) -> Topology:
    """Builds a `Topology` from decoded TOML or JSON; `origin` (a file) stands in front of every complaint.

    Raises `TopologyError` naming the path of the field, what was found and what is allowed.
    """
    try:
        topology = msgspec.convert(data, Topology, strict=True)
    except msgspec.ValidationError as e:
        raise TopologyError(f"{origin}: {_explain(e, data)}") from None
    for problem in _problems(topology):
        raise TopologyError(f"{origin}: {problem}")
    return topology


def to_dict(topology: Topology) -> dict[str, Any]:
    """The plain data of a topology, defaults left out: what `parse` takes and what a TOML file holds."""
    plain: dict[str, Any] = msgspec.to_builtins(topology)
    return plain


_AT = re.compile(r" - at `\$\.?(?P<path>.*)`$")


def _explain(error: msgspec.ValidationError, data: Any) -> str:
    """Words for msgspec's complaint: path of the field, what is wrong, what was found there."""
    text = str(error)
    found = _AT.search(text)
    path = found["path"] if found else ""
    what = _AT.sub("", text)
    value = data
    for name, index in re.findall(r"\.?([^.\[\]]+)|\[(\d+)\]", path):
        try:
            value = value[int(index)] if index else value[name]
        except (KeyError, IndexError, TypeError):
            return f"{path or 'the file'}: {what}"
    if "unknown field" in what:
        return f"{path or 'the file'}: {what}; allowed are {_fields_at(path)}"
    if "enum" in what:
        what += f" (allowed: {', '.join(Per)})"
    shown = repr(value)
    return f"{path or 'the file'}: {what}" + (f"; found {shown}" if path and len(shown) <= 80 else "")


def _fields_at(path: str) -> str:
    kinds: dict[str, type[msgspec.Struct]] = {
        "exchanges": Exchange,
        "queues": Queue,
        "bindings": Binding,
        "publishes": Publish,
        "consumers": Consumer,
    }
    kind = kinds.get(path.split("[")[0], Topology)
    return ", ".join(kind.__struct_fields__)


def _problems(topology: Topology) -> Iterator[str]:
    """What a well-formed file can still get wrong, in the order of the file."""
    if not topology.name:
        yield "name: it is empty; a topology needs a name"
    exchanges = [e.name for e in topology.exchanges]
    queues = [q.name for q in topology.queues]
    for kind, names in (("exchanges", exchanges), ("queues", queues)):
        for i, name in enumerate(names):
            where = f"{kind}[{i}].name"
            if not name:
                yield f"{where}: it is empty; the name '' belongs to the broker"
            if len(name.encode()) > 255:
                yield f"{where}: {len(name.encode())} bytes; AMQP allows 255"
            if names.index(name) != i:
                yield f"{where}: {name!r} stands twice ({kind}[{names.index(name)}] has it too)"
    yield from _queue_problems(topology)
    yield from _reference_problems(topology, set(exchanges), set(queues))


def _queue_problems(topology: Topology) -> Iterator[str]:
    for i, queue in enumerate(topology.queues):
        where = f"queues[{i}]"
        if (queue.per is Per.WORKER) != (ID in queue.name):
            yield f'{where}: {queue.name!r} has per = "{queue.per}"; a name with {ID} and only that is per = "worker"'
        if queue.name.count(ID) > 1:
            yield f"{where}.name: {queue.name!r} holds {ID} more than once"
        if queue.per is Per.REPLICA and not queue.service:
            yield f'{where}.service: missing; per = "replica" needs the service whose replicas hold the queue'


def _reference_problems(topology: Topology, exchanges: set[str], queues: set[str]) -> Iterator[str]:
    known = ", ".join(sorted(exchanges))
    for i, binding in enumerate(topology.bindings):
        if binding.source not in exchanges:
            yield f"bindings[{i}].source: no exchange {binding.source!r} in this file (it has {known})"
        targets = queues if binding.destination_kind == "queue" else exchanges
        if binding.destination not in targets:
            kind = binding.destination_kind
            yield f"bindings[{i}].destination: no {kind} {binding.destination!r} in this file"
        if ID in binding.routing_key and ID not in binding.destination:
            yield f"bindings[{i}].routing_key: {binding.routing_key!r} holds {ID} but {binding.destination!r} does not"
    for i, publish in enumerate(topology.publishes):
        if publish.exchange not in exchanges | {""}:
            yield f"publishes[{i}].exchange: no exchange {publish.exchange!r} in this file (it has {known})"
    for i, consumer in enumerate(topology.consumers):
        if consumer.queue not in queues:
            yield f"consumers[{i}].queue: no queue {consumer.queue!r} in this file"
        if isinstance(consumer.prefetch, str) and not re.fullmatch(r"concurrency(\+\d+)?", consumer.prefetch):
            yield f'consumers[{i}].prefetch: found {consumer.prefetch!r}; allowed is a number or "concurrency+N"'
