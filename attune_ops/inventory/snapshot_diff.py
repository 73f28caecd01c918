"""The contents of a snapshot, and the changes between two: pure tables over facts."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Any

import msgspec

from attune_ops.model.definitions import UNKNOWN
from attune_ops.model.errors import ConfigError
from attune_ops.model.facts import Facts, Source
from attune_ops.model.snapshot import BindingState, ExchangeState, QueueState
from attune_ops.model.snapshot_file import FileFacts, load_all
from attune_ops.model.table import Cell, Column, Kind, Table
from attune_ops.model.topology import binding_name
from attune_ops.model.units import counted

CHANGES = (
    Column("change", Kind.CATEGORY, doc="came (new), went (gone) or changed"),
    Column("object", Kind.CATEGORY, doc="vhost, queue, exchange, binding, policy, consumer, node, worker …"),
    Column("name", doc="its name"),
    Column("attribute", doc="the attribute that changed"),
    Column("before", doc="as JSON; a count of messages as a number"),
    Column("after", doc="as JSON, like before"),
)  # fmt: skip
VHOST = Column("vhost", Kind.CATEGORY, doc="the virtual host, where several are compared")

CONTENTS = (
    Column("source", Kind.CATEGORY, doc="the source of the facts"),
    Column("told", Kind.FLAG, doc="whether they were read"),
    Column("objects", Kind.INTEGER, doc="number of objects"),
    Column("detail", doc="what they are, or why they are unknown"),
)

# What changes all the time by itself, and members that only repeat the key.
IGNORED = frozenset({
    "publish_in", "publish_out", "publish_rate", "deliver_rate", "ack_rate", "redeliver_rate", "memory",
    "message_bytes", "head_message_timestamp", "idle_since", "state", "node", "effective_policy", "properties_key",
    "vhost", "owner", "channel", "activity_status", "peer_port", "connected_at", "channels", "name", "queue", "tag",
    "memory_used", "consumed", "published", "disk_free", "descriptors_used", "uptime_ms", "last_heartbeat", "updated",
})  # fmt: skip

# The source that an attribute without a value was to come from: without that source it is unknown.
SOURCE_OF = {
    **dict.fromkeys(("messages", "messages_ready", "messages_unacknowledged"), Source.DEPTHS),
    "consumers": Source.CONSUMERS, "alarms": Source.ALARMS, "limits": Source.LIMITS,
}  # fmt: skip


_NOUNS = {"policies": ("policy", "policies"), "deprecated": ("feature", "features")}


def contents(facts: Facts) -> Table:
    """What these facts hold, source by source, and why some are unknown."""
    rows = tuple(_content(facts, source) for source in Source)
    broker = facts.broker
    about = f"{facts.topology.name} in virtual host {facts.vhost}" + (f", environment {facts.env}" if facts.env else "")
    product = f"{broker.product} {broker.version or '(unknown version)'}" if broker else "no broker"
    return Table("snapshot", CONTENTS, rows, facts.taken_at, (f"{about}, {product}",), key=("source",))


def _content(facts: Facts, source: Source) -> tuple[Cell, ...]:
    reason = facts.missing_reason((source,))
    if reason is not None:
        return str(source), False, None, reason
    counts = {noun: len(items) for noun, items in _parts(facts, source).items() if items is not None}
    detail = ", ".join(counted(n, *_NOUNS.get(noun, (noun.removesuffix("s"), noun))) for noun, n in counts.items())
    reach = next((r for r in facts.reach if r.source is source), None)
    if source is Source.DEPTHS:
        detail = counted(sum(q.messages or 0 for q in facts.actual.queues or ()), "message")
    elif source is Source.DEAD_LETTERED:
        detail = counted(sum((facts.actual.dead_lettered or {}).values()), "dead letter")
    elif reach is not None and not detail:
        detail = f"{reach.target}{f' as {reach.user}' if reach.user else ''}"
    return str(source), True, sum(counts.values()) if counts else None, detail or None


def _parts(facts: Facts, source: Source) -> dict[str, tuple[Any, ...] | None]:
    """The lists of a source, by name; none for a source without lists."""
    members = {
        Source.BROKER: ("exchanges", "queues", "bindings", "policies"),
        Source.CONNECTIONS: ("connections", "channels"),
        Source.REGISTRY: ("workers",),
        Source.DEPTHS: (),
        Source.DEAD_LETTERED: (),
    }.get(source, (source.value,))
    holder = facts.registry if source in (Source.REGISTRY, Source.EXECUTIONS) else facts.broker
    return {name: getattr(holder, name) for name in members if hasattr(holder, name)}


def changes(before: Facts, after: Facts) -> Table:
    """The new, gone and changed objects from one snapshot to another.

    Counts of messages and consumers are compared; rates, sizes and times, which always change, are not. What one of
    the two does not hold is not compared; a note says so.
    """
    return _table(*_changes(before, after), before, after)


def file_changes(before: str, after: str | Facts, vhost: str | None = None) -> Table:
    """The changes from a file to another file, or to facts: of all virtual hosts, or of one; raises `ConfigError`.

    A virtual host that only one of two whole exports has is new or gone, with all its objects. Where a file is of one
    virtual host, only this one is compared.
    """
    one = load_all(before)
    other = load_all(after) if isinstance(after, str) else FileFacts({after.vhost: after})
    names = (before, after if isinstance(after, str) else "the broker")
    if vhost is not None:
        one, other = (_only(found, name, vhost) for found, name in zip((one, other), names, strict=True))
    if len(one) == len(other) == 1:
        return changes(next(iter(one.values())), next(iter(other.values())))
    rows: list[tuple[Cell, ...]] = []
    notes: list[str] = []
    compared = dict.fromkeys((*one, *other)) if one.whole and other.whole else [n for n in one if n in other]
    if not compared:
        raise ConfigError(f"{names[0]} and {names[1]} have no virtual host in common: {_hosts(one)}; {_hosts(other)}")
    for name in compared:
        pair = (one.get(name), other.get(name))
        if None in pair:
            rows.append(("went" if pair[1] is None else "came", "vhost", name, None, None, None, name))
        found = next(f for f in pair if f is not None)
        of_one, remarks = _changes(*(_empty(found) if f is None else f for f in pair))
        rows += [(*row, name) for row in of_one]
        notes += remarks
    left_out = sorted({*one, *other} - {*compared})
    if left_out:
        notes.append(f"not compared, as one of the two is not an export of all virtual hosts: {', '.join(left_out)}")
    times = (max(f.taken_at for f in found.values()) for found in (one, other))
    first, last = next(iter(one.values())), next(iter(other.values()))
    stamped = [msgspec.structs.replace(f, taken_at=t) for f, t in zip((first, last), times, strict=True)]
    return _table(rows, list(dict.fromkeys(notes)), stamped[0], stamped[1], (*CHANGES, VHOST))


def _only(found: FileFacts, name: str, vhost: str) -> FileFacts:
    if vhost not in found:
        raise ConfigError(f"{name}: no virtual host {vhost!r}; it has {_hosts(found)}")
    return FileFacts({vhost: found[vhost]})


def _hosts(found: FileFacts) -> str:
    return ", ".join(map(repr, found))


def _empty(like: Facts) -> Facts:
    """Facts of a virtual host without objects, otherwise as `like`."""
    broker = msgspec.structs.replace(like.actual, exchanges=(), queues=(), bindings=(), policies=())
    return msgspec.structs.replace(like, broker=broker)


def _table(
    rows: list[tuple[Cell, ...]],
    notes: list[str],
    before: Facts,
    after: Facts,
    columns: tuple[Column, ...] = CHANGES,
) -> Table:
    span = f"from {before.taken_at:%Y-%m-%d %H:%M:%S}Z to {after.taken_at:%Y-%m-%d %H:%M:%S}Z"
    return Table("changes", columns, tuple(rows), after.taken_at, (span, *notes))


def _changes(before: Facts, after: Facts) -> tuple[list[tuple[Cell, ...]], list[str]]:
    """The rows of one virtual host, and what could not be compared."""
    rows: list[tuple[Cell, ...]] = [*_broker_changes(before, after)]
    notes: list[str] = []
    for noun, source, listed, key in _LISTS:
        one, other = listed(before), listed(after)
        if one is None or other is None:
            which = "the first" if one is None else "the second"
            reason = (before if one is None else after).missing_reason((source,)) or "not read"
            notes.append(f"{noun}s not compared: {which} snapshot does not have them ({reason})")
            continue
        if noun in ("exchange", "queue", "binding") and _is_definitions(before) != _is_definitions(after):
            one, other = (tuple(item for item in items if _is_exported(item, facts))
                          for items, facts in ((one, before), (other, after)))  # fmt: skip
        rows += _list_changes(noun, _keyed(one, key), _keyed(other, key), before, after)
    return rows, notes


def _is_definitions(facts: Facts) -> bool:
    """Whether it is a definitions file, which has neither built-in exchanges nor exclusive queues."""
    return facts.missing.get(Source.MANAGEMENT) == UNKNOWN[Source.MANAGEMENT]


def _is_exported(item: ExchangeState | QueueState | BindingState, facts: Facts) -> bool:
    if isinstance(item, ExchangeState):
        return bool(item.name) and not item.name.startswith("amq.")
    if isinstance(item, BindingState):
        queue = facts.actual.queue_named.get(item.destination) if item.destination_kind == "queue" else None
        return queue is None or not queue.exclusive
    return not item.exclusive


def _broker_changes(before: Facts, after: Facts) -> Iterator[tuple[Cell, ...]]:
    for name in ("vhost", "env"):
        yield from _changed("broker", "", name, getattr(before, name), getattr(after, name))
    yield from _changed("broker", "", "topology", before.topology.name, after.topology.name)
    if before.broker is not None and after.broker is not None:
        for name in ("version", "erlang", "cluster", "alarms", "limits", "default_queue_type", "statistics_disabled"):
            one, other = getattr(before.broker, name), getattr(after.broker, name)
            if not (_is_unread(before, name, one) or _is_unread(after, name, other)):
                yield from _changed("broker", "", name, one, other)
    for source in Source:
        yield from _changed("source", str(source), "missing", before.missing.get(source), after.missing.get(source))


def _is_unread(facts: Facts, attribute: str, value: Any) -> bool:
    """Whether an attribute has no value because its source was not read."""
    if value is not None:
        return False
    source = SOURCE_OF.get(attribute)
    return _is_definitions(facts) if source is None else facts.missing_reason((source,)) is not None


def _list_changes(
    noun: str, old: dict[Hashable, Any], new: dict[Hashable, Any], before: Facts, after: Facts
) -> Iterator[tuple[Cell, ...]]:
    for key, one in old.items():
        other = new.get(key)
        if other is None:
            yield "went", noun, _name(noun, one), None, None, None
        elif one != other:
            if noun == "queue" and one.is_unavailable != other.is_unavailable:
                yield from _changed(noun, _name(noun, other), "state", one.state, other.state)
            for field in (f for f in one.__struct_fields__ if f not in IGNORED):
                pair = getattr(one, field), getattr(other, field)
                unread = _is_unread(before, field, pair[0]) or _is_unread(after, field, pair[1])
                if not unread or noun == "worker":
                    yield from _changed(noun, _name(noun, other), field, *pair)
    for key, other in new.items():
        if key not in old:
            yield "came", noun, _name(noun, other), None, None, None


def _changed(noun: str, name: str, attribute: str, before: Any, after: Any) -> Iterator[tuple[Cell, ...]]:
    if before != after:
        yield "changed", noun, name, attribute, _json(before), _json(after)


def _json(value: Any) -> str | None:
    import msgspec

    return None if value is None else msgspec.json.encode(value, order="sorted").decode()


def _keyed(items: Iterable[Any], key: Callable[[Any], Hashable]) -> dict[Hashable, Any]:
    """The items by key; several with one key (two consumers of one tag) are numbered."""
    found: dict[Hashable, Any] = {}
    for item in items:
        at, n = key(item), 0
        while (at, n) in found:
            n += 1
        found[at, n] = item
    return found


def _name(noun: str, item: Any) -> str:
    if noun == "binding":
        return binding_name(item.source, item.destination, item.routing_key)
    if noun == "consumer":
        return f"{item.tag} on {item.queue}"
    if noun == "worker":
        return f"{item.id} {item.name}"
    return str(item.name)


def _of_broker(member: str) -> Callable[[Facts], Any]:
    return lambda facts: None if facts.broker is None else getattr(facts.broker, member)


_LISTS: tuple[tuple[str, Source, Callable[[Facts], Any], Callable[[Any], Hashable]], ...] = (
    ("exchange", Source.BROKER, _of_broker("exchanges"), lambda e: e.name),
    ("queue", Source.BROKER, _of_broker("queues"), lambda q: q.name),
    (
        "binding",
        Source.BROKER,
        _of_broker("bindings"),
        lambda b: (b.source, b.destination_kind, b.destination, b.routing_key, _json(b.arguments)),
    ),
    ("policy", Source.BROKER, _of_broker("policies"), lambda p: (p.operator, p.name)),
    ("consumer", Source.CONSUMERS, _of_broker("consumers"), lambda c: (c.queue, c.tag)),
    ("connection", Source.CONNECTIONS, _of_broker("connections"), lambda c: c.name),
    ("node", Source.NODES, _of_broker("nodes"), lambda n: n.name),
    ("feature", Source.DEPRECATED, _of_broker("deprecated"), lambda d: d.name),
    ("worker", Source.REGISTRY, lambda f: None if f.registry is None else f.registry.workers, lambda w: w.id),
)
