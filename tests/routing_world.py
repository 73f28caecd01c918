"""Random worlds for the routing differential: objects of one virtual host, and messages that try them.

A world is drawn from a seed, so a failure is replayed from its number; `smaller` gives the same world with one
object less, for shrinking.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from attune_ops.model.snapshot import BindingState, ExchangeState, PolicyState, QueueState
from attune_ops.routing import Router

WORDS = ("a", "a", "b", "", "c", "#", "*", "a#", "##", "**", "é", "é", "A")
PATTERN_WORDS = ("a", "a", "b", "*", "*", "#", "#", "", "c", "a#", "**", "é")
HEADER_NAMES = ("h", "i", "j", "x-h", "X-h", "é")
HEADER_VALUES: tuple[Any, ...] = (
    "v", "v", "w", "", "1", "true", 1, 1, 2, 0, -1, 2**40, True, False, None, ["v", "w"], ["v"], {"k": "v"}, {},
)  # fmt: skip
FRACTIONS = (1.0, 1.5)  # in bindings only: pika cannot send one
X_MATCHES = ("all", "any", "all-with-x", "any-with-x", None)
QUEUE_NAMES = ("q.0", "q.1", "q.2", "q é", "q'5\"", "q/6", "q.7", "a", "a.b", "q<9>")
EXCHANGE_NAMES = ("x.direct", "x.topic", "x.fanout", "x.headers", "x.1", "x.2", "x é", "x.3", "x.4", "x.5")


@dataclass(frozen=True)
class Sent:
    """A message to publish."""

    exchange: str
    key: str
    headers: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class World:
    """The objects of one virtual host."""

    exchanges: tuple[ExchangeState, ...]
    queues: tuple[QueueState, ...]
    bindings: tuple[BindingState, ...]
    policies: tuple[PolicyState, ...] = ()  # operator policies too, which a definitions file has no place for

    def router(self, version: str) -> Router:
        """The simulator over this world."""
        return Router("v", self.exchanges, self.queues, self.bindings, self.policies, version)

    def definitions(self) -> dict[str, Any]:
        """A definitions file of it, but for the bindings with void arguments, which JSON cannot say."""
        return {
            "exchanges": [
                {
                    "name": e.name, "type": e.type, "durable": e.durable, "auto_delete": e.auto_delete,
                    "internal": e.internal, "arguments": e.arguments,
                } for e in self.exchanges
            ],
            "queues": [
                {"name": q.name, "durable": q.durable, "auto_delete": False, "arguments": q.arguments}
                for q in self.queues
            ],
            "bindings": [
                {
                    "source": b.source, "destination": b.destination, "destination_type": b.destination_kind,
                    "routing_key": b.routing_key, "arguments": b.arguments,
                } for b in self.bindings if b not in self.voids
            ],
            "policies": [
                {
                    "name": p.name, "pattern": p.pattern, "apply-to": p.apply_to, "priority": p.priority,
                    "definition": p.definition,
                } for p in self.policies if not p.operator
            ],
        }  # fmt: skip

    @property
    def voids(self) -> tuple[BindingState, ...]:
        """The bindings with a void argument, which are made over AMQP."""
        return tuple(b for b in self.bindings if None in b.arguments.values())

    def smaller(self) -> Iterator[World]:
        """This world with one binding, policy, exchange or queue less."""
        for name in ("bindings", "policies", "exchanges", "queues"):
            objects: Sequence[Any] = getattr(self, name)
            for i, gone in enumerate(objects):
                less = replace(self, **{name: (*objects[:i], *objects[i + 1 :])})
                if name in ("exchanges", "queues"):
                    less = replace(less, bindings=tuple(b for b in less.bindings if not _touches(b, gone)))
                yield less


def _touches(binding: BindingState, gone: ExchangeState | QueueState) -> bool:
    if isinstance(gone, ExchangeState):
        to = binding.destination_kind == "exchange" and binding.destination == gone.name
        return to or binding.source == gone.name
    return binding.destination_kind == "queue" and binding.destination == gone.name


def routing_world(rng: Random, types: Sequence[str], hashes: int) -> World:
    """Exchanges of all types, linked at random, circles and alternates included; `hashes` is the most `#` of a key."""
    exchanges = []
    for name in EXCHANGE_NAMES:
        type = name[2:] if name[2:] in types else rng.choice(types)
        arguments = {"alternate-exchange": rng.choice((*EXCHANGE_NAMES, "", "missing"))} if rng.random() < 0.3 else {}
        exchanges.append(ExchangeState(name, "v", type, internal=rng.random() < 0.1, arguments=dict(arguments)))
    queues = tuple(QueueState(name, "v") for name in QUEUE_NAMES)
    bindings = {}
    for _ in range(rng.randint(12, 34)):
        b = _binding(rng, rng.choice(exchanges), hashes)
        bindings[repr(b)] = b
    return World(tuple(exchanges), queues, tuple(bindings.values()), _exchange_policies(rng))


def _binding(rng: Random, source: ExchangeState, hashes: int) -> BindingState:
    to_exchange = rng.random() < 0.3 and source.type != "x-local-random"
    destination = rng.choice(EXCHANGE_NAMES if to_exchange else QUEUE_NAMES)
    arguments: dict[str, Any] = {}
    if source.type == "headers":
        arguments = _headers(rng, rng.choice((0, 1, 1, 2, 3)), FRACTIONS)
        if None in arguments.values():  # made with pika
            arguments = {k: v for k, v in arguments.items() if not isinstance(v, float)}
        if (mode := rng.choice(X_MATCHES)) is not None:
            arguments["x-match"] = mode
    key = "" if source.type == "x-local-random" else _pattern(rng, hashes)
    return BindingState("v", source.name, destination, key, "exchange" if to_exchange else "queue", arguments)


def _pattern(rng: Random, hashes: int) -> str:
    words = [rng.choice(PATTERN_WORDS) for _ in range(rng.choice((0, 1, 1, 2, 2, 3, 4)))]
    while words.count("#") > hashes:
        words.remove("#")
    return ".".join(words)


def _key(rng: Random) -> str:
    return ".".join(rng.choice(WORDS) for _ in range(rng.choice((0, 1, 1, 2, 2, 3, 5))))


def _headers(rng: Random, count: int, more: tuple[Any, ...] = ()) -> dict[str, Any]:
    return {rng.choice(HEADER_NAMES): rng.choice((*HEADER_VALUES, *more)) for _ in range(count)}


def _exchange_policies(rng: Random) -> tuple[PolicyState, ...]:
    priorities = rng.sample(range(20), 4)
    return tuple(
        PolicyState(
            "v",
            f"p{i}",
            rng.choice((r"^x\.", r"\.[12]$", "é", "topic|3", "", "^nothing$", "[0-9]$", r"(?i)X\.FANOUT")),
            rng.choice(("all", "exchanges", "exchanges", "queues")),
            priority,
            rng.choice(
                (
                    {"alternate-exchange": rng.choice(EXCHANGE_NAMES)},
                    {"alternate-exchange": "missing"},
                    {"max-length": 1000},
                    {"alternate-exchange": rng.choice(EXCHANGE_NAMES), "max-length": 1000},
                )
            ),
        )
        for i, priority in enumerate(priorities[: rng.randint(0, 4)])
    )


def sent(rng: Random, world: World) -> Sent:
    """A message to some exchange that takes one, with a key, and at times headers and further keys."""
    open_exchanges = [e.name for e in world.exchanges if not e.internal]
    exchange = rng.choice((*open_exchanges, *open_exchanges, "", "amq.topic"))
    headers = _headers(rng, rng.choice((0, 0, 1, 2, 4)))
    for name in ("CC", "BCC"):
        if rng.random() < 0.12:
            headers[name] = [_key(rng) for _ in range(rng.randint(0, 2))]
    key = rng.choice(QUEUE_NAMES) if exchange == "" and rng.random() < 0.8 else _key(rng)
    aim = rng.choice(world.bindings) if world.bindings and rng.random() < 0.6 else None
    if aim is not None and exchange != "":
        words = aim.routing_key.replace("*", rng.choice(WORDS)).replace("#", _key(rng))
        key = words if rng.random() < 0.7 else f"{words}.{_key(rng)}"
        wanted = {k: v for k, v in aim.arguments.items() if not isinstance(v, float)}
        headers = {k: v for k, v in {**wanted, **headers}.items() if rng.random() < 0.9}
        exchange = aim.source if aim.source in open_exchanges and rng.random() < 0.6 else exchange
    return Sent(exchange, key, headers)


# Dead letters: in a queue that is named so, a message …
RESTING = ("r.0", "r.1", "r.2", "r é", "r.4")  # … lies until it is rejected
EXPIRING = ("e.0", "e.1", "e.2")  # … expires at once
OVERFLOWING = ("m.0",)  # … is over the length at once
NEVER = 10_000_000
DEATHS = (
    {"x-first-death-reason": "rejected"},
    {"x-first-death-reason": "expired"},
    {"x-first-death-queue": "r.0"},
    {"x-first-death-exchange": "feed r.1"},
    {"x-last-death-reason": "rejected"},
    {"x-last-death-queue": "r.0"},
    {"x-last-death-exchange": "x.1"},
    {"x-death": None},
    {"CC": None},
    {"h": "v"},
)


def feed(queue: str) -> str:
    """The exchange that leads to this queue alone, whatever the key."""
    return f"feed {queue}"


def dead_letter_world(rng: Random, types: Sequence[str], hashes: int, quorum: int) -> World:
    """Queues that dead-letter into each other; `quorum` of those that keep their messages are quorum queues."""
    open_types = [t for t in types if not t.startswith("x-")]
    names = (*RESTING, *EXPIRING, *OVERFLOWING)
    exchanges = [ExchangeState(n, "v", rng.choice(open_types), internal=rng.random() < 0.2) for n in EXCHANGE_NAMES[:6]]
    exchanges = [
        ExchangeState(e.name, "v", e.type, internal=e.internal, arguments={"alternate-exchange": "x.1"})
        if rng.random() < 0.15
        else e
        for e in exchanges
    ]
    quorums = set(rng.sample(RESTING, quorum))
    queues = tuple(_dying_queue(rng, n, n in quorums) for n in names)
    bindings = {}
    for _ in range(rng.randint(10, 22)):
        source = rng.choice(exchanges)
        arguments: dict[str, Any] = {}
        if source.type == "headers":
            arguments = {**rng.choice(DEATHS), "x-match": rng.choice(X_MATCHES[:4])}
        elsewhere = rng.random() < 0.15
        destination = rng.choice(EXCHANGE_NAMES[:6] if elsewhere else names)
        key = _pattern(rng, hashes)
        b = BindingState("v", source.name, destination, key, "exchange" if elsewhere else "queue", arguments)
        bindings[repr(b)] = b
    feeds = [ExchangeState(feed(n), "v", "fanout") for n in names]
    fed = [BindingState("v", feed(n), n) for n in names]
    return World((*exchanges, *feeds), queues, (*bindings.values(), *fed), _queue_policies(rng, quorum > 0))


def _dying_queue(rng: Random, name: str, quorum: bool) -> QueueState:
    arguments: dict[str, Any] = {"x-queue-type": "quorum"} if quorum else {}
    if rng.random() < 0.75:
        arguments["x-dead-letter-exchange"] = rng.choice((*EXCHANGE_NAMES[:6], *EXCHANGE_NAMES[:6], "", "missing"))
    if rng.random() < 0.35 and "x-dead-letter-exchange" in arguments:
        arguments["x-dead-letter-routing-key"] = rng.choice((*RESTING, *EXPIRING, _key(rng), _key(rng), ""))
    if name in EXPIRING and rng.random() < 0.7:
        arguments["x-message-ttl"] = 0
    elif name not in OVERFLOWING and rng.random() < 0.3:
        arguments["x-message-ttl"] = NEVER
    if name in OVERFLOWING:
        arguments["x-max-length"] = 0
    elif rng.random() < 0.2:
        arguments["x-max-length"] = NEVER
    return QueueState(name, "v", "quorum" if quorum else "classic", arguments=arguments)


def _queue_policies(rng: Random, quorum: bool) -> tuple[PolicyState, ...]:
    made = []
    for i, priority in enumerate(rng.sample(range(20), rng.randint(1, 5))):
        keys: dict[str, Any] = {}
        if rng.random() < 0.7:
            keys["dead-letter-exchange"] = rng.choice((*EXCHANGE_NAMES[:6], "", "missing"))
        if rng.random() < 0.4:
            keys["dead-letter-routing-key"] = rng.choice((*RESTING, _key(rng)))
        if rng.random() < 0.3:
            keys |= rng.choice(({"delivery-limit": 3}, {"queue-mode": "lazy"}, {"max-length": NEVER}))
        pattern = rng.choice(("^r", "^e", r"[01]$", "", "é", r"^[rm]\."))
        if not keys or (pattern == "^e" and rng.random() < 0.5):
            pattern, keys = "^e", {**keys, "message-ttl": 0}
        apply_to = rng.choice(("all", "queues", "queues", "exchanges"))
        made.append(PolicyState("v", f"p{i}", pattern, apply_to, priority, keys))
    if rng.random() < 0.5:
        made.append(PolicyState("v", "op", "^e", "queues", 0, {"message-ttl": rng.choice((0, NEVER))}, operator=True))
    return tuple(made)


def dying(rng: Random) -> Sent:
    """A message for one of the queues, by its feed."""
    headers = _headers(rng, rng.choice((0, 0, 1)))
    for name in ("CC", "BCC"):
        if rng.random() < 0.2:
            headers[name] = [_key(rng) for _ in range(rng.randint(0, 2))]
    key = rng.choice((_key(rng), _key(rng), rng.choice(RESTING)))
    return Sent(feed(rng.choice((*RESTING, *RESTING, *EXPIRING, *OVERFLOWING))), key, headers)
