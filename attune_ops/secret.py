"""Secrets that cannot be printed by accident, and URLs shown without their password."""

from __future__ import annotations

import re
from urllib.parse import unquote

MASK = "***"
SHORT = 3  # characters


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


# The password of a URL: after the user's colon, up to the last @ of the word, since a password that ought to have
# been percent-encoded may hold any other character. Rather too much is masked than too little.
_URL_PASSWORD = re.compile(
    r"""(?P<head>\b[a-z][a-z0-9+.-]{0,30}://[^\s/@:]*:)(?P<password>[^\s"'<>]*)(?=@)""", re.IGNORECASE
)


def mask_url(text: str) -> str:
    """Returns `text` with the password of every URL in it replaced by `***`."""
    return _URL_PASSWORD.sub(lambda m: m["head"] + MASK, text)


def scrub(text: str, secrets: tuple[Secret, ...]) -> str:
    """Returns `text` with every URL password and every given secret (also percent-encoded) masked.

    A secret of up to three characters is masked where it stands alone: inside of words it is chance, and masking it
    there would tell what it is by what is missing.
    """
    from urllib.parse import quote

    text = mask_url(text)
    for secret in sorted((s.reveal() for s in secrets if s), key=len, reverse=True):
        for spelling in {secret, quote(secret, safe=""), quote(secret), unquote(secret)}:
            if len(spelling) > SHORT:
                text = text.replace(spelling, MASK)
            elif spelling:
                text = re.sub(rf"(?<!\w){re.escape(spelling)}(?!\w)", MASK, text)
    return text
