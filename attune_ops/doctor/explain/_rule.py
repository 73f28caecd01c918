"""A rule: how one kind of error is worded, and what it means."""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from attune_ops.doctor.explain.explanation import Closes

# What stands in quotes in the broker's sentences. A name may hold anything, also a newline or a quote, but the
# sentence itself does not begin anew inside it; `cut` is a name that the broker's limit of 255 bytes cut off.
NAME = r"(?P<subject>(?:(?!\bno (?:queue|exchange) ')[\s\S]){0,260}?)"
SOME = r"[^\n]{0,260}?"
USER = r"for user '(?P<user>[^'\n]*)'"
VHOST = r"in vhost '(?P<vhost>[^\n]{0,260}?)'(?=[\s\"'.:,;)\]}\\]|$)"


class Rule(msgspec.Struct, frozen=True):
    """One kind of error.

    `pattern` matches the sentence that every client quotes, whatever is around it; each match holds one of the
    `needles`, which are looked for first (none: the pattern is tried everywhere). `meaning`, `remedy` and
    `commands` are templates over the pattern's groups (in commands they are quoted for the shell).
    """

    code: int | None
    name: str
    pattern: re.Pattern[str]
    meaning: str
    remedy: str
    closes: Closes | None = None
    commands: tuple[str, ...] = ()
    kind: str = ""  # what `subject` is, where the pattern has no group of that name
    needles: tuple[str, ...] = ()


def rule(
    code: int | None,
    name: str,
    pattern: str,
    meaning: str,
    remedy: str,
    *,
    closes: Closes | None = None,
    commands: tuple[str, ...] = (),
    kind: str = "",
) -> Rule:
    """Makes a rule; a quote in `pattern` also matches one that a client's log escaped."""
    compiled = re.compile(pattern.replace("'", r"\\*'"), re.MULTILINE)
    return Rule(code, name, compiled, meaning, remedy, closes, commands, kind, needles_of(pattern))


SHORTEST_NEEDLE = 5


def needles_of(pattern: str) -> tuple[str, ...]:
    """The longest plain text outside of groups of each alternative; () where one of them has none worth looking for."""
    found = [max(_plain_runs(alternative), key=len, default="") for alternative in _alternatives(pattern)]
    return tuple(found) if all(len(needle) >= SHORTEST_NEEDLE for needle in found) else ()


_TOKEN = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]])*\]|\(|\)|\||\{\d+,?\d*\}|.", re.DOTALL)


def _alternatives(pattern: str) -> Iterator[list[str]]:
    """The alternatives of a pattern, each as its tokens outside of groups; a group leaves its two brackets."""
    depth = 0
    tokens: list[str] = []
    for token in _TOKEN.findall(pattern):
        depth -= token == ")"
        if depth == 0 and token == "|":
            yield tokens
            tokens = []
        elif depth == 0:
            tokens.append(token)
        depth += token == "("
    yield tokens


def _plain_runs(tokens: list[str]) -> Iterator[str]:
    """The runs of characters that stand for themselves and must be there."""
    run = ""
    for token, following in zip(tokens, [*tokens[1:], " "], strict=True):
        plain = "" if following[0] in "?*+{" else _plain(token)
        if not plain:
            yield run
        run = run + plain if plain else ""
    yield run


def _plain(token: str) -> str:
    """The character that a token stands for, or '' where it is a class, a sign with a meaning or a quote."""
    if token.startswith("\\"):
        return "" if token[1].isalnum() else token[1]
    return token if len(token) == 1 and token not in "().^$?*+'" else ""
