"""Graphs in every form: well-formed, escaped, nothing lost, and drawn in no time."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from itertools import combinations, pairwise

import pytest

from attune_ops.model.graph import Graph, GraphEdge, GraphNode
from attune_ops.model.topologies import load, names
from attune_ops.render import form
from attune_ops.render.layout import place
from attune_ops.topology.topology_graph import topology_graph

HOSTILE = (
    "<script>alert(1)</script>",
    "../etc",
    'quote " and \\ back',
    "line\nbreak",
    "\x00\x1b[31m",
    "漢字é😀",
    "",
    "x" * 255,
)
SVG = "{http://www.w3.org/2000/svg}"


def graph() -> Graph:
    nodes = [GraphNode(f"id {name}", name, "queue", (name,), ("error",)) for name in HOSTILE]
    edges = [GraphEdge(f"id {a}", f"id {b}", a, dashed=True) for a, b in pairwise(HOSTILE)]
    back = [GraphEdge(nodes[-1].id, nodes[0].id), GraphEdge(nodes[0].id, nodes[0].id, "loop"), GraphEdge("no", "one")]
    return Graph("<hostile> & \x00", tuple(nodes), (*edges, *back))


def test_svg_is_well_formed_and_escaped() -> None:
    root = ET.fromstring(form(graph(), "svg"))
    assert len(root.findall(f".//{SVG}rect")) == len(HOSTILE)
    assert not root.findall(f".//{SVG}script")
    titles = {t.text for t in root.findall(f".//{SVG}g/{SVG}title")}
    assert "<script>alert(1)</script>" in titles
    assert r"line\nbreak" in titles


@pytest.mark.parametrize("name", ["text", "mermaid", "dot"])
def test_lines_hold_no_control_character_and_one_edge_each(name: str) -> None:
    text = form(graph(), name)
    assert all(line.isprintable() for line in text.splitlines())
    assert "<script>" not in text or name in ("text", "dot")
    assert sum(">" in line and "-" in line for line in text.splitlines()) >= len(HOSTILE) + 1


def test_mermaid_labels_cannot_leave_their_quotes() -> None:
    for line in form(graph(), "mermaid").splitlines()[1:]:
        assert line.count('"') in (0, 2)


def test_nodes_never_overlap() -> None:
    sizes = {str(i): (50.0 + 13 * (i % 7), 20.0 + 9 * (i % 4)) for i in range(40)}
    edges = [(str(i), str((i * 7 + k) % 40)) for i in range(40) for k in range(i % 4)]
    placed = place(sizes, edges, [40.0] * len(edges))
    for a, b in combinations(sizes, 2):
        (ax, ay), (bx, by) = placed.nodes[a], placed.nodes[b]
        apart_x = ax + sizes[a][0] <= bx or bx + sizes[b][0] <= ax
        assert apart_x or ay + sizes[a][1] <= by or by + sizes[b][1] <= ay, (a, b)
    assert all(0 <= x <= placed.width and 0 <= y <= placed.height for x, y in placed.nodes.values())


def test_empty_graph() -> None:
    ET.fromstring(form(Graph("nothing", ()), "svg"))


def drawn(*nodes: GraphNode, edges: tuple[GraphEdge, ...] = ()) -> list[str]:
    text = form(Graph("a graph", nodes, edges), "text")
    assert isinstance(text, str)
    return text.splitlines()


def test_the_drawing_of_a_topology() -> None:
    nodes = (
        GraphNode("s", "sensor", "service"), GraphNode("e", "x.events", "exchange", ("topic",)),
        GraphNode("q", "x.queue", "queue", ("7 messages", "0 consumers"), ("warning",)),
        GraphNode("r", "x.other", "queue", ("missing",), ("error", "missing")), GraphNode("c", "executor", "service"),
        GraphNode("d", "x.dlx", "exchange", ("direct",), ("error", "missing")),
    )  # fmt: skip
    edges = (
        GraphEdge("s", "e", "a.b"), GraphEdge("e", "q", "#"), GraphEdge("e", "r", "k"), GraphEdge("r", "c", "tag"),
        GraphEdge("q", "d", dashed=True),
    )  # fmt: skip
    assert drawn(*nodes, edges=edges) == [
        "a graph",
        "",
        "sensor ──a.b──► x.events  topic",
        "   ├──#──► x.queue",
        "   │    7 messages, 0 consumers",
        "   └──k──► x.other ──► executor",
        "        missing",
        "",
        "x.queue ┄┄dead letters┄┄► x.dlx  direct  missing",
        "   no queue is bound",
    ]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_in_the_drawing(name: str) -> None:
    nodes = (GraphNode("s", name, "service"), GraphNode("e", name, "exchange", (name,)), GraphNode("q", name, "queue"))
    edges = (GraphEdge("s", "e", name), GraphEdge("e", "q", name), GraphEdge("q", "e", name, dashed=True))
    assert all(line.isprintable() for line in drawn(*nodes, edges=edges))


def test_every_topology_fits_80_columns() -> None:
    for name in names():
        lines = form(topology_graph(load(name)), "text").splitlines()
        assert max(map(len, lines)) <= 80
        labels = {q.name for q in load(name).queues}
        assert not [label for label in labels if not any(label in line for line in lines)]


def test_no_line_is_drawn_over_a_label() -> None:
    svg = form(topology_graph(load("attune-0.6")), "svg")
    first_label = svg.index('<g class="label')
    assert 'class="edge' in svg[:first_label]
    assert "<path" not in svg[first_label:]
    assert "paint-order: stroke" in svg  # a label has a rim, so that what is below it does not cross it
