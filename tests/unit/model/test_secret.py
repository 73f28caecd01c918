"""Secrets do not print, and are taken out of whatever text they got into."""

from __future__ import annotations

import base64
import copy
import gc
import json
import pickle
from datetime import UTC, datetime
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attune_ops import connect
from attune_ops.installation.config import resolve
from attune_ops.model.redaction import Redactor
from attune_ops.model.secret import MASK, Secret, in_base64, is_common, scrub, without
from attune_ops.model.table import Column, Table
from attune_ops.render import formats, written
from tests.unit.model.test_redaction import CORE, SECRETS

NOW = datetime(2026, 1, 16, tzinfo=UTC)


def test_no_way_of_printing_shows_it() -> None:
    secret = Secret("hunter2")
    for shown in (str(secret), repr(secret), f"{secret}", f"{secret!r:>10}", f"{secret!s}", repr({"a": [secret]})):
        assert "hunter2" not in shown
    assert secret.reveal() == "hunter2"
    with pytest.raises(TypeError):
        pickle.dumps(secret)
    with pytest.raises(TypeError):
        copy.deepcopy(secret)


def test_equal_by_what_it_holds() -> None:
    assert Secret("a") == Secret("a") != Secret("b")
    assert len({Secret("a"), Secret("a")}) == 1
    assert Secret("a") != "a"
    assert not Secret("")


@given(st.text(min_size=4, max_size=30), st.text(max_size=20), st.text(max_size=20))
def test_every_spelling_is_masked(secret: str, before: str, after: str) -> None:
    if secret in MASK or secret in before + MASK + after:
        return
    if is_common(secret):  # where a password stands
        before, after = f"{before} password='", f"'{after}"
    for spelling in (secret, quote(secret, safe=""), quote(secret)):
        assert secret not in scrub(f"{before}{spelling}{after}", (Secret(secret),))


@settings(max_examples=100)
@given(SECRETS)
def test_every_form_masks_it(secret: str) -> None:
    columns = Column("name"), Column("more")
    told = Table("t", columns, ((f"a {secret} b", json.dumps({"x": secret, "u": quote(secret)})),), NOW, (secret,))
    for format in set(formats(told)) - {"table"}:
        text = written(told, format, (Secret(secret),))
        assert CORE not in text
        assert format != "json" or json.loads(text)["columns"] == ["name", "more"]


def test_a_value_shows_no_secret_of_an_installation_in_use() -> None:
    told = Table("t", (Column("name"),), ((f"login with {CORE}",),), NOW)
    assert CORE in str(told)
    ops = connect(amqp_url=f"amqp://u:{CORE}@h", management_url="http://h")
    assert CORE not in str(told) + told._repr_html_() + str(told._repr_mimebundle_())
    del ops
    gc.collect()
    assert CORE in str(told)


@pytest.mark.parametrize("word", ["p", "event", "active", "worker", "status", "executor", "hunter2", "***", "a-b_c.1"])
def test_a_short_secret_or_a_word_is_masked_where_a_password_stands(word: str) -> None:
    text = (
        '{0} {0}.queue: password \'{1}\' of amqp://u:{1}@h, PGPASSWORD={1} {{"status": "{0}", "password": "{1}"}} {0}.'
    )
    shown = text.format(word, MASK)
    assert scrub(text.format(word, word), (Secret(word),)) == shown
    assert without(text.format(word, word), (Secret(word),)) == shown


@pytest.mark.parametrize("word", ["active", "worker", "hunter2"])
def test_a_password_in_a_message_masks_no_equal_word_beside_it(word: str) -> None:
    value = {"password": word, "status": word, "note": f"the {word} of amqp://u:{word}@h", "n": 1}
    shown = {"password": MASK, "status": word, "note": f"the {word} of amqp://u:{MASK}@h", "n": 1}
    assert Redactor(secrets=[Secret(word)]).value(value) == shown


@given(st.binary(max_size=7), st.text(min_size=8, max_size=30), st.binary(max_size=7))
def test_base64_is_masked_wherever_the_secret_begins_in_it(before: bytes, secret: str, after: bytes) -> None:
    if is_common(secret):
        return
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        text = f"seen {encode(before + secret.encode() + after).decode()} in a header"
        for shown in (scrub(text, (Secret(secret),)), Redactor(secrets=[Secret(secret)]).text(text)):
            assert MASK in shown
            assert all(s not in shown for s in in_base64(secret))


def test_the_base64_of_a_secret_is_masked_inside_other_text() -> None:
    """Protects a Basic login: the header has user and password in one base64 text, which is no JSON."""
    secret, login = "pass-word-42", base64.b64encode(b"attune:pass-word-42").decode()
    alone = base64.b64encode(secret.encode()).decode()
    for text in (f"sent {login} to it", f"x{alone}", f"{alone}.{login}"):
        for shown in (scrub(text, (Secret(secret),)), Redactor(secrets=[Secret(secret)]).text(text)):
            assert alone[:12] not in shown
            assert login[12:] not in shown
            assert MASK in shown


@pytest.mark.parametrize(
    ("amqp", "database"),
    [
        ("amqp://attune:attune@h", "postgresql://attune:attune@h/attune"),
        ("amqp://guest:guest@h", "postgresql://postgres:postgres@h/x"),
        ("amqp://bob:bob@h", "postgresql://j%40n:j%40n@h/x"),
        ("amqp://ops:password@h", "postgresql://ops:secret@h/x"),
    ],
)
def test_a_password_that_everybody_tries_first_leaves_sentences_readable(amqp: str, database: str) -> None:
    found = resolve({"amqp_url": amqp, "management_url": "http://h", "database_url": database}, {})
    said = f"wrong user or password for user 'attune', bob or j@n at {found.amqp}; the database {{db}}"
    assert scrub(said.format(db=database), found.secrets) == said.format(db=found.database and found.database.shown)
    assert ":***@" in scrub(amqp, found.secrets)


def test_the_longer_of_two_goes_first() -> None:
    assert scrub("abcd1234ef", (Secret("abcd1234"), Secret("abcd1234ef"))) == MASK
