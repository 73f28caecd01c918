"""A graph as text, Mermaid and DOT; `graph_svg` draws it. Pure functions: no program is called."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from attune_ops.model.graph import Graph
from attune_ops.model.table import Column, Kind, Table
from attune_ops.render import graph_text
from attune_ops.render.graph_svg import as_svg as as_svg
from attune_ops.render.graph_svg import joined, linked_edges
from attune_ops.render.text import Line, visible

EDGES = (
    Column("source", doc="start of the arrow"),
    Column("target", doc="end of the arrow"),
    Column("label", doc="its label"),
    Column("dashed", Kind.FLAG, doc="not a binding: dead letters, an alternate exchange"),
)


def lines(graph: Graph, limit: int | None) -> Iterator[Line]:
    """The drawing of `graph_text`; of a graph without exchanges its arrows, one a line."""
    if any(n.kind == "exchange" for n in graph.nodes):
        yield from graph_text.lines(graph)
    else:
        yield from ((0, line, "") for line in _lines(graph))


SCHEMA = "attune-ops/graph/1"
JSON = Graph  # with the member `schema`


def as_json(graph: Graph) -> dict[str, Any]:
    """`attune-ops/graph/1`: nodes and edges as they are."""
    return {"schema": SCHEMA, **msgspec.to_builtins(graph)}


def as_html(graph: Graph) -> str:
    """The drawing."""
    return as_svg(graph)


def as_markdown(graph: Graph) -> str:
    """The Mermaid flowchart in a fence, which GitHub and GitLab draw."""
    return f"```mermaid\n{as_mermaid(graph)}\n```"


def rows(graph: Graph) -> Table:
    """A row an edge."""
    labels = {n.id: n.label for n in graph.nodes}
    edges = ((labels[e.source], labels[e.target], e.label, e.dashed) for e in linked_edges(graph))
    return Table(graph.title, EDGES, tuple(edges), taken_at=None)


def _lines(graph: Graph) -> Iterator[str]:
    labels = {n.id: visible(n.label) or '""' for n in graph.nodes}
    linked = set()
    for edge in linked_edges(graph):
        arrow = f" --[{visible(edge.label)}]--> " if edge.label else " --> "
        yield labels[edge.source] + arrow + labels[edge.target]
        linked |= {edge.source, edge.target}
    for node in graph.nodes:
        if node.id not in linked:
            yield labels[node.id]


_MERMAID_SHAPE = {"exchange": '(["{}"])', "queue": '["{}"]', "service": '{{{{"{}"}}}}', "end": '("{}")'}
_MERMAID_STYLE = {
    "way": "stroke:#0969da,stroke-width:2px",
    "warning": "stroke:#9a6700,stroke-width:2px",
    "error": "stroke:#cf222e,stroke-width:2px",
    "missing": "stroke-dasharray:5 4",
    "faint": "opacity:0.45",
}


def as_mermaid(graph: Graph) -> str:
    """A Mermaid flowchart, as documents on GitHub and GitLab draw it."""
    number = {n.id: f"n{i}" for i, n in enumerate(graph.nodes)}
    out = ["flowchart LR"]
    for node in graph.nodes:
        text = "<br/>".join(_mermaid(t) for t in (node.label, *node.notes))
        out.append(f"  {number[node.id]}{_MERMAID_SHAPE[node.kind].format(text)}")
    edges = joined(linked_edges(graph))
    for edge in edges:
        arrow = "-.->" if edge.dashed else "-->"
        label = f'|"{"<br/>".join(map(_mermaid, edge.label.splitlines()))}"|' if edge.label else ""
        out.append(f"  {number[edge.source]} {arrow}{label} {number[edge.target]}")
    for mark, style in _MERMAID_STYLE.items():
        marked = ",".join(number[n.id] for n in graph.nodes if mark in n.marks)
        if marked:
            out += [f"  classDef {mark} {style}", f"  class {marked} {mark}"]
        links = ",".join(str(i) for i, e in enumerate(edges) if mark in e.marks)
        if links:
            out.append(f"  linkStyle {links} {style}")
    return "\n".join(out)


def _mermaid(text: str) -> str:
    """Text inside Mermaid's quotes: the syntax of Mermaid and HTML is written as character codes."""
    return "".join(c if c.isalnum() or c in " .-_/:,(){}" else f"#{ord(c)};" for c in visible(text)) or "#34;#34;"


_DOT_STYLE = {
    "way": 'color="#0969da", penwidth=2',
    "warning": 'color="#9a6700", penwidth=2',
    "error": 'color="#cf222e", penwidth=2',
    "missing": 'style="dashed"',
    "faint": 'color="#8b949e", fontcolor="#8b949e"',
}
_DOT_SHAPE = {
    "exchange": 'shape=box, style="rounded"',
    "queue": "shape=box",
    "service": "shape=hexagon",
    "end": "shape=plaintext",
}


def as_dot(graph: Graph) -> str:
    """Graphviz's language."""
    number = {n.id: f"n{i}" for i, n in enumerate(graph.nodes)}
    out = [f"digraph {_dot(visible(graph.title))} {{", "  rankdir=LR;", '  node [fontname="sans-serif", fontsize=11];']
    for node in graph.nodes:
        text = _dot("\n".join((visible(node.label) or '""', *map(visible, node.notes))))
        out.append(
            f"  {number[node.id]} [{', '.join([f'label={text}', _DOT_SHAPE[node.kind], *_dot_marks(node.marks)])}];"
        )
    for edge in joined(linked_edges(graph)):
        more = [f"label={_dot(edge.label)}"] if edge.label else []
        more += ['style="dashed"'] if edge.dashed else []
        out.append(f"  {number[edge.source]} -> {number[edge.target]} [{', '.join([*more, *_dot_marks(edge.marks)])}];")
    return "\n".join([*out, "}"])


def _dot_marks(marks: tuple[str, ...]) -> list[str]:
    return [_DOT_STYLE[m] for m in marks]


def _dot(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
