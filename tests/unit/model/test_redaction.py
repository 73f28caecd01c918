"""No secret reaches any output, however nested or encoded; what is no secret stays readable."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attune_ops.model.redaction import Redactor
from attune_ops.model.secret import MASK, Secret

CORE = "Sekrit42x"  # stands in every secret; no part of the output may hold it

NAMES = st.sampled_from(
    ["config", "password", "candidate_access_token", "apiKey", "API-Key", "client_secret", "Authorization", "db_passwd",
     "privateKey", "customer_note", "x-Customer-Id", "session", "keys", "DB_PASSWORD", "accesstoken"]
)  # fmt: skip
HARMLESS = st.sampled_from(["a", "payload", "action_ref", "note", "x y", "routing_key", "ein Käse", "items"])
# Line breaks, quotes, percent signs, backslashes, emoji: whatever an encoding might stumble over.
AROUND = st.text(st.sampled_from(list("ab9 \\\"'%{}[]:=&?,;\n\t/+é😀")), max_size=6)
SECRETS = st.builds(lambda a, b: a + CORE + b, AROUND, AROUND)
PLAIN = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=8))

REDACTOR = Redactor(["customer*", "x-customer-id"])


def as_json(value: Any) -> str:
    return json.dumps(value)


def as_spaced_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1)


def as_base64(value: Any) -> str:
    return base64.b64encode(json.dumps(value).encode()).decode()


def as_query(value: Any) -> str:
    return "https://host/path?x=1&data=" + quote_plus(json.dumps(value))


def as_percent(value: Any) -> str:
    return quote(json.dumps(value), safe="")


def in_text(value: Any) -> str:
    return "cannot decode " + json.dumps(value) + " from the broker"


def broken_off(value: Any) -> str:
    return json.dumps(value)[:-1]


ENCODINGS = st.sampled_from([as_json, as_spaced_json, as_base64, as_query, as_percent, in_text])


@st.composite
def holding(draw: st.DrawFn) -> Any:
    """Data with a secret under a secret name, in any number of shells and encodings."""
    secret = draw(SECRETS)
    inner: Any = draw(st.sampled_from([secret, [secret], {"a": secret}, {"a": [1, {"b": secret}]}]))
    value: Any = {draw(NAMES): inner, draw(HARMLESS): draw(PLAIN)}
    for _ in range(draw(st.integers(0, 5))):
        shell = draw(st.sampled_from(["dict", "list", "encode"]))
        if shell == "dict":
            value = {draw(HARMLESS): value, "z": draw(PLAIN)}
        elif shell == "list":
            value = [draw(PLAIN), value]
        else:
            value = draw(ENCODINGS)(value)
    return value


@settings(max_examples=400, deadline=None)
@given(holding())
def test_no_secret_by_name_gets_through(value: Any) -> None:
    shown = repr(REDACTOR.value(value)) + json.dumps(REDACTOR.value(value), ensure_ascii=False)
    assert CORE not in shown
    assert CORE not in REDACTOR.text(json.dumps(value))


@settings(max_examples=200, deadline=None)
@given(NAMES, SECRETS)
def test_json_that_broke_off_hides_its_secrets_too(name: str, secret: str) -> None:
    whole = json.dumps({"a": 1, name: {"deep": secret}})
    for end in range(whole.index(name) + len(name) + 4, len(whole)):
        assert CORE not in REDACTOR.text(whole[:end])


@settings(max_examples=200, deadline=None)
@given(SECRETS, st.lists(st.sampled_from([as_json, as_percent, as_base64, in_text]), max_size=3))
def test_a_secret_of_the_run_is_masked_wherever_it_stands(secret: str, encodings: list[Any]) -> None:
    value: Any = f"before {secret} after"
    for encode in encodings:
        value = encode({"note": value})
    assert CORE not in Redactor(secrets=[Secret(secret)]).text(value)


def test_the_text_of_a_secret_is_masked_beside_it_too() -> None:
    masked = REDACTOR.value({"password": "hunter22", "error": "login as bob with hunter22 failed", "seen": [12345]})
    assert masked == {"password": MASK, "error": f"login as bob with {MASK} failed", "seen": [12345]}


def test_what_users_hand_to_an_action_is_hidden_without_hiding_the_same_words_elsewhere() -> None:
    value = {"config": {"env": "production"}, "action_ref": "core.production"}
    assert REDACTOR.value(value) == {"config": MASK, "action_ref": "core.production"}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("amqp://u:pw@h/v and http://u:p@h", "amqp://u:***@h/v and http://***@h"),
        ("https://host/x?access_token=zzz&b=2", "https://host/x?access_token=***&b=2"),
        ("error: password: hunter2, next", "error: password: ***, next"),
        ("Authorization: Bearer abcdefghij", "Authorization: *** ***"),
        ("use eyJhbGciOi.eyJzdWIiOi.sig now", "use *** now"),
        ("-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----\n", "***\n"),
        ('bad body {"config": {"x": "y"}} end', 'bad body {"config": "***"} end'),
    ],
)
def test_text(text: str, shown: str) -> None:
    assert REDACTOR.text(text) == shown


@pytest.mark.parametrize(
    "value",
    [
        {"routing_key": "worker.7", "exchange": "attune.executions", "n": 1, "ok": True, "none": None},
        {"config": None, "keys": [], "password": ""},
        "worker.7.executions: 3 messages",
        "https://host:15672/api/queues/%2F/worker.7.executions?columns=name",
        'an unfinished {"a": [1, 2',
        b"\xff\x00\x01",
        "",
    ],
)
def test_what_is_no_secret_stays_as_it_is(value: Any) -> None:
    assert Redactor().value(value) == value


@pytest.mark.parametrize(
    "text", ["{" * 100_000, "[" * 100_000, "a:(" * 50_000, "%25" * 9000, "aaaa." * 50_000, "a=b&" * 20_000]
)
def test_hostile_text_takes_no_time(text: str) -> None:
    Redactor(["x*"]).text(text)


@settings(max_examples=200, deadline=None)
@given(st.recursive(PLAIN | st.text() | st.binary(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_nothing_raises_and_masking_twice_is_masking_once(value: Any) -> None:
    once = REDACTOR.value(value)
    assert REDACTOR.value(once) == once


def test_deep_nesting_is_masked_and_never_raises() -> None:
    deep: Any = {"password": CORE}
    for _ in range(5000):
        deep = [deep]
    assert CORE not in repr(REDACTOR.value({"deep": deep, "error": f"{CORE} is wrong"}))
    text = json.dumps(CORE)
    for _ in range(400):
        text = f'{{"token": {text}}}'
    assert CORE not in REDACTOR.text(f"cannot read {text}")
