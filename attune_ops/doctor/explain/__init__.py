"""Explains an error of a broker or client, in general and on this installation.

`explain` reads any text that quotes an error: one line, a stack trace, a whole log of any client or of the broker.
It does not connect; `Facts` hold the state of the installation.
"""

from __future__ import annotations

import shlex
from collections import defaultdict
from typing import TYPE_CHECKING

from attune_ops.doctor.explain.explanation import Explanation, Explanations
from attune_ops.doctor.explain.local_facts import local_facts, permission_patterns
from attune_ops.doctor.explain.occurrence import Occurrence, find
from attune_ops.model.facts import Facts, Source
from attune_ops.model.startup_progress import Step

if TYPE_CHECKING:
    from attune_ops.installation.config import Settings


def explain(text: str, facts: Facts | None = None, skipped: tuple[Step, ...] = ()) -> tuple[Explanation, ...]:
    """Explains every error in a text, equal errors once with their count, most frequent first.

    With `facts` each explanation adds the state of that installation; `skipped` are start-up steps that were skipped.
    """
    groups: dict[tuple[object, ...], list[Occurrence]] = defaultdict(list)
    for occurrence in find(text):
        groups[occurrence.key].append(occurrence)
    made = [_explanation(same[0], len(same), facts, skipped) for same in groups.values()]
    return tuple(sorted(made, key=lambda e: (-e.count, e.line)))


def explain_live(settings: Settings, text: str) -> Explanations:
    """Explains every error in a text, and compares each with the installation as it is now.

    Reads broker and registry if the text has an error, needs tag monitoring, changes nothing.
    """
    if not explain(text):
        return Explanations(())
    from attune_ops.installation.collect import collect

    facts = collect(settings)
    reason = facts.missing_reason((Source.BROKER,))
    where = f"{settings.amqp} at {facts.taken_at:%Y-%m-%d %H:%M:%S} UTC"
    checked = f"not checked against the broker: {reason}" if reason else f"checked against {where}"
    return Explanations(explain(text, facts), checked)


def _explanation(first: Occurrence, count: int, facts: Facts | None, skipped: tuple[Step, ...]) -> Explanation:
    words = _Words(first.groups)
    rule = first.rule
    meaning = rule.meaning.format_map(words)
    quoted = _Quoted(first.groups | permission_patterns(first, facts))
    return Explanation(
        code=rule.code,
        name=rule.name,
        text=first.text,
        meaning=meaning[0].upper() + meaning[1:],
        remedy=rule.remedy.format_map(words),
        closes=rule.closes,
        operation=first.operation,
        subject=first.groups.get("subject"),
        argument=first.groups.get("argument"),
        wanted=first.groups.get("wanted"),
        found=first.groups.get("found"),
        here=local_facts(first, facts, skipped),
        commands=tuple(c.format_map(quoted) for c in rule.commands),
        count=count,
        line=first.line,
    )


class _Words(dict[str, str]):
    """The parts of an error's wording for a sentence; a part that the wording lacks is "not reported"."""

    def __missing__(self, key: str) -> str:
        return "" if key in ("why", "term", "subject") else "not reported"


class _Quoted(dict[str, str]):
    """The same, quoted for a shell command; an unknown part stays a placeholder."""

    def __getitem__(self, key: str) -> str:
        return shlex.quote(super().__getitem__(key)) if key in self else key.upper()
