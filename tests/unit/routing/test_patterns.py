"""PCRE's spellings for `re`, and its match limit: what is over it counts as not found, as on the broker."""

from __future__ import annotations

import pytest

from attune_ops.routing.patterns import Unreadable, compile_pattern, found_in


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        (r"^\d$", "7", True),
        (r"^\d$", "d", False),
        (r"^\x41$", "A", True),
        (r"^(a)\1$", "aa", True),
        (r"^(a)\1$", "a1", False),
        (r"^\y\-$", "y-", True),
        ("a+b", "a", False),
        ("^(ab)+$", "abab", True),
        ("^[]a]+$", "]a", True),
        ("^[a&|~^]+$", "a&|~^", True),
        (r"^[\h]$", "h", False),
        (r"^[\h]$", "\t", True),
        (r"^[^\d]$", "1", False),
        (r"^(?<n>a)\k{n}$", "aa", True),
        (r"^(?'n'a)\k'n'$", "aa", True),
        (r"^x\Qa.b\Ec$", "xa.bc", True),
        (r"^\Qa.b\Ec\Qd\E$", "a.bcd", True),
        (r"^\Qa.b", "a.b", True),
        ("^(a(?i)b)c$", "aBc", True),
        ("^(a(?i)b)c$", "aBC", False),
        ("^(?i:a)b$", "Ab", True),
        ("^(?i:a)b$", "AB", False),
        ("^a{2}$", "aa", True),
        ("^a{2}$", "aaa", False),
    ],
)
def test_spellings(pattern: str, name: str, expected: bool) -> None:
    assert found_in(pattern, name) is expected


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("a)", "a ) without ("),
        ("(*UTF8)a", "'(*UT' is not supported"),
        ("[[:nope:]]", "the class [:nope:] is not supported"),
        ("[[:^digit:]]", "the class [:^digit:] is not supported"),
        ("[[.a.]]", "'[.a.' is not supported"),
        ("[ab", "no ] for the [ at 0"),
        ("a{,3}", "{,n} is text in some PCRE versions and a quantifier in others"),
        ("((a+)b)+c", "a repeated group of variable length may take exponential time"),
        (r"\p{L}", r"\p is not supported"),
        ("a\\", "it ends with a backslash"),
    ],
)
def test_what_cannot_be_read_has_its_reason(pattern: str, why: str) -> None:
    with pytest.raises(Unreadable) as caught:
        compile_pattern(pattern)
    assert str(caught.value) == why


TEN = "a{1,10}"


@pytest.mark.parametrize(
    ("pattern", "name", "found"),
    [
        (TEN * 7, "a" * 7, True),  # 10 ** 7 attempts at most
        ("(a)" + TEN * 7, "a" * 8, True),
        ("a{2}" + TEN * 7, "a" * 9, True),
        ("(?:a|b)" * 7 + "a{0,4}" * 7, "a" * 7, True),
        ("(?:a|b)a{0,9999999}", "a", False),  # twice as many
        ("a{0,10}b{0,909090}", "a", False),  # one more
        ("a?b?" + "a{0,9}" * 6 + "c{0,2}", "a", False),
        (".*" + "a{0,9}" * 6, "a" * 9, True),
        (".*" + "a{0,9}" * 6, "a" * 10, False),
        ("a{0,}" + "a{0,9}" * 6, "a" * 10, False),
    ],
)
def test_the_match_limit_is_ten_million_attempts(pattern: str, name: str, found: bool) -> None:
    assert found_in(pattern, name) is found
