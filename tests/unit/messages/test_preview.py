"""A message as it is shown: no secret in any form, no text that acts on what shows it, nothing made up."""

from __future__ import annotations

import gzip
import json
import zlib
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import attune_ops
from attune_ops.messages.message import LARGEST, Message
from attune_ops.messages.preview import PeekResult, Preview, preview
from attune_ops.model.redaction import Redactor
from attune_ops.render import form
from tests.unit.messages.wire import Typed, properties
from tests.unit.model.test_redaction import CORE, NAMES, SECRETS, holding

NOW = datetime(2026, 1, 16, 12, 0, tzinfo=UTC)
FORMS = ("text", "table", "json", "csv", "markdown", "html")

assert attune_ops  # values show themselves once the package is imported


def redacted(message: Message, redactor: Redactor | None = None) -> Preview:
    return preview(message, NOW, redactor or Redactor(["customer*", "x-customer-id"]))


def forms(*previews: Preview) -> str:
    """All forms of a peek in one text."""
    result = PeekResult("q", "/", len(previews), previews, NOW)
    made = [form(result, name) for name in FORMS]
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
    previews = [redacted(Message(n, "x", "k", raw, body.encode())) for n, body in enumerate(bodies, 1)]
    assert CORE not in forms(*previews)


def test_a_secret_that_is_shown_elsewhere_in_the_message_is_masked_there_too() -> None:
    body = {"message_type": "X", "payload": {"password": CORE, "error": f"{CORE} is wrong"}}
    raw = properties(headers={"x-error": f"again {CORE}"}, message_id=CORE)
    assert CORE not in forms(redacted(Message(1, CORE, CORE, raw, json.dumps(body).encode())))


def nested(levels: int, inner: Any) -> Any:
    for _ in range(levels):
        inner = {"a": [inner]}
    return inner


@pytest.mark.parametrize("levels", [20, 24, 30, 60, 250])
def test_deeply_nested_data_neither_fails_nor_reveals(levels: int) -> None:
    deep = nested(levels, {"password": CORE, "error": f"{CORE} is wrong"})
    text = json.dumps(deep)
    headers = {"deep": nested(min(levels, 60), {"token": CORE}), "text": text, "x": CORE}
    raw = properties(headers=headers, message_id=CORE)
    bodies = [text, json.dumps({"payload": text}), json.dumps([json.dumps([text])])]
    for body in (*bodies, json.dumps({"note": f"seen {text}"})):
        message = Message(1, CORE, "k", raw, body.encode())
        assert CORE not in forms(redacted(message))
        assert forms(preview(message, NOW, None))
    shown = redacted(Message(1, "x", "k", raw, text.encode()))
    assert (shown.body is None) is (levels >= 25)


def test_revealed_it_is_all_there() -> None:
    body = {"message_type": "X", "payload": {"config": {"password": CORE}}}
    shown = preview(Message(1, "x", "k", properties(headers={"token": CORE}), json.dumps(body).encode()), NOW, None)
    assert shown.body == body
    assert shown.headers == {"token": CORE}


@pytest.mark.parametrize(
    ("body", "note"),
    [
        (b"", "no body"),
        (b"\xff\xfe", "2 bytes, not JSON"),
        (b'{"a": ', "6 bytes, not JSON"),
        (b"[" * 100_000, "100000 bytes, not JSON"),
        (b"[" * 500 + b"]" * 500, "nested too deeply to show; drain it to a file"),
        (b"x" * LARGEST, f"{LARGEST} bytes, not JSON"),
        (b'"' + b"x" * LARGEST + b'"', "too large to show"),
    ],
)
def test_a_body_that_cannot_be_shown_says_so(body: bytes, note: str) -> None:
    shown = redacted(Message(1, "x", "k", properties(content_encoding="gzip"), body))
    assert shown.body is None
    assert note in shown.body_note
    assert forms(shown)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=80), st.binary(max_size=80), st.text(max_size=20))
def test_anything_can_be_shown(raw: bytes, body: bytes, name: str) -> None:
    for redactor in (Redactor(), None):
        assert forms(preview(Message(1, name, name, raw, body), NOW, redactor))


def test_why_it_is_here() -> None:
    deaths = [
        {"queue": "work", "reason": "rejected", "count": 2, "exchange": "e", "routing-keys": ["job.1", "cc"]},
        {"queue": "retry", "reason": "expired", "count": 1, "exchange": "e", "routing-keys": ["job.1"]},
        {"queue": "odd", "reason": "other", "count": "x", "exchange": "", "routing-keys": "y"},
    ]
    raw = properties(headers={"x-death": deaths})
    assert redacted(Message(1, "dlx", "job.1", raw, b"{}")).here == (
        "a consumer of work rejected it, 2 times",
        "its message TTL expired in retry",
        "odd dead-lettered it (other)",
        "it was published to queue  (default exchange)",
    )


def test_only_a_whole_body_is_decompressed() -> None:
    text = json.dumps({"message_type": "X", "payload": "x" * 5000}).encode()
    for encoding, packed in (("gzip", gzip.compress(text)), ("Deflate", zlib.compress(text))):
        whole = Message(1, "x", "k", properties(content_encoding=encoding), packed)
        assert (whole.content, whole.type) == (text, "X")
        torn = Message(1, "x", "k", properties(content_encoding=encoding), packed[:-9])
        assert (torn.content, torn.type) == (packed[:-9], None)


def test_when_it_was_dead_lettered() -> None:
    deaths = [{"queue": "q", "time": Typed(b"T", int(NOW.timestamp()))}, {"queue": "q", "time": "soon"}, {"queue": "q"}]
    message = Message(1, "dlx", "k", properties(headers={"x-death": deaths}), b"{}")
    assert [d.time for d in message.deaths] == [NOW, None, None]


def test_what_a_message_lacks_is_none() -> None:
    shown = redacted(Message(1, "", "q", b"\x00\x00", b"[1]"))
    assert (shown.type, shown.id, shown.age, shown.retries, shown.deliveries) == (None, None, None, None, None)
