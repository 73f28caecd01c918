"""Masking secrets in message bodies, headers, and text that contains them.

A value is a secret by its name (`config`, tokens, passwords, keys, and names from the configuration), or because it is
one of the run's own secrets. Its text is then masked wherever it appears in the same value, also in JSON inside
strings, in base64 or in a URL.
"""

from __future__ import annotations

import base64
import binascii
import fnmatch
import json
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any
from urllib.parse import quote, quote_plus, unquote_plus

from attune_ops.model.secret import MASK, Secret, in_base64, is_common, mask_url

# The input of an action: it may contain secrets, but most of it is not secret, so its texts are not masked elsewhere.
CONFIG = "config"
# A name is split at capitals and punctuation; one of these words makes its value a secret.
WORDS = frozenset(
    ("auth", "authorization", "bearer", CONFIG, "cookie", "cookies", "jwt", "key", "keys", "otp", "pass", "pin",
     "pwd", "salt", "session", "signature", "ssn")
)  # fmt: skip
# These do so inside a word too (`accesstoken`, `dbpassword`).
PARTS = ("apikey", "credential", "passphrase", "passwd", "password", "privatekey", "secret", "token")
HARMLESS = frozenset(("routing_key", "routing_keys", "binding_key", "binding_keys", "key_count", "message_key"))

DEEPEST = 24  # nested encodings; what is nested deeper is masked completely
NESTED = 100  # nested objects and arrays, in all encodings together; the same

_CAPITAL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{12,}={0,2}")
_LOGIN = re.compile(r"\b(?P<scheme>bearer|basic|digest|token)(?P<gap>\s+)[A-Za-z0-9._~+/=:-]{6,}", re.IGNORECASE)
_JWT = re.compile(r"\beyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*")
_PEM = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL)
_USERINFO = re.compile(r"(?P<head>\bhttps?://)[^\s/@?#]+(?=@)", re.IGNORECASE)
_PARAMETER = re.compile(r"(?<![^\s?&;=#\"'{}\[\],])(?P<name>[^\s?&;=#\"'{}\[\],]+)=(?P<value>[^\s&;#\"'<>]*)")
_NAME = re.compile(r"(?<![\w.-])(?P<name>[\w.-]+(?: [\w.-]+)?)\\*[\"']?\s*(?:=>|[:=])\s*")
_VALUE = re.compile(r"\\*[{\[(].*|\\*\"(?:[^\"\\]|\\.)*\"?|'(?:[^'\\]|\\.)*'?|[^\s,;&}\])]+", re.DOTALL)
_NOTHING = frozenset(("", MASK, "null", "none", "false"))


class Redactor:
    """Masks by name and by value. `names` are globs on names, besides the built-in ones; `secrets` are the run's own.

    `value` and `text` return a masked copy and never raise.
    """

    def __init__(self, names: Iterable[str] = (), secrets: Iterable[Secret] = ()) -> None:
        self._globs = tuple(_plain(n) for n in names)
        self._known = frozenset(s.reveal() for s in secrets if not is_common(s.reveal()))
        self.is_secret = lru_cache(maxsize=4096)(self._is_secret)

    def _is_secret(self, name: str) -> bool:
        plain = _plain(name)
        if any(fnmatch.fnmatchcase(plain, g) or fnmatch.fnmatchcase(name.lower(), g) for g in self._globs):
            return True
        if plain in HARMLESS:
            return False
        return not WORDS.isdisjoint(plain.split("_")) or any(p in plain.replace("_", "") for p in PARTS)

    def value(self, value: Any) -> Any:
        """JSON-like data (and bytes) with every secret masked; names and other values are unchanged."""
        return self._pass(value).mask(value)

    def text(self, text: str) -> str:
        """Text with every secret masked, also inside JSON and URLs."""
        return str(self._pass(text).mask(text))

    def _pass(self, value: Any) -> _Pass:
        found = _Pass(self)
        found.collect(value, DEEPEST)
        return found


