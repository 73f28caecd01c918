"""Topology files: reading one, with errors that name the field, what was found and what is allowed, and writing one.

A file is TOML with an inline table a line, as the files in `topologies/` are.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from attune_ops.model.errors import TopologyError
from attune_ops.model.files import validation_message
from attune_ops.model.topology import ID, Per, Topology


def parse_toml(text: str, origin: str) -> Topology:
    """Builds a `Topology` from the text of a TOML file; raises `TopologyError` naming the line and the field."""
    import tomllib

    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as e:
        line = re.search(r"at line (\d+)", str(e))
        at = f", line {line[1]}" if line else ""
        raise TopologyError(f"{origin}{at}: not TOML: {e}") from None
    except RecursionError:
        raise TopologyError(f"{origin}: not a topology: nested too deeply") from None
    return parse(data, origin, text)


def parse(data: Mapping[str, Any], origin: str, text: str = "") -> Topology:
    """Builds a `Topology` from decoded TOML or JSON; `origin` (a file) begins every error.

    `text` is the TOML that `data` came from, for the line number. Raises `TopologyError` naming the path of
    the field, what was found and what is allowed.
    """
    try:
        topology = msgspec.convert(data, Topology, strict=True)
    except msgspec.ValidationError as e:
        problem = validation_message(e, data, Topology)
    else:
        problem = next(_problems(topology), "")
        if not problem:
            return topology
    line = line_of(text, problem.split(":")[0])
    raise TopologyError(f"{origin}{f', line {line}' if line else ''}: {problem}")


def to_dict(topology: Topology) -> dict[str, Any]:
    """The plain data of a topology, defaults left out: what `parse` takes and what a TOML file holds."""
    plain: dict[str, Any] = msgspec.to_builtins(topology)
    return plain


def to_toml(topology: Topology, comment: str = "") -> str:
    """The text of a topology file that reads back as this topology; `comment` is at its head.

    Raises `TopologyError` for an argument that TOML cannot hold (a void one).
    """
    # A comment line ends at any line break and may hold no other control character.
    lines = [f"# {''.join(c if c.isprintable() else ' ' for c in line)}" for line in comment.splitlines()]
    for name, value in to_dict(topology).items():
        if not isinstance(value, list | tuple):
            lines.append(f"{name} = {_toml(value)}")
            continue
        lines += ["", f"{name} = [", *(f"    {_toml(item)}," for item in value), "]"]
    return "\n".join(lines) + "\n"


def _problems(topology: Topology) -> Iterator[str]:
    """The errors of a well-formed file, in its order."""
    if not topology.name:
        yield "name: empty; a topology needs a name"
    exchanges = [e.name for e in topology.exchanges]
    queues = [q.name for q in topology.queues]
    for kind, names in (("exchanges", exchanges), ("queues", queues)):
        for i, name in enumerate(names):
            where = f"{kind}[{i}].name"
            if not name:
                yield f"{where}: empty; the name '' belongs to the broker"
            if len(name.encode()) > 255:
                yield f"{where}: {len(name.encode())} bytes; AMQP allows 255"
            if "\n" in name or "\r" in name:
                yield f"{where}: {name!r} has a line break; RabbitMQ removes line breaks from names"
            if names.index(name) != i:
                yield f"{where}: {name!r} is a duplicate of {kind}[{names.index(name)}]"
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
            yield f'{where}.service: missing; per = "replica" needs the service of the replicas'


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


# What can contain a bracket in TOML: strings of the four kinds, comments, the brackets themselves.
_TOKEN = r'"""(?:\\.|[^\\])*?"""|\'\'\'.*?\'\'\'|"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\'|#[^\n]*|[\[\]{}]'


def line_of(text: str, path: str) -> int | None:
    """The line of a TOML text where `queues[3].name` (its element of the array) or the field `name` stands, or None."""
    found = re.match(r"(\w+)(?:\[(\d+)\])?", path)
    if not found:
        return None
    kind, index = found[1], int(found[2] or 0)
    headers = list(re.finditer(rf"^[ \t]*\[\[\s*{kind}\s*\]\]", text, re.MULTILINE))
    start = re.search(rf"^[ \t]*{kind}[ \t]*=[ \t]*", text, re.MULTILINE)
    at: int | None = None
    if index < len(headers):
        at = headers[index].start()
    elif start:
        at = start.start() if found[2] is None else _element(text, start.end(), index)
    return None if at is None else text.count("\n", 0, at) + 1


def _element(text: str, start: int, index: int) -> int | None:
    """Where the inline table number `index` of the array that begins at `start` opens."""
    depth = 0
    for token in re.compile(_TOKEN, re.DOTALL).finditer(text, start):
        if token[0] in "[{":
            if depth == 1 and token[0] == "{":
                if index == 0:
                    return token.start()
                index -= 1
            depth += 1
        elif token[0] in "]}":
            depth -= 1
            if depth <= 0:
                return None
    return None


def _toml(value: Any) -> str:
    if isinstance(value, str):
        return _toml_string(value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, dict):
        pairs = (f"{_toml_key(k)} = {_toml(v)}" for k, v in value.items())
        return f"{{ {', '.join(pairs)} }}" if value else "{}"
    raise TopologyError("TOML has no form for an argument without a value (void); export definitions instead")


def _toml_key(text: str) -> str:
    return text if re.fullmatch(r"[A-Za-z0-9_-]+", text) else _toml_string(text)


def _toml_string(text: str) -> str:
    """A basic string: JSON escapes what TOML escapes, except the delete character."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
