"""A rule: how one kind of error is worded, and what it means."""

from __future__ import annotations

import re

import msgspec

from attune_ops.explanation import Closes

# What stands in quotes in the broker's sentences. A name may hold anything, also a newline or a quote, but the
# sentence itself does not begin anew inside it; `cut` is a name that the broker's limit of 255 bytes cut off.
NAME = r"(?P<subject>(?:(?!\bno (?:queue|exchange) ')[\s\S]){0,260}?)"
SOME = r"[^\n]{0,260}?"
USER = r"for user '(?P<user>[^'\n]*)'"
VHOST = r"in vhost '(?P<vhost>[^\n]{0,260}?)'(?=[\s\"'.:,;)\]}\\]|$)"


class Rule(msgspec.Struct, frozen=True):
    """One kind of error.

    `pattern` matches the sentence that every client quotes, whatever is around it. `meaning`, `remedy` and
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
    return Rule(code, name, compiled, meaning, remedy, closes, commands, kind)
