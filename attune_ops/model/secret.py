"""Secrets that cannot be printed by accident, and URLs shown without their password."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any
from urllib.parse import quote, unquote
from weakref import WeakKeyDictionary

MASK = "***"
SHORT = 3  # characters; inside of words so short a text is chance
WORD = 12  # letters; so is an ordinary word inside of another ("event" in "attune.events")
# How HTML, CSV, forms and shells write what is special to them, besides backslashes, numbers and percent signs.
SPECIAL = {
    "&": ("&amp;",), "<": ("&lt;",), ">": ("&gt;",), '"': ("&quot;", '""'), " ": ("+", r"\x20"),
    "'": ("&apos;", "'\"'\"'", "'\\\"'\\\"'"),
}  # fmt: skip
# What everybody tries first is no secret, and the gaps where it is masked in ordinary sentences would tell it.
GUESSED = frozenset(("admin", "attune", "guest", "password", "postgres", "rabbitmq", "secret"))


class Secret:
    """A password or token. `str`, `repr` and every formatter show `***`; only `reveal` gives the text."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The secret itself; call it only where a protocol needs it."""
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


# The secrets of what is in use, as long as it is.
_HELD: WeakKeyDictionary[object, tuple[Secret, ...]] = WeakKeyDictionary()


def hold(holder: object, secrets: Iterable[Secret]) -> None:
    """Remembers the secrets of an installation as long as the holder lives, so that no value shows them."""
    _HELD[holder] = tuple(secrets)


def held() -> tuple[Secret, ...]:
    """Every secret that is remembered."""
    return tuple({s for secrets in _HELD.values() for s in secrets})


# The password of a URL: after the user's colon, up to the last @ of the word, since a password that ought to have
# been percent-encoded may hold any other character. Rather too much is masked than too little.
_URL_PASSWORD = re.compile(
    r"""(?P<head>\b[a-z][a-z0-9+.-]{0,30}://[^\s/@:]*:)(?P<password>[^\s"'<>]*)(?=@)""", re.IGNORECASE
)


def mask_url(text: str) -> str:
    """Returns `text` with the password of every URL in it replaced by `***`."""
    if "://" not in text:  # the search itself takes its time in a long text
        return text
    return _URL_PASSWORD.sub(lambda m: m["head"] + MASK, text)


def is_word(text: str) -> bool:
    """Whether it may be found by chance: of up to three characters, or an ordinary word."""
    return len(text) <= SHORT or (text.isalpha() and len(text) <= WORD)


def blanked(text: str, spelling: str) -> str:
    """Returns `text` with one spelling of a secret masked.

    One of up to three characters, or that is an ordinary word, is masked where it stands alone: inside of words it
    is chance, and masking it there would tell what it is by what is missing.
    """
    if spelling not in text:
        return text
    if not is_word(spelling):
        return text.replace(spelling, MASK)
    return re.sub(rf"(?<![^\W_]){re.escape(spelling)}(?![^\W_])", MASK, text)


def scrub(text: str, secrets: Iterable[Secret]) -> str:
    """Returns `text` with every URL password and every given secret masked, however it is spelled."""
    return without(mask_url(text), secrets)


def without(text: str, secrets: Iterable[Secret]) -> str:
    """Returns `text` with every given secret masked, as plain text, JSON, CSV, HTML, Markdown or a URL spell it.

    What may be found by chance is masked where it stands alone (`blanked`).
    """
    texts = {t for s in secrets for t in (s.reveal(), unquote(s.reveal())) if t}
    for secret in sorted(texts, key=len, reverse=True):
        plainest, pattern = _spelled(secret)
        if plainest in text:
            text = pattern.sub(MASK, text)
    return text


@lru_cache(maxsize=64)
def _spelled(secret: str) -> tuple[str, re.Pattern[str]]:
    """The longest part of a secret that no escaping changes, and a pattern for all of it as any escaping spells it."""
    parts = re.findall(r"[A-Za-z0-9]+", secret)
    pattern = "".join(map(_character, secret))
    alone = rf"(?<![^\W_]){pattern}(?![^\W_])" if is_word(secret) else pattern
    return max(parts, key=len, default=""), re.compile(alone)


def _character(character: str) -> str:
    """A pattern for one character; a backslash, or several, may stand before it."""
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
    """Plain data with every text in it scrubbed; the names of its members stay."""
    if isinstance(data, str):
        return scrub(data, secrets)
    if isinstance(data, dict):
        return {name: scrubbed(value, secrets) for name, value in data.items()}
    return [scrubbed(value, secrets) for value in data] if isinstance(data, (list, tuple)) else data
