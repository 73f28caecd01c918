"""Secrets do not print, and are taken out of whatever text they got into."""

from __future__ import annotations

import copy
import pickle
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attune_ops.secret import MASK, Secret, scrub


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
    for spelling in (secret, quote(secret, safe=""), quote(secret)):
        assert secret not in scrub(f"{before}{spelling}{after}", (Secret(secret),))


def test_a_short_secret_is_masked_where_it_stands_alone() -> None:
    text = "attune-ops: password p of amqp://u:p@host is 'p', p."
    assert scrub(text, (Secret("p"),)) == "attune-ops: password *** of amqp://u:***@host is '***', ***."


def test_the_longer_of_two_goes_first() -> None:
    assert scrub("abcdef", (Secret("abcd"), Secret("abcdef"))) == MASK
