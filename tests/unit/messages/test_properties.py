"""Properties are read as they are on the wire, and one header is put in without touching the rest."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attune_ops.messages.properties import NAMES, BadProperties, Properties, decode, names_user, with_header
from tests.unit.messages.wire import Typed, properties

# Every field type that RabbitMQ knows, its value on the wire and as it is read.
TYPES: dict[str, tuple[Any, Any]] = {
    "bool": (True, True),
    "int8": (Typed(b"b", -5), -5),
    "uint8": (Typed(b"B", 200), 200),
    "int16": (Typed(b"s", -3000), -3000),
    "uint16": (Typed(b"u", 60000), 60000),
    "int32": (Typed(b"I", -(2**31)), -(2**31)),
    "uint32": (Typed(b"i", 2**32 - 1), 2**32 - 1),
    "int64": (Typed(b"l", -(2**63)), -(2**63)),
    "float": (Typed(b"f", 1.5), 1.5),
    "double": (Typed(b"d", 0.1), 0.1),
    "decimal": (Typed(b"D", (2, 12345)), Decimal("123.45")),
    "text": ("ünï 😀", "ünï 😀"),
    "odd text": (Typed(b"S", b"\xff\xfe"), "��"),
    "bytes": (Typed(b"x", b"\x00\xff"), b"\x00\xff"),
    "time": (Typed(b"T", 1768564800), datetime(2026, 1, 16, 12, 0, tzinfo=UTC)),
    "time beyond every calendar": (Typed(b"T", 2**63), 2**63),
    "void": (None, None),
    "array": ([1, "a", None, [True]], [1, "a", None, [True]]),
    "table": ({"a": {"b": [Typed(b"b", 1)]}}, {"a": {"b": [1]}}),
}
ALL: dict[str, Any] = {
    "content_type": "application/json", "content_encoding": "gzip", "delivery_mode": 2, "priority": 255,
    "correlation_id": "c", "reply_to": "r", "expiration": "60000", "message_id": "m" * 255, "timestamp": 1768564800,
    "type": "t", "user_id": "guest", "app_id": "a", "cluster_id": "x",
}  # fmt: skip


def test_every_property_and_field_type_is_read() -> None:
    raw = properties(headers={name: sent for name, (sent, _) in TYPES.items()}, **ALL)
    assert decode(raw) == Properties(headers={name: read for name, (_, read) in TYPES.items()}, **ALL)


def test_no_properties() -> None:
    assert decode(b"\x00\x00") == Properties()


@pytest.mark.parametrize("name", [n for n in NAMES if n != "headers"])
def test_a_single_property(name: str) -> None:
    raw = properties(**{name: ALL[name]})
    assert getattr(decode(raw), name) == ALL[name]
    assert names_user(raw) is (name == "user_id")


HEADERS = st.dictionaries(
    st.text(max_size=20).filter(lambda t: t != "n"), st.sampled_from([sent for sent, _ in TYPES.values()]), max_size=6
)


@given(HEADERS, st.dictionaries(st.sampled_from([*ALL]), st.none(), max_size=6), st.integers(-(2**31), 2**31 - 1))
def test_a_header_is_put_in_and_the_rest_stays_byte_for_byte(
    headers: dict[str, Any], some: dict[str, None], value: int
) -> None:
    others = {name: ALL[name] for name in some}
    expected = properties(headers={**headers, "n": Typed(b"I", value)}, **others)
    assert with_header(properties(headers=headers, **others), "n", value) == expected
    # A header of that name is replaced, wherever it stands and whatever it is.
    assert with_header(properties(headers={"n": {"deep": 1}, **headers}, **others), "n", value) == expected


@given(st.dictionaries(st.sampled_from([*ALL]), st.none(), max_size=6))
def test_a_header_is_put_into_properties_without_any(some: dict[str, None]) -> None:
    others = {name: ALL[name] for name in some}
    assert with_header(properties(**others), "n", 7) == properties(headers={"n": Typed(b"I", 7)}, **others)


@given(st.binary(max_size=80))
def test_other_bytes_are_refused_and_nothing_else_happens(raw: bytes) -> None:
    with suppress(BadProperties):
        decode(raw)


def test_a_value_that_runs_over_the_end_is_refused() -> None:
    whole = properties(headers={"a": "text"}, message_id="m")
    for end in range(len(whole)):
        with pytest.raises(BadProperties):
            decode(whole[:end])
