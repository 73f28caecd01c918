"""A topology written as TOML reads back as the same topology."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attune_ops.model.errors import TopologyError
from attune_ops.model.topologies import load, names
from attune_ops.model.topology import Arguments, Binding, Exchange, Queue, Topology
from attune_ops.model.topology_file import parse_toml, to_toml
from tests import hostile

name = hostile.names.filter(lambda n: n and "\n" not in n and "\r" not in n and "{id}" not in n)
value = st.recursive(
    st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)


@pytest.mark.parametrize("shipped", names())
def test_the_shipped_ones(shipped: str) -> None:
    topology = load(shipped)
    text = to_toml(topology, "two lines\nof comment\x00\u2028here")
    assert parse_toml(text, "again") == topology
    assert text.startswith("# two lines\n# of comment")


@given(
    name, name, st.text(max_size=30), st.dictionaries(st.text(max_size=10), value, max_size=3), st.text(max_size=200)
)
def test_anything(exchange: str, queue: str, key: str, arguments: Arguments, comment: str) -> None:
    topology = Topology(
        exchange,
        (Exchange(exchange, "topic", arguments=arguments),),
        (Queue(queue, arguments=arguments),),
        (Binding(exchange, queue, key.replace("{id}", ""), arguments=arguments),),
        description=key,
    )
    assert parse_toml(to_toml(topology, comment), "again") == topology


def test_a_void_argument_has_no_toml() -> None:
    with pytest.raises(TopologyError, match="export definitions instead"):
        to_toml(Topology("t", (), (Queue("q", arguments={"x": None}),)))
