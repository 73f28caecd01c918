"""Secrets that are never printed by accident, and URLs shown without their password."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any
from urllib.parse import quote, unquote
from weakref import WeakKeyDictionary

MASK = "***"
SHORT = 3  # characters; inside words such a short text is a coincidence
WORD = 12  # letters; so is an ordinary word inside another one ("event" in "attune.events")
# The escapes of HTML, CSV, forms and shells, besides backslashes, numbers and percent signs.
SPECIAL = {
    "&": ("&amp;",), "<": ("&lt;",), ">": ("&gt;",), '"': ("&quot;", '""'), " ": ("+", r"\x20"),
    "'": ("&apos;", "'\"'\"'", "'\\\"'\\\"'"),
}  # fmt: skip
# Well-known defaults are not secret, and masking them in ordinary sentences would reveal them.
GUESSED = frozenset(("admin", "attune", "guest", "password", "postgres", "rabbitmq", "secret"))


class Secret:
    """A password or token. `str`, `repr` and every formatter show `***`; only `reveal` gives the text."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The secret text; call it only where a protocol needs it."""
        return self._text

    def __repr__(self) -> str:
        return MASK

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a secret is not pickled")


# The secrets of the installations in use.
_HELD: WeakKeyDictionary[object, tuple[Secret, ...]] = WeakKeyDictionary()


def hold(holder: object, secrets: Iterable[Secret]) -> None:
    """Registers the secrets of an installation for masking, for the lifetime of `holder`."""
    _HELD[holder] = tuple(secrets)


def held() -> tuple[Secret, ...]:
    """Every registered secret."""
    return tuple({s for secrets in _HELD.values() for s in secrets})


# The password of a URL: from the user's colon to the last @ of the word, as a password without the required
# percent-encoding may contain any other character. In doubt, more is masked.
_URL_PASSWORD = re.compile(
    r"""(?P<head>\b[a-z][a-z0-9+.-]{0,30}://[^\s/@:]*:)(?P<password>[^\s"'<>]*)(?=@)""", re.IGNORECASE
)


def mask_url(text: str) -> str:
    """Returns `text` with the password of every URL in it replaced by `***`."""
    if "://" not in text:  # the search is slow in a long text
        return text
    return _URL_PASSWORD.sub(lambda m: m["head"] + MASK, text)


def is_word(text: str) -> bool:
    """Whether it may appear by coincidence: up to three characters, or an ordinary word."""
    return len(text) <= SHORT or (text.isalpha() and len(text) <= WORD)


def blanked(text: str, spelling: str) -> str:
    """Returns `text` with one spelling of a secret masked.

    Up to three characters, or an ordinary word, are masked only as a word of their own: inside other words they are a
    coincidence, and masking them there would reveal the secret.
    """
    if spelling not in text:
        return text
    if not is_word(spelling):
        return text.replace(spelling, MASK)
    return re.sub(rf"(?<![^\W_]){re.escape(spelling)}(?![^\W_])", MASK, text)


def scrub(text: str, secrets: Iterable[Secret]) -> str:
    """Returns `text` with every URL password and every given secret masked, in any escaping."""
    return without(mask_url(text), secrets)


def without(text: str, secrets: Iterable[Secret]) -> str:
    """Returns `text` with every given secret masked, in the escaping of text, JSON, CSV, HTML, Markdown or a URL.

    A short secret or an ordinary word is masked only as a word of its own (`blanked`).
    """
    texts = {t for s in secrets for t in (s.reveal(), unquote(s.reveal())) if t}
    for secret in sorted(texts, key=len, reverse=True):
        plainest, pattern = _spelled(secret)
        if plainest in text:
            text = pattern.sub(MASK, text)
    return text


@lru_cache(maxsize=64)
def _spelled(secret: str) -> tuple[str, re.Pattern[str]]:
    """The longest part of a secret that no escaping changes, and a pattern for the secret in any escaping."""
    parts = re.findall(r"[A-Za-z0-9]+", secret)
    pattern = "".join(map(_character, secret))
    alone = rf"(?<![^\W_]){pattern}(?![^\W_])" if is_word(secret) else pattern
    return max(parts, key=len, default=""), re.compile(alone)


def _character(character: str) -> str:
    """A pattern for one character, with optional backslashes before it."""
    if character.isascii() and character.isalnum():
        return character
    number, percent = ord(character), quote(character, safe="", errors="replace")
    spellings = {
        character, *SPECIAL.get(character, ()), percent, percent.lower(), f"&#{number};", f"&#x{number:x};",
        character.encode("unicode_escape").decode(),
    }  # fmt: skip
    units = character.encode("utf-16-be", "surrogatepass").hex()
    json = "".join(rf"\\+u{units[i : i + 4]}" for i in range(0, len(units), 4))
    return rf"\\*(?:{json}|{'|'.join(map(re.escape, sorted(spellings, key=len, reverse=True)))})"


def scrubbed(data: Any, secrets: tuple[Secret, ...]) -> Any:
    """Plain data with every text scrubbed; the names of members are unchanged."""
    if isinstance(data, str):
        return scrub(data, secrets)
    if isinstance(data, dict):
        return {name: scrubbed(value, secrets) for name, value in data.items()}
    return [scrubbed(value, secrets) for value in data] if isinstance(data, (list, tuple)) else data
