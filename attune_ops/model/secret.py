"""Secrets that are never printed by accident, and URLs shown without their password."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any
from urllib.parse import quote, unquote
from weakref import WeakKeyDictionary

MASK = "***"
SHORTEST = 8  # characters; a shorter text elsewhere is a coincidence
WORD = 12  # letters; so is a word ("executor" in "attune.executor.requests")
# The escapes of HTML, CSV, forms and shells, besides backslashes, numbers and percent signs.
SPECIAL = {
    "&": ("&amp;",), "<": ("&lt;",), ">": ("&gt;",), '"': ("&quot;", '""'), " ": ("+", r"\x20"),
    "'": ("&apos;", "'\"'\"'", "'\\\"'\\\"'"),
}  # fmt: skip


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


# Where a short secret is one: after the user of a URL, and after a name of its kind, quoted or not.
_CREDENTIAL = (
    r"(?P<place>://[^\s/@:]*:(?=[^\s/]*@)|(?i:password|passwd|passphrase|pwd|secret|token|api_?key)"
    r"(?:(?:\\*[\"']|&quot;|&\#34;)?\s*[:=]\s*(?:\\*[\"']|&quot;|&\#34;)?|\s+[\"']))"
)


def mask_url(text: str) -> str:
    """Returns `text` with the password of every URL in it replaced by `***`."""
    if "://" not in text:  # the search is slow in a long text
        return text
    return _URL_PASSWORD.sub(lambda m: m["head"] + MASK, text)


def is_common(text: str) -> bool:
    """Whether a secret may occur by chance: it has fewer than 8 characters, or is a word of letters.

    Masking it wherever it occurs would mangle statuses and titles, and tell what it is. It is masked by its place.
    """
    return len(text) < SHORTEST or (text.isalpha() and len(text) <= WORD)


def scrub(text: str, secrets: Iterable[Secret]) -> str:
    """Returns `text` with every URL password and every given secret masked, in any escaping."""
    return without(mask_url(text), secrets)


def without(text: str, secrets: Iterable[Secret]) -> str:
    """Returns `text` with every given secret masked: plain, escaped for JSON, CSV, HTML, Markdown or a URL, or base64.

    A short secret or a word is masked where a credential stands: in a URL, and after `password=` and its like.
    """
    texts = {t for s in secrets for t in (s.reveal(), unquote(s.reveal())) if t}
    for secret in sorted(texts, key=len, reverse=True):
        plainest, pattern = _spelled(secret)
        if plainest in text:
            text = pattern.sub(rf"\g<place>{MASK}", text)
        for spelling in () if is_common(secret) else in_base64(secret):
            text = text.replace(spelling, MASK)
    return text


def needles(secrets: Iterable[Secret]) -> tuple[str, ...]:
    """What a text must contain, so that `without` could find one of the secrets in it."""
    texts = {t for s in secrets for t in (s.reveal(), unquote(s.reveal())) if t}
    return tuple(n for t in texts for n in (_spelled(t)[0], *(() if is_common(t) else in_base64(t))))


@lru_cache(maxsize=64)
def in_base64(secret: str) -> tuple[str, ...]:
    """A secret in base64 and its URL-safe form, wherever in the encoded text it begins: what its own bytes decide."""
    data, found = secret.encode(errors="replace"), dict[str, None]()
    for before, unsure in ((0, 0), (1, 2), (2, 3)):  # bytes before it, and characters that those bytes decide too
        shown = base64.b64encode(bytes(before) + data).decode()[unsure : (before + len(data)) * 8 // 6]
        found |= dict.fromkeys((shown, shown.translate({43: 45, 47: 95})))
    return tuple(found)


@lru_cache(maxsize=64)
def _spelled(secret: str) -> tuple[str, re.Pattern[str]]:
    """The longest part of a secret that no escaping changes, and a pattern for all of it as any escaping spells it."""
    parts = re.findall(r"[A-Za-z0-9]+", secret)
    pattern = "".join(map(_character, secret))
    pattern = rf"{_CREDENTIAL}{pattern}(?![^\W_])" if is_common(secret) else rf"(?P<place>){pattern}"
    return max(parts, key=len, default=""), re.compile(pattern)


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
