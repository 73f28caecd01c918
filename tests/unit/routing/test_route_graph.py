"""The graph of a route: each node once, an arrow for each step, and marks for what is uncertain or an error."""

from __future__ import annotations

from attune_ops.model.graph import Graph, GraphEdge, GraphNode
from attune_ops.routing.route import Hop, Refusal, Route, RouteStep
from attune_ops.routing.route_graph import route_graph

WAY, WARNING, ERROR = ("way",), ("warning",), ("error",)


def nodes(graph: Graph) -> dict[str, tuple[str, str, tuple[str, ...], tuple[str, ...]]]:
    return {n.id: (n.label, n.kind, n.notes, n.marks) for n in graph.nodes}


def edges(graph: Graph) -> list[tuple[str, str, str, bool, tuple[str, ...]]]:
    return [(e.source, e.target, e.label, e.dashed, e.marks) for e in graph.edges]


def test_a_publish_through_two_exchanges() -> None:
    path = (
        RouteStep("x", "k.#", "exchange", "y"),
        RouteStep("y", "", "queue", "sure", arguments={"a": "ä"}),
        RouteStep("y", "", "queue", "maybe"),
        RouteStep("y", None, "exchange", "alt", "alternate"),
    )
    route = Route("x", "k.1", ("sure",), False, path=path, possible=("maybe",), types={"x": "topic", "y": "headers"})
    graph = route_graph(route)
    assert graph.title == "Route of a message with key k.1"
    assert nodes(graph) == {
        "publish": ("publish", "service", ("k.1",), ()),
        "exchange x": ("x", "exchange", ("topic",), ()),
        "exchange y": ("y", "exchange", ("headers",), ()),
        "queue sure": ("sure", "queue", (), WAY),
        "queue maybe": ("maybe", "queue", (), WARNING),
        "exchange alt": ("alt", "exchange", (), ()),
    }
    assert edges(graph) == [
        ("publish", "exchange x", "", False, WAY),
        ("exchange x", "exchange y", "k.#", False, WAY),
        ("exchange y", "queue sure", '{"a": "ä"}', False, WAY),
        ("exchange y", "queue maybe", '""', False, WARNING),
        ("exchange y", "exchange alt", "alternate", True, WAY),
    ]


def test_a_publish_to_the_default_exchange_with_the_empty_key() -> None:
    path = (RouteStep("", "q", "queue", "q", "default"),)
    graph = route_graph(Route("", "", ("q",), False, path=path, types={"": "direct"}))
    assert graph.title == 'Route of a message with key ""'
    assert nodes(graph)["publish"] == ("publish", "service", ('""',), ())
    assert nodes(graph)["exchange "] == ("", "exchange", (), ())
    assert edges(graph)[1] == ("exchange ", "queue q", "", False, WAY)


def test_a_publish_that_no_queue_receives() -> None:
    graph = route_graph(Route("x", "k"))
    assert graph.nodes[-1] == GraphNode("nowhere", "no queue", "end", (), ("error",))
    assert graph.edges[-1] == GraphEdge("exchange x", "nowhere", "", False, ("error",))


def test_a_publish_that_the_broker_refuses() -> None:
    graph = route_graph(Route("x", "k", error=Refusal(404, "no exchange 'x'")))
    assert nodes(graph) == {
        "publish": ("publish", "service", ("k",), ()),
        "nowhere": ("no exchange 'x'", "end", (), ERROR),
    }
    assert edges(graph) == [("publish", "nowhere", "", False, ERROR)]


def test_a_dead_letter_of_a_queue_that_does_not_exist() -> None:
    graph = route_graph(Route(None, "k", dead_letter="q", error=Refusal(404, "no queue 'q'")))
    assert list(nodes(graph)) == ["queue q", "nowhere"]
    assert edges(graph) == [("queue q", "nowhere", "", False, ERROR)]


def test_dead_letters_hop_by_hop() -> None:
    hops = (
        Hop("q", "rejected", "dlx", ("k",), ("r",), False, possible=("p",), dropped=("d",),
            path=tuple(RouteStep("dlx", "k", "queue", n) for n in "rpd")),
        Hop("r", "expired", "gone", ("k",), (), True, end="no queue receives it"),
        Hop("p", "rejected", None, ("k",), (), True, end="no dead-letter exchange"),
    )  # fmt: skip
    route = Route("dlx", "k", ("r",), False, hops=hops, dead_letter="q", path=hops[0].path, types={"dlx": "fanout"})
    graph = route_graph(route)
    assert nodes(graph) == {
        "queue q": ("q", "queue", (), ()),
        "exchange dlx": ("dlx", "exchange", ("fanout",), ()),
        "queue r": ("r", "queue", (), WAY),
        "queue p": ("p", "queue", (), WARNING),
        "queue d": ("d", "queue", (), WARNING),
        "exchange gone": ("gone", "exchange", (), ()),
        "end r expired": ("no queue receives it", "end", (), ERROR),
        "end p rejected": ("no dead-letter exchange", "end", (), ERROR),
    }
    assert edges(graph) == [
        ("queue q", "exchange dlx", "rejected", True, WAY),
        ("exchange dlx", "queue r", "k", False, WAY),
        ("exchange dlx", "queue p", "k", False, WARNING),
        ("exchange dlx", "queue d", "k", False, WARNING),
        ("queue r", "exchange gone", "expired", True, WAY),
        ("exchange gone", "end r expired", "", True, ERROR),
        ("queue p", "end p rejected", "rejected", True, ERROR),
    ]
