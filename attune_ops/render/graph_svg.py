"""A graph as SVG, laid out from left to right. No font is measured: the width of a character is estimated."""

from __future__ import annotations

import unicodedata
from collections import Counter
from html import escape
from itertools import pairwise

from attune_ops.model.graph import Graph, GraphEdge, GraphNode
from attune_ops.render.layout import ARRIVAL, Point, place
from attune_ops.render.text import visible

LABEL_LIMIT = 42  # characters; the whole text is in the tooltip
CHARACTER = 7.3  # px of one character at 12 px
LINE = 16.0
ARRIVALS_SHOWN = 40  # a node grows for the labels of at most 40 arrows
PAD = 12.0
ARROWS = ("line", "way", "warning", "error")  # colours of arrow heads; a head cannot inherit its line's

_DARK = """--ink: #e6edf3; --line: #8b949e; --exchange: #0c2d4d; --queue: #21262d; --service: #2e1d3f; --page: #1b1f26;
    --way: #58a6ff; --warning: #d29922; --error: #ff7b72;"""
_LIGHT = """--ink: #24292f; --line: #6e7781; --exchange: #ddf4ff; --queue: #f6f8fa; --service: #fbefff; --page: #fff;
    --way: #0969da; --warning: #9a6700; --error: #cf222e;"""
# JupyterLab has its own theme, independent of the desktop's.
STYLE = (
    f"""
  .attune-graph {{ font: 12px system-ui, "Segoe UI", Helvetica, Arial, sans-serif; {_LIGHT} }}
  @media (prefers-color-scheme: dark) {{ .attune-graph {{ {_DARK} }} }}
  [data-jp-theme-light="true"] .attune-graph {{ {_LIGHT} }}
  [data-jp-theme-light="false"] .attune-graph {{ {_DARK} }}
"""
    + """  .attune-graph text { fill: var(--ink); } .attune-graph .note { opacity: .75; font-size: 11px; }
  .attune-graph .shape { stroke: var(--line); stroke-width: 1; }
  .attune-graph .exchange .shape { fill: var(--exchange); } .attune-graph .queue .shape { fill: var(--queue); }
  .attune-graph .service .shape { fill: var(--service); } .attune-graph .end .shape { fill: none; stroke: none; }
  .attune-graph .edge path { fill: none; stroke: var(--line); }
  .attune-graph .label text { font-size: 11px; paint-order: stroke; stroke: var(--page); stroke-width: 3px; }
  .attune-graph .dashed path, .attune-graph .missing .shape { stroke-dasharray: 5 4; }
  .attune-graph .faint { opacity: .45; } .attune-graph .missing text { font-style: italic; }
  .attune-graph .way .shape, .attune-graph .way path { stroke: var(--way); stroke-width: 2; }
  .attune-graph .warning .shape, .attune-graph .warning path { stroke: var(--warning); stroke-width: 2; }
  .attune-graph .error .shape, .attune-graph .error path { stroke: var(--error); stroke-width: 2; }
"""
)


def as_svg(graph: Graph) -> str:
    """A self-contained SVG for light and dark themes; every text is escaped, and in full in its tooltip."""
    edges = joined(linked_edges(graph))
    number = {n.id: str(i) for i, n in enumerate(graph.nodes)}
    lines_to = Counter(e.target for e in edges for _ in e.label.splitlines())
    sizes = {number[n.id]: _size(n, lines_to[n.id]) for n in graph.nodes}
    rooms = [max((_width(line) * 0.92 for line in e.label.splitlines()), default=0.0) for e in edges]
    placed = place(sizes, [(number[e.source], number[e.target]) for e in edges], rooms)
    # What rises above the topmost node: a loop, or the lines of a label over the end of its arrow.
    ends = zip(edges, placed.edges, strict=True)
    rise = max(
        (30.0 if e.source == e.target else 8 + 13 * len(e.label.splitlines()) - p[-1][1] for e, p in ends), default=0
    )
    rise = max(rise, 0.0)
    width, height = placed.width + 2 * PAD, placed.height + 2 * PAD + rise
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="attune-graph" role="img" width="{width:.0f}" '
        f'height="{height:.0f}" viewBox="{-PAD:.0f} {-PAD - rise:.0f} {width:.0f} {height:.0f}">',
        f"<title>{_text(graph.title)}</title><style>{STYLE}</style>",
        f"<defs>{''.join(map(_arrow_head, ARROWS))}</defs>",
    ]
    drawn = [_edge_svg(e, points) for e, points in zip(edges, placed.edges, strict=True)]
    parts += [line for line, _ in drawn] + [label for _, label in drawn if label]  # no line over a label
    parts += [_node_svg(n, placed.nodes[number[n.id]], sizes[number[n.id]]) for n in graph.nodes]
    return "\n".join([*parts, "</svg>"])


