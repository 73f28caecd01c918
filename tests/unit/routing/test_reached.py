"""`Router.reached`, which takes a shortcut for the usual case, against `Router.route`, which walks."""

from __future__ import annotations

import random

import pytest

from attune_ops.model.snapshot import BindingState, ExchangeState, QueueState
from attune_ops.routing import Router

TYPES = ("direct", "topic", "fanout", "headers", "x-random", "x-unknown")
KEYS = ("", "a", "a.b", "*.b", "#", "q1")


def some_router(seed: int) -> Router:
    """Exchanges of every type, internal and with alternates, bound to queues (some missing) and to each other."""
    chance = random.Random(seed)
    names = [f"x{i}" for i in range(5)]
    exchanges = [
        ExchangeState(
            name, "/", chance.choice(TYPES), internal=chance.random() < 0.2,
            arguments={"alternate-exchange": chance.choice(names)} if chance.random() < 0.3 else {},
        )
        for name in names
    ]  # fmt: skip
    bindings = []
    for _ in range(chance.randrange(12)):
        kind, targets = chance.choice((("queue", ("q1", "q2", "gone")), ("exchange", names)))
        source, target, key = chance.choice(names), chance.choice(targets), chance.choice(KEYS)
        bindings.append(BindingState("/", source, target, key, kind))  # type: ignore[arg-type]
    return Router("/", exchanges, [QueueState("q1", "/"), QueueState("q2", "/")], bindings)


@pytest.mark.parametrize("seed", range(200))
def test_reached_is_what_the_route_says(seed: int) -> None:
    router = some_router(seed)
    for exchange in ("", "missing", "amq.topic", *(f"x{i}" for i in range(5))):
        for key in KEYS:
            route = router.route(exchange, key)
            assert sorted(router.reached(exchange, key)) == sorted((*route.queues, *route.possible))
        assert list(router.reached_by_each(exchange, KEYS)) == [router.reached(exchange, key) for key in KEYS]
