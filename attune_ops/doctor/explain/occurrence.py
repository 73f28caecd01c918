"""Finds the errors in a text of any source: pika, lapin, another client, or the broker's own log."""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from attune_ops.doctor.explain import access, attune, connection, general, lapin, precondition_failed
from attune_ops.doctor.explain.rule import Rule

# Where two rules match the same text, the first one wins.
_SENTENCES = (*access.RULES, *precondition_failed.RULES, *connection.RULES, *general.RULES)
RULES: tuple[Rule, ...] = (*attune.RULES, *_SENTENCES, *lapin.rules(_SENTENCES))

# AMQP 0-9-1's own numbers, as lapin's log gives them.
_METHODS = {
    (10, 40): "connection.open", (20, 10): "channel.open", (40, 10): "exchange.declare", (40, 20): "exchange.delete",
    (40, 30): "exchange.bind", (50, 10): "queue.declare", (50, 20): "queue.bind", (50, 30): "queue.purge",
    (50, 40): "queue.delete", (50, 50): "queue.unbind", (60, 10): "basic.qos", (60, 20): "basic.consume",
    (60, 30): "basic.cancel", (60, 40): "basic.publish", (60, 70): "basic.get", (60, 80): "basic.ack",
    (60, 90): "basic.reject", (60, 120): "basic.nack", (85, 10): "confirm.select",
}  # fmt: skip

_OPERATION = re.compile(r"operation ([a-z]+\.[a-z-]+) caused a (?:channel|connection) exception \w+: \"?$")
_CLASS = re.compile(r"class[_-]id[:=] ?(\d+)")
_METHOD = re.compile(r"method[_-]id[:=] ?(\d+)")
_PREFIX = re.compile(r"\b[A-Z]+(?:_[A-Z]+)* - $")
_REPEATED = re.compile(r"message: ShortString\(\"(?:[A-Z_]+ - )?$")  # lapin prints each error twice
_REPEATED_WITHIN = 12  # lines

_BEFORE, _AFTER = 600, 1600  # characters around a needle that contain any match: names have 255 bytes at most


class Occurrence(msgspec.Struct, frozen=True):
    """One error at one position of a text; `groups` are the parts of its wording."""

    rule: Rule
    text: str
    line: int
    groups: dict[str, str]
    operation: str | None = None

    @property
    def kind(self) -> str:
        """The kind of the subject: `queue`, `exchange`, or another."""
        return self.groups.get("kind") or self.rule.kind

    @property
    def key(self) -> tuple[object, ...]:
        """Equal for two occurrences of the same error."""
        return (self.rule.code, self.rule.name, self.rule.meaning, tuple(sorted(self.groups.items())), self.operation)


def find(text: str) -> tuple[Occurrence, ...]:
    """Every error of a text in its order, once for each log entry."""
    found: list[Occurrence] = []
    counter = _Lines(text)
    for rule, match in _without_overlaps(text):
        occurrence = _occurrence(rule, match, text, counter.line_of(match.start()))
        if found and _adds_operation(found[-1], occurrence):
            found[-1] = occurrence
        elif not found or not _is_repetition(occurrence, match, text, found[-1]):
            found.append(occurrence)
    return tuple(found) or _by_number(text)


def _without_overlaps(text: str) -> Iterator[tuple[Rule, re.Match[str]]]:
    """The matches in the order of the text; of two that overlap the one of the earlier rule."""
    matches = [
        (rank, rule, match)
        for rank, rule in enumerate(RULES)
        for start, stop in _regions(text, rule.needles)
        for match in rule.pattern.finditer(text, start, stop)
    ]
    matches.sort(key=lambda t: (t[2].start(), t[0]))
    kept: list[tuple[int, Rule, re.Match[str]]] = []
    for rank, rule, match in matches:
        if kept and match.start() < kept[-1][2].end():
            if rank < kept[-1][0]:
                kept[-1] = (rank, rule, match)
            continue
        kept.append((rank, rule, match))
    for _, rule, match in kept:
        yield rule, match