class _Pass:
    """One pass over one value: collects the secrets by name, then masks."""

    def __init__(self, redactor: Redactor) -> None:
        self._is_secret = redactor.is_secret
        self._texts = set(redactor._known)
        self._spellings: tuple[str, ...] | None = None
        self._nested = 0  # objects and arrays that are being masked

    def collect(self, value: Any, depth: int) -> None:
        """Collects every text with a secret name; a loop, because data may be nested deeper than calls."""
        waiting = [(value, depth, False)]
        while waiting:
            value, depth, secret = waiting.pop()
            if isinstance(value, dict):
                for name, inner in value.items():
                    is_secret = self._is_secret(str(name)) and _plain(str(name)) != CONFIG
                    waiting.append((inner, depth, secret or is_secret))
            elif isinstance(value, (list, tuple)):
                waiting.extend((inner, depth, secret) for inner in value)
            elif isinstance(value, bytes):
                waiting.append((value.decode(errors="replace"), depth, secret))
            elif isinstance(value, str):
                if secret and not is_common(value):
                    self._texts.add(value)
                waiting.extend((inner, depth - 1, secret) for inner in (_inside(value) if depth else ()))
            elif secret and isinstance(value, (int, float)) and not is_common(str(value)):
                self._texts.add(str(value))

    def mask(self, value: Any, depth: int = DEEPEST) -> Any:
        """The masked copy."""
        if not isinstance(value, (dict, list, tuple)):
            return self._scalar(value, depth)
        if self._nested == NESTED:
            return MASK
        self._nested += 1
        try:
            return self._container(value, depth)
        finally:
            self._nested -= 1

    def _container(self, value: Any, depth: int) -> Any:
        if isinstance(value, dict):
            return {
                (self._text(k, depth) if isinstance(k, str) else k): MASK
                if self._is_secret(str(k)) and not _empty(v)
                else self.mask(v, depth)
                for k, v in value.items()
            }
        return type(value)([self.mask(v, depth) for v in value])

    def _scalar(self, value: Any, depth: int) -> Any:
        if isinstance(value, bytes):
            shown = value.decode(errors="replace")
            masked = self._text(shown, depth)
            return value if masked == shown else masked.encode()
        if isinstance(value, str):
            return self._text(value, depth)
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return MASK if is_number and str(value) in self._texts else value

    def _text(self, text: str, depth: int) -> str:
        if not text or text == MASK:
            return text
        if depth == 0:
            return MASK
        whole = self._encoded(text, depth)
        if whole is not None:
            return whole
        text = mask_url(_PEM.sub(MASK, _JWT.sub(MASK, text)))
        text = _USERINFO.sub(lambda m: m["head"] + MASK, _LOGIN.sub(lambda m: m["scheme"] + m["gap"] + MASK, text))
        text = self._embedded_json(text, depth)
        if "=" in text:
            text = _PARAMETER.sub(lambda m: self._parameter(m, depth), text)
        if ":" in text or "=" in text:
            text = self._assigned(text)
        if "%" in text:
            plain = unquote_plus(text)
            masked = self._text(plain, depth - 1) if plain != text else plain
            text = text if masked == plain else quote(masked, safe="*/:?=& {}\",'")
        return self._known(text)

    def _encoded(self, text: str, depth: int) -> str | None:
        """The masked text in its encoding where it is JSON or base64 of JSON; else None."""
        data = _json(text)
        if data is not None:
            masked = self.mask(data, depth - 1)
            return text if masked == data else json.dumps(masked, ensure_ascii=False)
        inner = _base64(text)
        if inner is None:
            return None
        return text if self._text(inner, depth - 1) == inner else MASK

    def _embedded_json(self, text: str, depth: int) -> str:
        """Masks JSON objects and arrays inside text."""
        done, at = "", 0
        for start, end, data in _embedded(text):
            masked = self.mask(data, depth - 1)
            done += text[at:start] + (text[start:end] if masked == data else json.dumps(masked, ensure_ascii=False))
            at = end
        return done + text[at:]

    def _parameter(self, match: re.Match[str], depth: int) -> str:
        """A `name=value` of a query or form."""
        name, value = match["name"], unquote_plus(match["value"])
        if self._is_secret(unquote_plus(name)):
            return f"{name}={MASK}" if value else match[0]
        masked = self._text(value, depth - 1)
        return match[0] if masked == value else f"{name}={quote_plus(masked, safe='*')}"

    def _assigned(self, text: str) -> str:
        """Masks the value of each `name: value` and `name=value` in text, quoted or not, complete or cut off."""
        parts, at = [], 0
        while name := _NAME.search(text, at):
            parts.append(text[at : name.end()])
            at = name.end()
            value = _VALUE.match(text, at) if self._is_secret(name["name"]) else None
            if value is not None and value[0].strip("\\\"'").lower() not in _NOTHING:
                parts.append(MASK)
                at = value.end()
        return "".join([*parts, text[at:]])

    def _known(self, text: str) -> str:
        """Masks the texts of secrets wherever they appear, plain or encoded."""
        if self._spellings is None:
            found = {s for secret in self._texts for s in _spellings(secret) if s and s != MASK}
            self._spellings = tuple(sorted(found, key=len, reverse=True))
        for spelling in self._spellings:
            text = text.replace(spelling, MASK)
        return text


