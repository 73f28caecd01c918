"""Notes on a route: why no queue receives the message, why an exchange cannot be simulated."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence

import msgspec

from attune_ops.routing.matchers import AMBIGUOUS, SIMULATED
from attune_ops.routing.route import Route, RouteStep
from attune_ops.routing.router import Router

NEAREST = 3
COMPARED = 5000  # bindings; more keys would take noticeable time


def with_notes(router: Router, route: Route) -> Route:
    """The route with the types of its exchanges, and with notes on why it is unroutable or uncertain."""
    if route.error is not None:
        meant = difflib.get_close_matches(route.exchange or "", [n for n in router.exchange_names if n], NEAREST)
        unknown = route.exchange is not None and router.exchange(route.exchange) is None
        if unknown and meant:
            note = f"did you mean {' or '.join(map(repr, meant))}?"
            return msgspec.structs.replace(route, notes=(*route.notes, note))
        return route
    uncertain = dict.fromkeys((*route.uncertain, *(name for hop in route.hops for name in hop.uncertain)))
    notes = [_doubt(router, name) for name in uncertain]
    if route.unroutable:
        start, key = route.exchange, route.routing_key
        if route.hops:
            key = next(iter(route.hops[0].routing_keys), "")
        if start is not None and router.exchange(start) is not None and not (route.hops and route.hops[0].dropped):
            notes += _reasons(router, start, route.path, key)
    return msgspec.structs.replace(route, notes=(*route.notes, *notes), types=_types(router, route))


def _types(router: Router, route: Route) -> dict[str, str]:
    steps = (*route.path, *(s for h in route.hops for s in h.path))
    names = dict.fromkeys(
        (route.exchange, *(n for s in steps for n in _exchanges(s)), *(h.exchange for h in route.hops))
    )
    found = {n: router.exchange(n) for n in names if n is not None}
    return {name: state.type for name, state in found.items() if state is not None}


def _exchanges(step: RouteStep) -> Iterator[str]:
    yield step.exchange
    if step.destination_kind == "exchange":
        yield step.destination


def _doubt(router: Router, name: str) -> str:
    """Why an exchange cannot be simulated."""
    state = router.exchange(name)
    kind = state.type if state is not None else ""
    if any(AMBIGUOUS in b.arguments.values() for b in router.bindings(name)) and kind == "headers":
        return (
            f"headers exchange {name!r} has an argument shown as {AMBIGUOUS!r}: this text, or void, which requires "
            "only the header (the management API does not distinguish them)"
        )
    if kind in SIMULATED:
        return f"exchange {name!r} has policies of the same priority with different alternate exchanges"
    return f"exchange {name!r} is of type {kind}, which cannot be simulated"


def _reasons(router: Router, start: str, path: Sequence[RouteStep], key: str) -> Iterator[str]:
    if not start:
        yield f"no queue is named {key!r}" + _near(key, router.queue_names)
        return
    led_on = {s.exchange for s in path}
    for name in dict.fromkeys((start, *(s.destination for s in path if s.destination_kind == "exchange"))):
        state = router.exchange(name)
        if state is None:
            yield f"exchange {name!r} does not exist"
        elif name not in led_on:
            yield _no_match(state.type, name, router.bindings(name), key)
    for name in (s.destination for s in path if s.destination_kind == "queue"):
        yield f"queue {name!r}, the destination of a binding, does not exist"


def _no_match(type: str, name: str, bindings: Sequence[RouteStep], key: str) -> str:
    """Why an exchange routed the message nowhere."""
    here = f"{type} exchange {name!r}" if name else "the default exchange, as an alternate,"
    if not bindings:
        return f"{here} has no bindings"
    if type == "headers":
        return f"{here} {_count(bindings)} the headers"
    keys = tuple(dict.fromkeys(b.binding_key or "" for b in bindings))
    literal = type == "direct" and any(set(k.split(".")) & {"#", "*"} for k in keys)
    note = f"{here} {_count(bindings)} {key!r}{_near(key, keys)}"
    return note + ("; on a direct exchange # and * are literal" if literal else "")


def _count(bindings: Sequence[RouteStep]) -> str:
    one = len(bindings) == 1
    return "has 1 binding, which does not match" if one else f"has {len(bindings)} bindings, none of which matches"


def _near(key: str, keys: Sequence[str]) -> str:
    if len(keys) <= NEAREST:
        return f" ({', '.join(map(repr, keys))})" if keys else ""
    near = difflib.get_close_matches(key, keys[:COMPARED], NEAREST)
    return f" (nearest: {', '.join(map(repr, near))})" if near else ""
