"""Small worlds for the routing tests, in one line each."""

from __future__ import annotations

from typing import Any

from attune_ops.model.snapshot import BindingState, ExchangeState, PolicyState, QueueState
from attune_ops.routing import Router


def exchange(name: str, type: str = "direct", **more: Any) -> ExchangeState:
    return ExchangeState(name, "/", type, **more)


def queue(name: str, **more: Any) -> QueueState:
    return QueueState(name, "/", **more)


def bind(source: str, destination: str, key: str = "", **more: Any) -> BindingState:
    return BindingState("/", source, destination, key, **more)


def link(source: str, destination: str, key: str = "", **more: Any) -> BindingState:
    return BindingState("/", source, destination, key, "exchange", **more)


def policy(name: str, pattern: str, definition: dict[str, Any], **more: Any) -> PolicyState:
    return PolicyState("/", name, pattern, definition=definition, **more)


def router(*objects: Any, version: str | None = None) -> Router:
    """A router over these; a queue that only a binding names is made."""
    exchanges = [o for o in objects if isinstance(o, ExchangeState)]
    queues = [o for o in objects if isinstance(o, QueueState)]
    bindings = [o for o in objects if isinstance(o, BindingState)]
    policies = [o for o in objects if isinstance(o, PolicyState)]
    bound = {b.destination for b in bindings if b.destination_kind == "queue"} - {q.name for q in queues}
    return Router("/", exchanges, [*queues, *(queue(n) for n in sorted(bound))], bindings, policies, version)