def _plain(name: str) -> str:
    """A name in snake case: `candidateAccess-Token` → `candidate_access_token`; a glob keeps its `*`."""
    return re.sub(r"[^a-z0-9*?]+", "_", _CAPITAL.sub("_", name).lower()).strip("_")


def _empty(value: Any) -> bool:
    """Whether the value is empty: that a secret is not set may be shown."""
    return value is None or value is False or (isinstance(value, (str, bytes, list, tuple, dict)) and not value)


def _json(text: str) -> Any:
    """The data of a JSON object, array or string; else None."""
    if text.lstrip()[:1] not in ("{", "[", '"'):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _base64(text: str) -> str | None:
    """The text decoded from base64, where it is printable; else None."""
    if not _BASE64.fullmatch(text):
        return None
    try:
        plain = base64.b64decode(text.translate({45: 43, 95: 47}) + "=" * (-len(text) % 4), validate=True).decode()
    except (binascii.Error, ValueError):
        return None
    return plain if plain.replace("\n", "").replace("\t", "").isprintable() else None


def _embedded(text: str) -> Iterator[tuple[int, int, Any]]:
    """The JSON objects and arrays in the text: start, end and data of each."""
    decoder, at = json.JSONDecoder(), 0
    for _ in range(64):  # a limit for text full of brackets
        starts = [i for i in (text.find("{", at), text.find("[", at)) if i >= 0]
        if not starts:
            return
        try:
            data, end = decoder.raw_decode(text, min(starts))
        except (ValueError, RecursionError):
            at = min(starts) + 1
            continue
        yield min(starts), end, data
        at = end


def _inside(text: str) -> Iterator[Any]:
    """The data that the text contains in an encoding."""
    data = _json(text)
    if data is not None:
        yield data
        return
    plain = _base64(text)
    if plain is not None:
        yield plain
    yield from (data for _, _, data in _embedded(text))
    for match in _PARAMETER.finditer(text):
        yield {unquote_plus(match["name"]): unquote_plus(match["value"])}
    if "%" in text and unquote_plus(text) != text:
        yield unquote_plus(text)


def _spellings(secret: str) -> Iterator[str]:
    """A secret in plain text, JSON, a URL and base64."""
    yield secret
    yield json.dumps(secret)[1:-1]
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
    yield quote(secret, safe="")
    yield quote(secret)
    yield quote_plus(secret)
    yield from in_base64(secret)
