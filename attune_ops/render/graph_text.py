"""A graph drawn with the characters of a terminal: for each exchange its publishers, then its queues and consumers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from attune_ops.model.graph import Graph, GraphEdge, GraphNode
from attune_ops.model.units import counted
from attune_ops.render.text import Line, visible

STYLES = (("error", "red"), ("missing", "red"), ("warning", "yellow"), ("way", "bold cyan"), ("faint", "dim"))
FOLDED = 2  # sources of dead letters with a line each; more are one line
WIDEST = 28  # characters of the keys of one arrow; more are counted


def lines(graph: Graph) -> Iterator[Line]:
    """The title, a block for each exchange, and what is bound to none."""
    drawing = _Drawing(graph)
    yield 0, graph.title, "bold"
    for exchange in (n for n in graph.nodes if n.kind == "exchange"):
        yield 0, "", ""
        yield from drawing.publishers(exchange)
        yield from drawing.targets(exchange)
    unbound = [n for n in graph.nodes if n.kind == "queue" and n.id not in drawing.drawn]
    if unbound:
        yield 0, "", ""
        yield 0, "not bound to an exchange", "bold"
    for queue in unbound:
        yield 3, _queue(drawing, queue), _style(queue)
        yield from ((5, note, _style(queue) or "dim") for note in _notes(queue))


class _Drawing:
    """The nodes and arrows of a graph, and the queues that have been drawn."""

    def __init__(self, graph: Graph) -> None:
        self.nodes = {n.id: n for n in graph.nodes}
        self.edges = [e for e in graph.edges if e.source in self.nodes and e.target in self.nodes]
        self.drawn: set[str] = set()

    def publishers(self, exchange: GraphNode) -> Iterator[Line]:
        """Who publishes to an exchange, with the keys; the arrow ends at its name."""
        arriving = [e for e in self.edges if e.target == exchange.id and self.nodes[e.source].kind != "exchange"]
        sources = self._merged([e for e in arriving if not e.dashed], by_source=True)
        dead = self._merged([e for e in arriving if e.dashed], by_source=True)
        rows = [(_label(node), f"──{keys}─") for node, keys in sources]
        if len(dead) > FOLDED:
            rows.append((counted(len(dead), "queue"), "┄┄dead letters┄"))
        else:
            rows += [(_label(node), f"┄┄{keys or 'dead letters'}┄") for node, keys in dead]
        missing = ["missing"] if "missing" in exchange.marks else []
        name = "  ".join([_label(exchange), *map(visible, exchange.notes), *missing])
        if not rows:
            yield 0, name, _style(exchange)
            return
        first, second = (max(map(len, column)) for column in zip(*rows, strict=True))
        for i, (who, keys) in enumerate(rows):
            arrow = f"{who:<{first}} {keys}{keys[-1] * (second - len(keys))}"
            last = i == len(rows) - 1
            end = f"{keys[-1]}► {name}" if len(rows) == 1 else f"┴─► {name}" if last else "┐" if i == 0 else "┤"
            yield 0, arrow + end, _style(exchange) if last else ""

    def targets(self, exchange: GraphNode) -> Iterator[Line]:
        """What is bound to an exchange, with the keys, the consumers and the notes of each."""
        leaving = self._merged([e for e in self.edges if e.source == exchange.id], by_source=False)
        if not leaving:
            yield 3, "no queue is bound", "dim"
        for i, (node, keys) in enumerate(leaving):
            last = i == len(leaving) - 1
            yield 3, f"{'└' if last else '├'}──{keys}{'──' if keys else ''}► {_queue(self, node)}", _style(node)
            for note in _notes(node):
                yield (8, note, _style(node) or "dim") if last else (3, f"│    {note}", _style(node) or "dim")
            self.drawn.add(node.id)

    def consumers(self, queue: GraphNode) -> str:
        """Who consumes from a queue."""
        found = [(self.nodes[e.target], e.label) for e in self.edges if e.source == queue.id and not e.dashed]
        return ", ".join(_label(n) + (f" ({visible(label)})" if "consumers" in label else "") for n, label in found)

    def _merged(self, edges: Sequence[GraphEdge], *, by_source: bool) -> list[tuple[GraphNode, str]]:
        """The nodes at the other ends, each once, with the keys of its arrows."""
        keys: dict[str, list[str]] = {}
        for edge in edges:
            keys.setdefault(edge.source if by_source else edge.target, []).append(edge.label)
        return [(self.nodes[name], _keys(labels)) for name, labels in keys.items()]


def _keys(labels: Sequence[str]) -> str:
    said = ", ".join(visible(label) for label in labels if label)
    return said if len(said) <= WIDEST or len(labels) == 1 else f"{len(labels)} keys"


def _queue(drawing: _Drawing, queue: GraphNode) -> str:
    consumers = drawing.consumers(queue)
    return _label(queue) + (f" ──► {consumers}" if consumers else "")


def _notes(node: GraphNode) -> list[str]:
    """The notes of a queue on one line; those of an exchange stand beside its own name."""
    return [", ".join(map(visible, node.notes))] if node.notes and node.kind == "queue" else []


def _label(node: GraphNode) -> str:
    return visible(node.label) or '""'


def _style(node: GraphNode) -> str:
    return next((style for mark, style in STYLES if mark in node.marks), "")
