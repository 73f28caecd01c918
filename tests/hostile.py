"""Names that a broker may hold and that no output may act on."""

from __future__ import annotations

import unicodedata

from hypothesis import strategies as st

NAMES = (
    "<script>alert(1)</script>",
    "\"><img src=x onerror='alert(1)'>",
    "{{ 7 * 7 }}{% raw %}",
    "../../etc/passwd",
    "two\nlines",
    "carriage\rreturn",
    "tab\tbed",
    "\x1b[2J\x1b]0;owned\x07",
    "\x00nul\x7f\x9b31m",
    "\u202egnp.exe",
    "zero\u200bwidth\ufeff",
    "no\u00a0break\u2028line\u2029paragraph",
    " leading and trailing ",
    "",
    "|pipe|`code`*bold*_it_[link](javascript:alert(1))",
    "# heading",
    "=cmd|' /C calc'!A0",
    "comma,semi;quote\"quote'",
    "[red]markup[/red]:smile:",
    "https://evil.example/?q=1&x=<y>",
    "$x^2$ \\frac",
    "🐇👩\u200d🔧漢字",
    "e\u0301" * 85,
    "ü" * 127,
    "x" * 255,
)

names = st.text(max_size=255).filter(lambda name: len(name.encode()) <= 255) | st.sampled_from(NAMES)


def is_safe(text: str) -> bool:
    """Whether a terminal or a reader gets nothing but visible characters, spaces and line feeds."""
    return all(unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp") or c == "\n" for c in text)
