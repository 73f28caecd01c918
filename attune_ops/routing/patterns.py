"""The regular expressions of policies: PCRE on the broker, searched anywhere in the name, byte by byte.

They are translated for `re`. A pattern that `re` cannot express (recursion, Unicode properties, verbs), or could match
only in exponential time, is `Unreadable`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from math import comb

STEPS = 10_000_000  # PCRE's default match limit: a match that needs more fails

_POSIX = {
    "alnum": "A-Za-z0-9", "alpha": "A-Za-z", "ascii": r"\x00-\x7f", "blank": r" \t", "cntrl": r"\x00-\x1f\x7f",
    "digit": "0-9", "graph": "!-~", "lower": "a-z", "print": " -~", "punct": r"!-/:-@\[-`{-~", "space": r"\t-\r ",
    "upper": "A-Z", "word": r"\w", "xdigit": "0-9A-Fa-f",
}  # fmt: skip
# Escapes spelled otherwise in `re`: outside a class, and as members of one.
_ESCAPES = {
    "z": r"\Z", "Z": r"(?=\n?\Z)", "G": r"\A", "h": r"[ \t\xa0]", "H": r"[^ \t\xa0]", "v": r"[\n-\r\x85]",
    "V": r"[^\n-\r\x85]", "N": r"[^\n]", "R": r"(?:\r\n|[\n-\r\x85])", "e": r"\x1b", "E": "",
}  # fmt: skip
_MEMBERS = {"h": r" \t\xa0", "v": r"\n-\r\x85", "e": r"\x1b", "E": ""}
_SAME = set("dDwWsSbBAnrtfa")
_UNKNOWN = set("pPXCocKgLlUu")

_CLASS_NAME = re.compile(r"\[:(\^?)(\w+):\]")
_QUANTIFIER = re.compile(r"[*+?]|\{\d+(?:,\d*)?\}")
_FLAGS = re.compile(r"\(\?([imsxUJn]*(?:-[imsxUJn]*)?)([:)])")
_NAMED = re.compile(r"\(\?(?:P?<|')([A-Za-z_]\w*)[>']")
_KEPT = re.compile(r"\(\?(?:[:=!>]|<[=!]|P=[A-Za-z_]\w*)")
_REFERENCE = re.compile(r"\\k(?:<(\w+)>|\{(\w+)\}|'(\w+)')")
_HEX = re.compile(r"\\x\{([0-9A-Fa-f]{1,2})\}")


class Unreadable(ValueError):
    """A pattern that cannot be translated; the text says why."""


@lru_cache(maxsize=4096)
def compile_pattern(pattern: str) -> Callable[[str], bool]:
    """A function that searches the pattern in a name. Raises `Unreadable`."""
    reader = _Reader(pattern)
    reader.read()
    try:
        search = re.compile("".join(reader.out).encode()).search
    except (re.error, OverflowError, RecursionError) as e:
        raise Unreadable(str(e)) from None
    repeats, choices = reader.repeats, reader.choices

    def found(name: str) -> bool:
        data = name.encode()
        return comb(len(data) + 1, repeats) * choices <= STEPS and search(data) is not None

    return found


def found_in(pattern: str, name: str) -> bool | None:
    """Whether the pattern is found in the name; None where it cannot be translated."""
    try:
        return compile_pattern(pattern)(name)
    except Unreadable:
        return None


class _Group:
    """An open group: options set inside it, and whether what it matches can vary in length."""

    def __init__(self) -> None:
        self.options: list[str] = []
        self.varies = False
        self.branches = 1


class _Reader:
    """Reads a PCRE pattern from left to right and translates it for `re`."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.at = 0
        self.out: list[str] = []
        self.groups = [_Group()]
        self.closed: _Group | None = None  # the group that ended just before
        # The number of attempts at most: unbounded repeats, and the product of all other choices.
        self.repeats = 0
        self.choices = 1

    def read(self) -> None:
        """Reads it all."""
        while self.at < len(self.pattern):
            character = self.pattern[self.at]
            if character == "\\":
                self._escape()
            elif character == "[":
                self._class()
            elif character == "(":
                self._open()
            elif character in ")|":
                self._close_or_branch(character)
            elif quantifier := _QUANTIFIER.match(self.pattern, self.at):
                self._quantify(quantifier[0])
                continue  # a second quantifier still refers to the group
            elif re.compile(r"\{,\d+\}").match(self.pattern, self.at):
                raise Unreadable("{,n} is text in some PCRE versions and a quantifier in others")
            else:
                self._take(character, "\\" + character if character in "{}" else character)
            if character != ")":
                self.closed = None
        self.out.append(")" * len(self.groups[0].options))

    def _take(self, read: str, written: str) -> None:
        self.at += len(read)
        self.out.append(written)

    def _escape(self) -> None:
        after = self.pattern[self.at + 1 : self.at + 2]
        if after == "Q":
            text = self.pattern[self.at + 2 :].split("\\E", 1)[0]
            self.at += 2
            self._take(text, re.escape(text))
        elif after == "k" and (named := _REFERENCE.match(self.pattern, self.at)):
            self._take(named[0], f"(?P={named[1] or named[2] or named[3]})")
        elif after == "x" and (code := _HEX.match(self.pattern, self.at)):
            self._take(code[0], f"\\x{int(code[1], 16):02x}")
        else:
            self._take(self.pattern[self.at : self.at + 2], _escaped(after, _ESCAPES))

    def _class(self) -> None:
        start = self.at
        self._take("[", "[")
        if self.pattern.startswith("^", self.at):
            self._take("^", "^")
        first = True
        while first or not self.pattern.startswith("]", self.at):
            if self.at >= len(self.pattern):
                raise Unreadable(f"no ] for the [ at {start}")
            self._member()
            first = False
        self._take("]", "]")

    def _member(self) -> None:
        character = self.pattern[self.at]
        if named := _CLASS_NAME.match(self.pattern, self.at):
            if named[2] not in _POSIX or named[1]:
                raise Unreadable(f"the class {named[0]} is not supported")
            self._take(named[0], _POSIX[named[2]])
        elif self.pattern.startswith(("[:", "[.", "[="), self.at):
            raise Unreadable(f"{self.pattern[self.at : self.at + 4]!r} is not supported")
        elif character == "\\":
            if code := _HEX.match(self.pattern, self.at):
                self._take(code[0], f"\\x{int(code[1], 16):02x}")
            else:
                self._take(self.pattern[self.at : self.at + 2], _escaped(self.pattern[self.at + 1 :][:1], _MEMBERS))
        else:
            self._take(character, "\\" + character if character in "[]&|~^" else character)

    def _open(self) -> None:
        if not self.pattern.startswith(("(?", "(*"), self.at):
            self._take("(", "(")
        elif comment := re.compile(r"\(\?#[^)]*\)").match(self.pattern, self.at):
            self._take(comment[0], "")
            return
        elif flags := _FLAGS.match(self.pattern, self.at):
            kept = re.sub(r"[UJn]", "", flags[1]).rstrip("-")
            if flags[2] == ")":  # applies to the end of the group, in later branches too
                self.groups[-1].options.append(f"(?{kept}:")
                self._take(flags[0], f"(?{kept}:")
                return
            self._take(flags[0], f"(?{kept}:")
        elif named := _NAMED.match(self.pattern, self.at):
            self._take(named[0], f"(?P<{named[1]}>")
        elif self.pattern.startswith("(?|", self.at):
            self._take("(?|", "(?:")
        elif kept_as_it_is := _KEPT.match(self.pattern, self.at):
            self._take(kept_as_it_is[0], kept_as_it_is[0])
        else:
            raise Unreadable(f"{self.pattern[self.at : self.at + 4]!r} is not supported")
        self.groups.append(_Group())

    def _close_or_branch(self, character: str) -> None:
        group = self.groups[-1]
        if character == "|":
            group.varies = True
            group.branches += 1
            self._take("|", ")" * len(group.options) + "|" + "".join(group.options))
            return
        if len(self.groups) == 1:
            raise Unreadable("a ) without (")
        self.closed = self.groups.pop()
        self.groups[-1].varies |= group.varies
        self.choices *= group.branches
        self._take(")", ")" * len(group.options) + ")")

    def _quantify(self, quantifier: str) -> None:
        unbounded = quantifier in "*+" or quantifier.endswith(",}")
        if quantifier != "?" and self.closed is not None and self.closed.varies:
            raise Unreadable("a repeated group of variable length may take exponential time")
        self.repeats += unbounded
        if not unbounded:
            least, _, most = ("0", "", "1") if quantifier == "?" else quantifier[1:-1].partition(",")
            self.choices *= max(int(most or least) - int(least), 0) + 1
        self.groups[-1].varies = True
        self._take(quantifier, quantifier)


def _escaped(character: str, spellings: dict[str, str]) -> str:
    """The spelling of an escape in `re`; PCRE treats unknown letters as themselves."""
    if not character:
        raise Unreadable("it ends with a backslash")
    if character in spellings:
        return spellings[character]
    if character in _UNKNOWN:
        raise Unreadable(f"\\{character} is not supported")
    if character in _SAME or character == "x" or character.isdigit():
        return "\\" + character
    return re.escape(character)
