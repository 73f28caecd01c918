"""Filters mean what they say, and a wrong one says what is allowed."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attune_ops.messages.filters import accepts, at_path, parse
from attune_ops.messages.message import Message
from attune_ops.model.errors import ConfigError
from tests.unit.messages.wire import properties

NOW = datetime(2026, 1, 16, 12, 0, tzinfo=UTC)
DEATHS = [
    {"queue": "worker.7.executions", "reason": "expired", "count": 2, "exchange": "x", "routing-keys": ["k"]},
    {"queue": "retry", "reason": "rejected", "count": 1, "exchange": "x", "routing-keys": ["k"]},
]
BODY = {
    "message_id": "id-1",
    "message_type": "ExecutionRequested",
    "timestamp": "2026-01-16T10:30:00Z",
    "headers": {"retry_count": 2},
    "payload": {"execution_id": 42, "parent": None, "ok": True, "list": [{"a.b": "x=y"}], "ref": "core.echo"},
}


def message(body: Any = BODY, **changes: Any) -> Message:
    raw = properties(headers={"x-death": DEATHS})
    return Message(1, "attune.executions", "worker.7", raw, json.dumps(body).encode(), **changes)


@pytest.mark.parametrize(
    "text",
    [
        "type=ExecutionRequested", "type=Execution*", "type!=EventCreated", "key=worker.*", "exchange=attune.?x*",
        "id=id-1", "reason=expired", "reason!=rejected", "queue=worker.*.executions", "age>1h", "age >= 90m", "age<2h",
        "age!=1h", "retries=2", "retries>1", "deaths=3", "size>10", "$.payload.execution_id=42", "$.payload.ref=core.*",
        "$.payload.execution_id>41", "$.payload.parent=null", "$.payload.ok=true", '$.payload.list[0]["a.b"]=x=y',
        "$.payload.missing!=x", "$.payload.list=[*",
    ],
)  # fmt: skip
def test_a_filter_that_holds(text: str) -> None:
    assert accepts(parse([text]), message(), NOW)


@pytest.mark.parametrize(
    "text",
    [
        "type=execution*", "key=worker", "reason=rejected", "queue=retry", "age>2h", "retries!=2",
        "$.payload.execution_id=43",
        "$.payload.missing=*", "$.payload.missing>0", "$.payload.ref>0", "$.payload.list[1]=*", "$.message_type.x=*",
    ],
)  # fmt: skip
def test_a_filter_that_does_not_hold(text: str) -> None:
    assert not accepts(parse([text]), message(), NOW)


@pytest.mark.parametrize("text", ["type=*", "age>0s", "retries>=0", "reason=*", "$.a=*"])
def test_what_is_not_told_fulfils_nothing(text: str) -> None:
    silent = Message(1, "", "", properties(), b"\xff not JSON")
    assert not accepts(parse([text]), silent, NOW)
    assert accepts(parse([text.replace("=*", "!=x").replace(">=", "!=").replace(">", "!=")]), silent, NOW)


def test_all_of_several_must_hold() -> None:
    assert accepts(parse(["type=Execution*", "age>1h"]), message(), NOW)
    assert not accepts(parse(["type=Execution*", "age>1d"]), message(), NOW)
    assert accepts((), message(), NOW)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "invalid filter"),
        ("type", "invalid filter"), ("colour=red", "no name 'colour'"), ("type>x", "only = and !="),
        ("age>soon", "not a duration"), ("size>big", "not a number"),
        ("$payload=1", "invalid path"), ("$.a[x]=1", "invalid path"),
        ("$.a[\"b=1", "invalid filter"), ("$.n>", "> compares numbers, not ''"), ("$.n<=x", "compares numbers"),
    ],
)  # fmt: skip
def test_a_wrong_filter_is_explained(text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        parse([text])


@given(st.text())
def test_any_text_is_a_filter_or_a_configuration_error(text: str) -> None:
    with suppress(ConfigError):
        accepts(parse([text]), message(), NOW)


@given(st.dictionaries(st.text(min_size=1).filter(lambda t: '"' not in t), st.integers(), min_size=1))
def test_a_path_finds_every_member(data: dict[str, int]) -> None:
    for name, value in data.items():
        assert at_path({"a": [data]}, f'$.a[0]["{name}"]') == [value]
