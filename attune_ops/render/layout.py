"""The positions of a graph's nodes: layers from left to right, few crossings, no overlaps.

Sugiyama's steps, each in its simplest form: turn the edges that close a cycle, put each node one layer after
its furthest predecessor, order each layer by the mean place of the neighbours, then set the heights.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

Size = tuple[float, float]
Point = tuple[float, float]

GAP_X = 46.0
GAP_Y = 18.0
ARRIVAL = 14.0  # at most, between two arrows that arrive at one node
BEND = "bend "  # no node's key starts like this
SWEEPS = 4


class Placed(NamedTuple):
    """The top left corner of each node, the points that each edge passes through, and the size of it all."""

    nodes: dict[str, Point]
    edges: list[list[Point]]
    width: float
    height: float


def place(sizes: Mapping[str, Size], edges: Sequence[tuple[str, str]], rooms: Sequence[float]) -> Placed:
    """Places nodes of these sizes, by keys of the caller's choice; `rooms` is the width of each edge's label."""
    turned = _turned(list(sizes), edges)
    layer_of = _layers(list(sizes), [(b, a) if back else (a, b) for (a, b), back in zip(edges, turned, strict=True)])
    chains, sizes = _chains(edges, turned, layer_of, dict(sizes))
    layers = _ordered(layer_of, chains)
    gaps = [GAP_X] * len(layers)
    for chain, back, room in zip(chains, turned, rooms, strict=True):
        gap = layer_of[chain[0]] if back else layer_of[chain[-1]] - 1  # where the arrow arrives
        gaps[gap] = max(gaps[gap], GAP_X + room)
    return _coordinates(layers, chains, turned, sizes, gaps)


def _turned(nodes: Sequence[str], edges: Sequence[tuple[str, str]]) -> list[bool]:
    """For each edge whether it closes a cycle and is to be turned: it leads back to a node being visited."""
    leaving: dict[str, list[int]] = defaultdict(list)
    for i, (source, _) in enumerate(edges):
        leaving[source].append(i)
    turned = [False] * len(edges)
    state = dict.fromkeys(nodes, 0)  # 0 not seen, 1 being visited, 2 done
    for root in nodes:
        if state[root]:
            continue
        state[root] = 1
        stack = [(root, iter(leaving[root]))]
        while stack:
            node, rest = stack[-1]
            for i in rest:
                target = edges[i][1]
                if state[target] == 1:
                    turned[i] = True
                elif state[target] == 0:
                    state[target] = 1
                    stack.append((target, iter(leaving[target])))
                    break
            else:
                state[node] = 2
                stack.pop()
    return turned


def _layers(nodes: Sequence[str], edges: Sequence[tuple[str, str]]) -> dict[str, int]:
    """The layer of each node: one after its furthest predecessor. Except for loops, the edges have no cycle."""
    following: dict[str, list[str]] = defaultdict(list)
    open_edges = dict.fromkeys(nodes, 0)
    for a, b in edges:
        if a != b:
            following[a].append(b)
            open_edges[b] += 1
    ready = [n for n in nodes if not open_edges[n]]
    layer_of = dict.fromkeys(nodes, 0)
    for node in ready:  # grows while it is read
        for after in following[node]:
            layer_of[after] = max(layer_of[after], layer_of[node] + 1)
            open_edges[after] -= 1
            if not open_edges[after]:
                ready.append(after)
    return layer_of


def _chains(
    edges: Sequence[tuple[str, str]], turned: Sequence[bool], layer_of: dict[str, int], sizes: dict[str, Size]
) -> tuple[list[list[str]], dict[str, Size]]:
    """Each edge as a chain of neighbours from left to right, with points of no size in the layers between."""
    chains = []
    for i, (a, b) in enumerate(edges):
        left, right = (b, a) if turned[i] else (a, b)
        chain = [left]
        for layer in range(layer_of[left] + 1, layer_of[right]):
            point = f"{BEND}{i}.{layer}"
            layer_of[point] = layer
            sizes[point] = (0.0, 4.0)
            chain.append(point)
        chains.append([*chain, right])
    return chains, sizes


def _ordered(layer_of: Mapping[str, int], chains: Sequence[Sequence[str]]) -> list[list[str]]:
    """The layers, each ordered by where its neighbours stand, swept in both directions."""
    layers: list[list[str]] = [[] for _ in range(max(layer_of.values(), default=-1) + 1)]
    for node, number in layer_of.items():
        layers[number].append(node)
    before, after = _neighbours(chains)
    for sweep in range(SWEEPS):
        towards = before if sweep % 2 == 0 else after
        rank = {n: float(i) for layer in layers for i, n in enumerate(layer)}
        for layer in layers if sweep % 2 == 0 else reversed(layers):
            layer.sort(key=lambda n: _mean([rank[m] for m in towards[n]], rank[n]))
            rank |= {n: float(i) for i, n in enumerate(layer)}
    return layers


def _neighbours(chains: Sequence[Sequence[str]]) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    before: dict[str, list[str]] = defaultdict(list)
    after: dict[str, list[str]] = defaultdict(list)
    for chain in chains:
        for a, b in pairwise(chain):
            if a != b:
                before[b].append(a)
                after[a].append(b)
    return before, after


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def _coordinates(
    layers: list[list[str]],
    chains: list[list[str]],
    turned: Sequence[bool],
    sizes: Mapping[str, Size],
    gaps: Sequence[float],
) -> Placed:
    middle = _heights(layers, chains, sizes)
    left: dict[str, float] = {}
    x = width = 0.0
    for layer, gap in zip(layers, gaps, strict=True):
        left |= dict.fromkeys(layer, x)
        width = x + max(sizes[n][0] for n in layer)
        x = width + gap
    top = min((middle[n] - sizes[n][1] / 2 for n in middle), default=0.0)
    bottom = max((middle[n] + sizes[n][1] / 2 for n in middle), default=0.0)
    corners = {n: (left[n], middle[n] - sizes[n][1] / 2 - top) for n in middle if not n.startswith(BEND)}
    paths = []
    for chain, back in zip(chains, turned, strict=True):
        points = [(left[n] + (sizes[n][0] if i == 0 else 0), middle[n] - top) for i, n in enumerate(chain)]
        paths.append(points[::-1] if back else points)
    _spread(paths, [chain[0] if back else chain[-1] for chain, back in zip(chains, turned, strict=True)], sizes)
    return Placed(corners, paths, width, bottom - top)


def _spread(paths: list[list[Point]], targets: Sequence[str], sizes: Mapping[str, Size]) -> None:
    """Moves apart the last points of edges that end at the same side of a node, in their order."""
    arriving: dict[tuple[str, float], list[int]] = defaultdict(list)
    for i, (path, target) in enumerate(zip(paths, targets, strict=True)):
        arriving[target, path[-1][0]].append(i)
    for (target, x), indices in arriving.items():
        indices.sort(key=lambda i: paths[i][-2][1])
        step = min(ARRIVAL, sizes[target][1] / len(indices))
        for rank, i in enumerate(indices):
            paths[i][-1] = (x, paths[i][-1][1] + (rank - (len(indices) - 1) / 2) * step)


def _heights(layers: list[list[str]], chains: list[list[str]], sizes: Mapping[str, Size]) -> dict[str, float]:
    """The middle of each node: near its neighbours, in the order of its layer, a gap apart."""
    before, after = _neighbours(chains)
    middle: dict[str, float] = {}
    for layer in layers:
        middle |= _settled(layer, [0.0] * len(layer), sizes)
    for sweep in range(SWEEPS):
        towards = before if sweep % 2 == 0 else after
        for layer in layers if sweep % 2 == 0 else reversed(layers):
            ideal = [_mean([middle[m] for m in towards[n]], middle[n]) for n in layer]
            middle |= _settled(layer, ideal, sizes)
    return middle


def _settled(layer: Sequence[str], ideal: Sequence[float], sizes: Mapping[str, Size]) -> dict[str, float]:
    """The ideal heights, pushed apart where nodes would touch, and shifted back by the mean of the push."""
    found: list[float] = []
    floor = None
    for node, best in zip(layer, ideal, strict=True):
        half = sizes[node][1] / 2
        y = best if floor is None else max(best, floor + half)
        found.append(y)
        floor = y + half + GAP_Y
    shift = _mean([best - y for best, y in zip(ideal, found, strict=True)], 0.0)
    return {node: y + shift for node, y in zip(layer, found, strict=True)}
