"""A picture's content: nodes and arrows, with no word about where they stand. `render/graph.py` draws it."""

from __future__ import annotations

from typing import Literal

import msgspec

from attune_ops.model.display import Shown

# What a node stands for; it decides the shape.
NodeKind = Literal["exchange", "queue", "service", "end"]

# How something is drawn: on the way that is shown, in trouble, or not there (anymore).
Mark = Literal["way", "warning", "error", "missing", "faint"]


class GraphNode(msgspec.Struct, frozen=True):
    """A node: `id` is unique in its graph and never shown; `notes` are lines below the label (a depth, a type)."""

    id: str
    label: str
    kind: NodeKind
    notes: tuple[str, ...] = ()
    marks: tuple[Mark, ...] = ()


class GraphEdge(msgspec.Struct, frozen=True):
    """An arrow from node to node; `dashed` is for what is no binding (alternate exchange, dead letters)."""

    source: str
    target: str
    label: str = ""
    dashed: bool = False
    marks: tuple[Mark, ...] = ()


class Graph(Shown, msgspec.Struct, frozen=True):
    """A directed graph; its forms are text, SVG, Mermaid and DOT. An edge to an unknown node is left out."""

    title: str
    nodes: tuple[GraphNode, ...]
    edges: tuple[GraphEdge, ...] = ()
