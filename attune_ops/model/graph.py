"""The content of a graph: nodes and arrows without positions. `render` draws it."""

from __future__ import annotations

from typing import Literal

import msgspec

from attune_ops.model.display import Shown

# What a node is; this sets its shape.
NodeKind = Literal["exchange", "queue", "service", "end"]

# How something is drawn: on the shown route, with a problem, or missing.
Mark = Literal["way", "warning", "error", "missing", "faint"]


class GraphNode(msgspec.Struct, frozen=True):
    """A node: `id` is unique in its graph and never shown; `notes` are lines below the label (queue depth, type)."""

    id: str
    label: str
    kind: NodeKind
    notes: tuple[str, ...] = ()
    marks: tuple[Mark, ...] = ()


class GraphEdge(msgspec.Struct, frozen=True):
    """An arrow from node to node; `dashed` is for alternate exchanges and dead-lettering."""

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
