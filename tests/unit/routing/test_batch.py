"""A line in, an answer out, in order, whatever the line holds."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attune_ops.routing.route import Route
from attune_ops.routing.router import BadLine, answers
from tests.unit.routing.build import bind, exchange, queue, router

ROUTERS = {"/": router(exchange("x"), bind("x", "q", "k"), queue("q")), "other": router(exchange("y"))}


def answer(line: bytes, vhost: str | None = "/") -> Route | BadLine:
    (found,) = answers([line], ROUTERS, vhost)
    return found


def test_answers_in_order_and_counts_empty_lines_between() -> None:
    lines = [
        b'\xef\xbb\xbf{"exchange": "x", "routing_key": "k"}\r\n',
        b"\n",
        b'{"vhost": "other", "exchange": "y", "routing_key": ""}',
        b"\n",
    ]
    first, empty, last = answers(lines, ROUTERS, "/")
    assert isinstance(first, Route)
    assert first.queues == ("q",)
    assert isinstance(empty, BadLine)
    assert empty.line == 2
    assert isinstance(last, Route)
    assert last.unroutable


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b"nonsense", "malformed"),
        (b"[]", "Expected `object`"),
        (b'{"exchange": "x"}', "routing_key"),
        (b'{"routing_key": "k"}', "neither exchange nor dead_letter"),
        (b'{"exchange": "x", "routing_key": 3}', "$.routing_key"),
        (b'{"exchange": "x", "routing_key": "k", "headers": []}', "$.headers"),
        (b'{"dead_letter": "q", "routing_key": "k"}', "without reason"),
        (b'{"dead_letter": "q", "reason": "bored", "routing_key": "k"}', "bored"),
        (b'{"vhost": "gone", "exchange": "x", "routing_key": "k"}', "'gone'; known: '/', 'other'"),
        (b'{"exchange": "x", "routing_key": "\xff"}', ""),
        (b'{"exchange": "x", "routing_key": "k", "headers": ' + b'{"a":' * 100_000, ""),
    ],
)  # fmt: skip
def test_bad_lines(line: bytes, says: str) -> None:
    found = answer(line)
    assert isinstance(found, BadLine)
    assert found.line == 1
    assert says in found.error.text


def test_no_vhost_among_several() -> None:
    found = answer(b'{"exchange": "x", "routing_key": "k"}', vhost=None)
    assert isinstance(found, BadLine)
    assert "several" in found.error.text


@given(st.binary(max_size=60))
def test_no_line_breaks_it(line: bytes) -> None:
    assert len(list(answers([line, b'{"exchange": "x", "routing_key": "k"}'], ROUTERS, "/"))) == 2


@given(
    st.text(max_size=30),
    st.dictionaries(st.text(max_size=5), st.integers() | st.text() | st.none() | st.lists(st.text(max_size=3))),
)
def test_any_key_and_headers_are_answered(key: str, headers: dict[str, object]) -> None:
    try:
        line = msgspec.json.encode({"exchange": "x", "routing_key": key, "headers": headers})
    except (ValueError, OverflowError):
        return
    answer(line)