def _regions(text: str, needles: tuple[str, ...]) -> list[tuple[int, int]]:
    """The parts of a text, in whole lines, in which a rule can match: a log is large, and its errors are few."""
    if not needles:
        return [(0, len(text))]
    found: list[tuple[int, int]] = []
    for hit in sorted(_hits(text, needles)):
        start = text.rfind("\n", 0, max(0, hit - _BEFORE)) + 1
        stop = text.find("\n", hit + _AFTER)
        stop = len(text) if stop < 0 else stop
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], stop)
        else:
            found.append((start, stop))
    return found


def _hits(text: str, needles: tuple[str, ...]) -> Iterator[int]:
    for needle in needles:
        at = text.find(needle)
        while at >= 0:
            yield at
            at = text.find(needle, at + 1)


def _occurrence(rule: Rule, match: re.Match[str], text: str, line: int) -> Occurrence:
    before = text[max(0, match.start() - 120) : match.start()]
    prefix = _PREFIX.search(before)
    whole = (prefix[0] if prefix else "") + match[0]
    return Occurrence(
        rule=rule,
        text=whole.replace("\\'", "'").replace('\\"', '"').strip(),
        line=line,
        groups={name: value.strip() for name, value in match.groupdict().items() if value},
        operation=_operation(before, text[match.end() : match.end() + 200]),
    )


def _operation(before: str, after: str) -> str | None:
    logged = _OPERATION.search(before)
    if logged:
        return logged[1]
    class_id, method_id = _CLASS.search(after), _METHOD.search(after)
    return _METHODS.get((int(class_id[1]), int(method_id[1]))) if class_id and method_id else None


def _is_repetition(occurrence: Occurrence, match: re.Match[str], text: str, last: Occurrence) -> bool:
    """Whether this is the previous error repeated: on the same line, or in the second half of lapin's entry.

    Two client errors without a code on one line are one error: the second is the cause of the first.
    """
    if last.line == occurrence.line and last.rule.code is occurrence.rule.code is None:
        return True
    if not _same(last, occurrence):
        return False
    if last.line == occurrence.line:
        return True
    repeated = _REPEATED.search(text[max(0, match.start() - 60) : match.start()])
    return bool(repeated) and last.operation is not None and occurrence.line - last.line <= _REPEATED_WITHIN


def _adds_operation(last: Occurrence, occurrence: Occurrence) -> bool:
    """Whether the broker's log reported a deprecated feature first, and now the operation that it refused."""
    near = occurrence.line - last.line <= _REPEATED_WITHIN
    return near and _same(last, occurrence) and last.operation is None and occurrence.operation is not None


def _same(last: Occurrence, occurrence: Occurrence) -> bool:
    return (last.rule, last.groups) == (occurrence.rule, occurrence.groups)


_OF_AMQP = re.compile(
    r"amqp|pika|lapin|rabbit|broker|reply|code|error|exception|channel|connection|closed", re.IGNORECASE
)
_NUMBER = re.compile(r"(?<![\d.:])(3\d\d|4\d\d|5\d\d)(?![\d.:])")


def _by_number(text: str) -> tuple[Occurrence, ...]:
    """A bare reply code ("404"), where a short text contains nothing else but words like "reply code"."""
    if len(text) > 200 or not all(_OF_AMQP.search(word) for word in re.findall(r"[A-Za-z]+", text)):
        return ()  # "404 Not Found" of an HTTP server, an execution's id
    by_code = {rule.code: rule for rule in RULES}  # the last one of a code is the most general
    numbers = (m[1] for m in _NUMBER.finditer(text))
    rules = [by_code[int(n)] for n in dict.fromkeys(numbers) if int(n) in by_code]
    return tuple(Occurrence(rule, text.strip(), 1, {}) for rule in rules)


class _Lines:
    """Line numbers of growing offsets, counted once through the text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._offset = 0
        self._line = 1

    def line_of(self, offset: int) -> int:
        """The number of the line, from 1, that contains `offset`."""
        self._line += self._text.count("\n", self._offset, offset)
        self._offset = offset
        return self._line
