"""A rule: the wording of one kind of error, and its explanation."""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from attune_ops.doctor.explain.explanation import Closes

# Quoted names in the broker's messages. A name may contain anything, also a newline or a quote, but not the start of
# another message.
NAME = r"(?P<subject>(?:(?!\bno (?:queue|exchange) ')[\s\S]){0,260}?)"
SOME = r"[^\n]{0,260}?"
USER = r"for user '(?P<user>[^'\n]*)'"
VHOST = r"in vhost '(?P<vhost>[^\n]{0,260}?)'(?=[\s\"'.:,;)\]}\\]|$)"


CLOSE_CHANNEL = (311, 404, 405, 406)
CLOSE_EITHER = (312, 313, 403)  # or, for a returned message, nothing


class Rule(msgspec.Struct, frozen=True):
    """One kind of error.

    `pattern` matches the broker's message as every client quotes it. Each match contains one of the `needles`, which
    are searched first (none: the pattern is tried everywhere). `meaning`, `remedy` and `commands` are templates over
    the pattern's groups (in commands they are quoted for the shell).
    """

    code: int | None
    name: str
    pattern: re.Pattern[str]
    meaning: str
    remedy: str
    closes: Closes | None = None
    commands: tuple[str, ...] = ()
    kind: str = ""  # the kind of `subject`, where the pattern has no group `kind`
    needles: tuple[str, ...] = ()


def rule(
    heading: str,
    pattern: str,
    meaning: str,
    remedy: str,
    *,
    closes: Closes | None = None,
    commands: tuple[str, ...] = (),
    kind: str = "",
) -> Rule:
    """Makes a rule; `heading` is a reply code with its name, or a name alone.

    `closes` is needed only where the reply code does not say it. A quote in `pattern` also matches an escaped quote of
    a client's log.
    """
    number, _, name = heading.rpartition(" ")
    code = int(number) if number else None
    compiled = re.compile(pattern.replace("'", r"\\*'"), re.MULTILINE)
    return Rule(code, name, compiled, meaning, remedy, closes or _closes(code), commands, kind, needles_of(pattern))


def _closes(code: int | None) -> Closes | None:
    """What the broker closes: AMQP 0-9-1's soft errors close the channel, its hard errors the connection."""
    if code is None or code in CLOSE_EITHER:
        return None
    return "channel" if code in CLOSE_CHANNEL else "connection"


SHORTEST_NEEDLE = 5


def needles_of(pattern: str) -> tuple[str, ...]:
    """The longest plain text outside of groups of each alternative; () where one alternative has no useful one."""
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
    """The runs of literal characters that every match contains."""
    run = ""
    for token, following in zip(tokens, [*tokens[1:], " "], strict=True):
        plain = "" if following[0] in "?*+{" else _plain(token)
        if not plain:
            yield run
        run = run + plain if plain else ""
    yield run


def _plain(token: str) -> str:
    """The literal character of a token, or '' where it is a class, a special character or a quote."""
    if token.startswith("\\"):
        return "" if token[1].isalnum() else token[1]
    return token if len(token) == 1 and token not in "().^$?*+'" else ""
