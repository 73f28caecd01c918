"""A route as a graph, from the publish to the queues."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from attune_ops.model.graph import Graph, GraphEdge, GraphNode, Mark, NodeKind
from attune_ops.routing.route import Hop, Route, RouteStep

PUBLISH = "publish"
NOWHERE = "nowhere"


def route_graph(route: Route) -> Graph:
    """The publish, or the dead-lettering queue, on the left; queues that receive the message are marked."""
    drawing = _Drawing(route.types)
    if route.dead_letter is None:
        drawing.node(PUBLISH, "publish", "service", (route.routing_key or '""',))
        _draw_publish(drawing, route)
    else:
        drawing.node(f"queue {route.dead_letter}", route.dead_letter, "queue")
    for hop in route.hops:
        _draw_hop(drawing, hop)
    if route.error is not None:
        drawing.node(NOWHERE, route.error.text, "end", (), ("error",))
        drawing.edge(PUBLISH if route.dead_letter is None else f"queue {route.dead_letter}", NOWHERE, "", ("error",))
    title = f"Route of a message with key {route.routing_key or chr(34) * 2}"
    return Graph(title, tuple(drawing.nodes.values()), tuple(drawing.edges))


class _Drawing:
    """Nodes and edges in the order of the route; each node once."""

    def __init__(self, types: Mapping[str, str]) -> None:
        self._types = types
        self.nodes: dict[str, GraphNode] = {}
        self.edges: list[GraphEdge] = []

    def node(
        self, id: str, label: str, kind: NodeKind, notes: tuple[str, ...] = (), marks: tuple[Mark, ...] = ()
    ) -> None:
        if id not in self.nodes:
            self.nodes[id] = GraphNode(id, label, kind, notes, marks)

    def exchange(self, name: str) -> str:
        """The node of an exchange, with its type below; returns its id."""
        known = self._types.get(name)
        self.node(f"exchange {name}", name, "exchange", (known,) if known and name else ())
        return f"exchange {name}"

    def edge(self, source: str, target: str, label: str, marks: tuple[Mark, ...] = (), *, dashed: bool = False) -> None:
        self.edges.append(GraphEdge(source, target, label, dashed, marks))

    def steps(self, path: Iterable[RouteStep], possible: frozenset[str]) -> None:
        """The steps of a path; a queue that only may receive the message has a warning mark."""
        for step in path:
            marks: tuple[Mark, ...] = ("way",)
            source = self.exchange(step.exchange)
            if step.destination_kind == "exchange":
                target = self.exchange(step.destination)
            else:
                target = f"queue {step.destination}"
                marks = ("warning",) if step.destination in possible else marks
                self.node(target, step.destination, "queue", (), marks)
            label = "alternate" if step.via == "alternate" else _label(step)
            self.edge(source, target, label, marks, dashed=step.via == "alternate")


def _draw_publish(drawing: _Drawing, route: Route) -> None:
    if route.error is not None:
        return
    start = drawing.exchange(route.exchange or "")
    drawing.edge(PUBLISH, start, "", ("way",))
    drawing.steps(route.path, frozenset(route.possible))
    if route.unroutable:
        drawing.node(NOWHERE, "no queue", "end", (), ("error",))
        drawing.edge(start, NOWHERE, "", ("error",))


def _draw_hop(drawing: _Drawing, hop: Hop) -> None:
    source = f"queue {hop.queue}"
    drawing.node(source, hop.queue, "queue")
    if hop.exchange is not None:
        target = drawing.exchange(hop.exchange)
        drawing.edge(source, target, hop.reason, ("way",), dashed=True)
        drawing.steps(hop.path, frozenset((*hop.possible, *hop.dropped)))
        source = target
    if hop.unroutable:
        nowhere = f"end {hop.queue} {hop.reason}"
        drawing.node(nowhere, hop.end, "end", (), ("error",))
        drawing.edge(source, nowhere, "" if hop.exchange is not None else hop.reason, ("error",), dashed=True)


def _label(step: RouteStep) -> str:
    if step.arguments:
        return json.dumps(step.arguments, ensure_ascii=False)
    return "" if step.via == "default" else step.binding_key or '""'
