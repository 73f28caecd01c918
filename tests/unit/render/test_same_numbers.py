"""The same numbers stand in the text, in a terminal and in the HTML of each type that shows itself."""

from __future__ import annotations

import re
from html import unescape

import pytest

from attune_ops.model.display import Shown
from attune_ops.render import form
from tests.unit.render.test_every_type import EVERY
from tests.unit.render.test_hostile import FILLED, Filler, terminal

PLAIN = ["alpha", "beta", "gamma", "delta"]


def numbers(text: str) -> set[str]:
    return set(re.findall(r"\d+(?:[.,]\d+)*", text))


def words(html: str) -> str:
    """What a browser shows of it, apart from pictures."""
    for unseen in ("style", "svg"):
        html = re.sub(rf"<{unseen}.*?</{unseen}>", "", html, flags=re.DOTALL)
    return unescape(re.sub(r"<[^>]*>", " ", html))


@pytest.mark.parametrize("name", FILLED)
def test_each_number_of_the_text_stands_in_every_form(name: str) -> None:
    for seed in range(30):
        value: Shown = Filler(seed, PLAIN).value(EVERY[name])
        told = numbers(form(value, "text"))
        assert told <= numbers(words(form(value, "html"))), seed
        assert told <= numbers(terminal(form(value, "table"))), seed
