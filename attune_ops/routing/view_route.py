"""How a `Route` shows itself: a tree in the terminal, a graph, a table of steps."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, TypedDict

import msgspec

from attune_ops.model.table import Cell, Column, Kind, Table
from attune_ops.model.units import counted
from attune_ops.render import html, text, view_graph
from attune_ops.routing.route import NO_ROUTE, SCHEMA, Canary, Hop, Refusal, Route, RouteStep
from attune_ops.routing.route_graph import route_graph

if TYPE_CHECKING:
    from rich.console import Group
    from rich.tree import Tree

COLUMNS = (
    Column("hop", Kind.INTEGER, doc="0 for the publish, then each dead-lettering"),
    Column("exchange", doc="exchange that routes the message"),
    Column("via", Kind.CATEGORY, doc="binding, default (the default exchange) or alternate"),
    Column("binding_key", doc="the binding's key"),
    Column("destination_kind", Kind.CATEGORY, doc="queue or exchange"),
    Column("destination", doc="destination of the step"),
)
DEPTH = 24  # levels of the tree; a longer chain is cut
MOST_STEPS = 150  # steps; a larger graph is not readable in a notebook

EMPTY = '""'

Words = tuple[str, str]  # a line and its style


def as_table(route: Route) -> Group:
    """The route as a tree, and the queues it ends in."""
    from rich.console import Group
    from rich.text import Text

    trees = [_tree(*shown, route.types) for shown in _branches(route)]
    lines = [Text(text.visible(words), style, overflow="fold") for words, style in summary(route)]
    return Group(*trees, *([""] if trees else []), *lines)


class BadLineJson(TypedDict):
    """A line of a batch that could not be answered, by its number."""

    schema: Literal["attune-ops/route/1"]
    line: int
    error: Refusal


JSON = (Route, BadLineJson)  # the route with the member `schema`


def as_json(route: Route) -> dict[str, Any]:
    """`attune-ops/route/1`."""
    return {"schema": SCHEMA, **msgspec.to_builtins(route)}


def bad_line(number: int, error: Refusal) -> BadLineJson:
    """A line of a batch that could not be answered, in the same schema."""
    return {"schema": SCHEMA, "line": number, "error": msgspec.to_builtins(error)}


def as_markdown(route: Route) -> str:
    """A Mermaid graph, which GitHub and GitLab draw, and the summary."""
    words = "  \n".join(text.markdown(text.visible(line)) for line, _ in summary(route))
    return f"```mermaid\n{as_mermaid(route)}\n```\n\n{words}"


def as_mermaid(route: Route) -> str:
    """A Mermaid flowchart."""
    return view_graph.as_mermaid(route_graph(route))


def as_svg(route: Route) -> str:
    """An SVG image."""
    return view_graph.as_svg(route_graph(route))


def as_dot(route: Route) -> str:
    """A Graphviz graph."""
    return view_graph.as_dot(route_graph(route))


def as_html(route: Route) -> str:
    """The graph, if it is small enough to be readable, and the tree."""
    from attune_ops.render.terminal import plain

    steps = len(route.path) + sum(len(h.path) for h in route.hops)
    return (as_svg(route) if steps <= MOST_STEPS else "") + html.preformatted(plain(as_table(route)))


def rows(route: Route) -> Table:
    """A row per step."""
    paths = [(i, h.path) for i, h in enumerate(route.hops, 1)] if route.hops else [(0, route.path)]
    cells: tuple[tuple[Cell, ...], ...] = tuple(
        (number, s.exchange, s.via, s.binding_key, s.destination_kind, s.destination)
        for number, path in paths
        for s in path
    )
    return Table("route", COLUMNS, cells, taken_at=None)


# The tree


def _branches(route: Route) -> Iterator[tuple[Words, str, tuple[RouteStep, ...], Words | None, frozenset[str]]]:
    """Each tree: its root, its first exchange, its steps, its end, uncertain queues."""
    if route.error is not None:
        return
    if route.dead_letter is None:
        root = (f"publish with key {route.routing_key or EMPTY}", "bold")
        end = None if route.path else ("no binding matches", "red")
        yield root, route.exchange or "", route.path, end, frozenset(route.possible)
    for hop in route.hops:
        root = (f"{hop.reason} in queue {hop.queue}", "bold")
        yield root, hop.exchange or "", hop.path, _end(hop), frozenset((*hop.possible, *hop.dropped))


def _end(hop: Hop) -> Words | None:
    if hop.end:
        return hop.end, "red"
    if hop.loops:
        return "repeats endlessly", "yellow"
    return None


def _tree(
    root: Words,
    start: str,
    path: Iterable[RouteStep],
    end: Words | None,
    doubtful: frozenset[str],
    types: Mapping[str, str],
) -> Tree:
    from rich.text import Text
    from rich.tree import Tree

    def line(words: str, style: str = "") -> Text:
        return Text(text.visible(words), style, overflow="fold")

    steps: dict[str, list[RouteStep]] = {}
    for step in path:
        steps.setdefault(step.exchange, []).append(step)
    tree = Tree(line(*root), guide_style="dim")
    first = tree.add(line(_exchange(start, types)))
    open_branches, seen = [(first, start, 1)], {start}
    while open_branches:
        branch, name, depth = open_branches.pop()
        for step in steps.get(name, ()):
            if depth > DEPTH:
                branch.add(line("… more; --format json has all steps", "dim"))
                break
            again = step.destination_kind == "exchange" and step.destination in seen
            child = branch.add(line(_step(step, types) + (" (shown above)" if again else ""), _style(step, doubtful)))
            if step.destination_kind == "exchange" and not again:
                seen.add(step.destination)
                open_branches.append((child, step.destination, depth + 1))
    if end is not None:
        first.add(line(*end))
    return tree


def _step(step: RouteStep, types: Mapping[str, str]) -> str:
    is_queue = step.destination_kind == "queue"
    to = f"queue {step.destination or EMPTY}" if is_queue else _exchange(step.destination, types)
    if step.via == "alternate":
        return f"no match, alternate → {to}"
    if step.via == "default":
        return f"queue name → {to}"
    if step.arguments:
        arguments = ", ".join(f"{k}={json.dumps(v, ensure_ascii=False)}" for k, v in step.arguments.items())
        return f"{arguments} → {to}"
    return f"{step.binding_key or EMPTY} → {to}"


def _style(step: RouteStep, doubtful: frozenset[str]) -> str:
    if step.destination_kind == "exchange":
        return ""
    return "yellow" if step.destination in doubtful else "green"


def _exchange(name: str, types: Mapping[str, str]) -> str:
    if not name:
        return f"exchange {EMPTY} (the default exchange)"
    return f"exchange {name}" + (f" ({types[name]})" if name in types else "")


# The last lines


def summary(route: Route) -> Iterator[Words]:
    """The queues that receive the message, in words."""
    if route.error is not None:
        code = "" if route.error.code is None else f"{route.error.code} "
        yield f"the broker refuses the message: {code}{route.error.text}", "bold red"
        yield from ((note, "") for note in route.notes)
        return
    first = "after its first hop " if route.dead_letter is not None else ""
    if route.queues:
        what = counted(len(route.queues), "queue receives", "queues receive")
        yield f"{first}{what} it: {', '.join(route.queues)}", "bold green"
    if route.possible:
        yield (
            f"possibly {', '.join(route.possible)}: cannot simulate exchange {', '.join(route.uncertain)}",
            "bold yellow",
        )
    if route.unroutable:
        yield _lost(route), "bold red"
    if route.via_alternate:
        yield "routed by an alternate exchange", ""
    for note in route.notes:
        yield note, "dim"
    if route.canary is not None:
        yield from _canary(route.canary)


def _lost(route: Route) -> str:
    if route.dead_letter is not None:
        end = route.hops[0].end
        return "no queue receives the dead letter" + ("" if end == NO_ROUTE else f": {end}")
    return "unroutable: no queue receives it; the broker drops it, or returns it if it was published as mandatory"


def _canary(canary: Canary) -> Iterator[Words]:
    if canary.agrees:
        yield f"confirmed by the broker ({canary.broker}) in a scratch virtual host, now deleted", "green"
    else:
        yield f"the broker ({canary.broker}) routed it differently in a scratch virtual host, now deleted:", "bold red"
        if canary.missing:
            yield f"  expected but not received: {', '.join(canary.missing)}", "red"
        if canary.unexpected:
            yield f"  received but not expected: {', '.join(canary.unexpected)}", "red"
    for note in canary.notes:
        yield f"  not copied: {note}", "dim"
