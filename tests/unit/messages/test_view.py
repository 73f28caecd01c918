"""A message as it is shown: no secret in any form, no text that acts on what shows it, nothing made up."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import attune_ops
from attune_ops.messages.message import Message
from attune_ops.messages.peeked import Look, Peeked
from attune_ops.messages.preview import LARGEST, view
from attune_ops.model.redaction import Redactor
from attune_ops.render import form
from tests.unit.messages.wire import properties
from tests.unit.model.test_redaction import CORE, NAMES, SECRETS, holding

NOW = datetime(2026, 1, 16, 12, 0, tzinfo=UTC)
FORMS = ("text", "table", "json", "csv", "markdown", "html")

assert attune_ops  # values show themselves once the package is imported


def look(message: Message, redactor: Redactor | None = None) -> Look:
    return view(message, NOW, redactor or Redactor(["customer*", "x-customer-id"]))


def forms(*looks: Look) -> str:
    """All forms of a peek in one text."""
    peeked = Peeked("q", "/", len(looks), looks, NOW)
    made = [form(peeked, name) for name in FORMS]
    return "".join(m if isinstance(m, str) else json.dumps(m, ensure_ascii=False, default=str) for m in made)


@settings(max_examples=60, deadline=None)
@given(holding(), NAMES, SECRETS)
def test_no_secret_reaches_any_output(value: Any, name: str, secret: str) -> None:
    raw = properties(
        headers={name: secret, "note": f"token={secret}", "json": json.dumps(value)},
        message_id=f"password={CORE}",
        reply_to=f"https://u:{CORE}@h",
    )
    bodies = [json.dumps(value), json.dumps({"payload": value}), json.dumps([value]), json.dumps({name: secret})[:-1]]
    looks = [look(Message(n, "x", "k", raw, body.encode())) for n, body in enumerate(bodies, 1)]
    assert CORE not in forms(*looks)


def test_a_secret_that_is_shown_elsewhere_in_the_message_is_masked_there_too() -> None:
    body = {"message_type": "X", "payload": {"password": CORE, "error": f"{CORE} is wrong"}}
    raw = properties(headers={"x-error": f"again {CORE}"}, message_id=CORE)
    assert CORE not in forms(look(Message(1, CORE, CORE, raw, json.dumps(body).encode())))


def test_revealed_it_is_all_there() -> None:
    body = {"message_type": "X", "payload": {"config": {"password": CORE}}}
    shown = view(Message(1, "x", "k", properties(headers={"token": CORE}), json.dumps(body).encode()), NOW, None)
    assert shown.body == body
    assert shown.headers == {"token": CORE}


@pytest.mark.parametrize(
    ("body", "note"),
    [
        (b"", "no body"),
        (b"\xff\xfe", "2 bytes that are no JSON"),
        (b'{"a": ', "6 bytes that are no JSON"),
        (b"[" * 100_000, "100000 bytes that are no JSON"),
        (b'"' + b"x" * LARGEST + b'"', "too large to show"),
    ],
)
def test_a_body_that_cannot_be_shown_says_so(body: bytes, note: str) -> None:
    shown = look(Message(1, "x", "k", properties(content_encoding="gzip"), body))
    assert shown.body is None
    assert note in shown.body_note
    assert forms(shown)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=80), st.binary(max_size=80), st.text(max_size=20))
def test_anything_can_be_shown(raw: bytes, body: bytes, name: str) -> None:
    for redactor in (Redactor(), None):
        assert forms(view(Message(1, name, name, raw, body), NOW, redactor))


def test_why_it_is_here() -> None:
    deaths = [
        {"queue": "work", "reason": "rejected", "count": 2, "exchange": "e", "routing-keys": ["job.1", "cc"]},
        {"queue": "retry", "reason": "expired", "count": 1, "exchange": "e", "routing-keys": ["job.1"]},
        {"queue": "odd", "reason": "other", "count": "x", "exchange": "", "routing-keys": "y"},
    ]
    raw = properties(headers={"x-death": deaths})
    assert look(Message(1, "dlx", "job.1", raw, b"{}")).here == (
        "a consumer of work rejected it, 2 times",
        "its time to live ran out in retry",
        "odd gave it up (other)",
        "it was published straight to queue ",
    )


def test_what_is_not_told_is_none() -> None:
    shown = look(Message(1, "", "q", b"\x00\x00", b"[1]"))
    assert (shown.type, shown.id, shown.age, shown.retries, shown.deliveries) == (None, None, None, None, None)