def joined(edges: list[GraphEdge]) -> list[GraphEdge]:
    """Edges between the same two nodes as one, with a line for each label: at most three, then their number."""
    labels: dict[tuple[object, ...], list[str]] = {}
    for e in edges:
        labels.setdefault((e.source, e.target, e.dashed, e.marks), []).append(e.label)
    made = []
    for (source, target, dashed, marks), lines in labels.items():
        shown = lines if len(lines) <= 4 else [*lines[:3], f"and {len(lines) - 3} more"]
        text = "\n".join(_cut(line) for line in shown if line)
        made.append(GraphEdge(source, target, text, dashed, marks))  # type: ignore[arg-type]
    return made


def _size(node: GraphNode, arriving: int) -> tuple[float, float]:
    lines = [_cut(node.label), *map(_cut, node.notes)]
    return max(map(_width, lines)) + 2 * PAD, max(LINE * len(lines) + PAD, ARRIVAL * min(arriving, ARRIVALS_SHOWN))


def _width(text: str) -> float:
    return CHARACTER * sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def _cut(text: str) -> str:
    text = visible(text) or '""'
    return text if len(text) <= LABEL_LIMIT else text[: LABEL_LIMIT - 1] + "…"


def _text(text: str) -> str:
    return escape(visible(text))


def _node_svg(node: GraphNode, corner: Point, size: tuple[float, float]) -> str:
    (x, y), (w, h) = corner, size
    radius = h / 2 if node.kind == "exchange" else 3
    lines = [_cut(node.label), *map(_cut, node.notes)]
    top = y + h / 2 - LINE * (len(lines) - 1) / 2 + 4
    texts = "".join(
        f'<text{" class=" + chr(34) + "note" + chr(34) if i else ""} x="{x + w / 2:.1f}" y="{top + i * LINE:.1f}" '
        f'text-anchor="middle">{escape(line)}</text>'
        for i, line in enumerate(lines)
    )
    return (
        f'<g class="{" ".join((node.kind, *node.marks))}"><title>{_text(node.label)}</title><rect class="shape" '
        f'x="{x:.1f}" y="{y:.1f}" width="{w:.1f}" height="{h:.1f}" rx="{radius:.1f}"/>{texts}</g>'
    )


def _edge_svg(edge: GraphEdge, points: list[Point]) -> tuple[str, str]:
    """The line with its arrow head, and its label."""
    classes = " ".join(("edge", *(["dashed"] if edge.dashed else []), *edge.marks))
    lines = edge.label.splitlines()
    x, y = points[-1]
    if edge.source == edge.target:
        left, right = sorted(x for x, _ in points)
        a, b, top = left + 14, right - 14, y - 12
        way = f"M{a:.1f},{top:.1f} C{a - 20:.1f},{y - 44:.1f} {b + 20:.1f},{y - 44:.1f} {b:.1f},{top:.1f}"
        x, y, anchor = (left + right) / 2, y - 36, "middle"
    else:
        way, anchor = _curve(points), "end" if points[-2][0] < x else "start"
    step = -10 if anchor == "end" else 10 if anchor == "start" else 0
    texts = "".join(
        f'<text x="{x + step:.1f}" y="{y - 5 - 13 * i:.1f}" text-anchor="{anchor}">{escape(line)}</text>'
        for i, line in enumerate(reversed(lines))
    )
    head = next((m for m in edge.marks if m in ARROWS), ARROWS[0])
    tip = f"<title>{escape(edge.label)}</title>" if lines else ""
    line = f'<g class="{classes}">{tip}<path d="{way}" marker-end="url(#attune-{head})"/></g>'
    return line, f'<g class="{" ".join(("label", *edge.marks))}">{tip}{texts}</g>' if texts else ""


def _arrow_head(color: str) -> str:
    return (
        f'<marker id="attune-{color}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
        f'markerUnits="userSpaceOnUse" orient="auto"><path d="M0,0 L8,4 L0,8 z" style="fill:var(--{color})"/></marker>'
    )


def _curve(points: list[Point]) -> str:
    """A smooth curve through the points, horizontal at both ends."""
    parts = [f"M{points[0][0]:.1f},{points[0][1]:.1f}"]
    for (x1, y1), (x2, y2) in pairwise(points):
        half = (x2 - x1) / 2
        parts.append(f"C{x1 + half:.1f},{y1:.1f} {x2 - half:.1f},{y2:.1f} {x2:.1f},{y2:.1f}")
    return " ".join(parts)


def linked_edges(graph: Graph) -> list[GraphEdge]:
    """The edges between nodes of the graph; one to an unknown node is left out."""
    known = {n.id for n in graph.nodes}
    return [e for e in graph.edges if e.source in known and e.target in known]
