"""Commands that findings print."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from attune_ops.model import command_lines


@given(st.sets(st.integers(0, 400), min_size=2))
def test_a_pattern_of_numbers_matches_these_alone(numbers: set[int]) -> None:
    pattern = command_lines.retire(*numbers).words[1].strip("/")
    assert {n for n in range(500) if re.search(pattern, str(n))} == numbers


def test_consecutive_numbers_are_short() -> None:
    assert str(command_lines.retire(7)) == "attune-ops retire 7 --apply"
    assert str(command_lines.retire(*range(100, 130))) == "attune-ops retire '/^(?:1[0-2][0-9])$/' --apply"
