"""Problems of one check with one cause become one finding: with a count, the first names and the range.

The only place that puts problems together. A check does it itself by `merged`, where it knows the cause better than
the text does; `alike` does it for all others, after it is known which findings explain which.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeAlias

import msgspec

from attune_ops.doctor.findings import Finding, Problem, Severity
from attune_ops.model import command_lines
from attune_ops.model.command_lines import CommandLine
from attune_ops.model.facts import Facts
from attune_ops.model.units import counted, spanned

SEVERAL = 3  # so many problems with one cause are one finding
PRINTED = 5  # commands of one finding, where no single one fixes all
PLURAL = {"registry": "registries", "policy": "policies", "operator policy": "operator policies"}
# What can differ between workers with the same problem: amounts, which stand alone, and the id in a name.
_NUMBERS = re.compile(r"(?<![^ (+−])(?P<amount>\d(?:[\d,.]*\d)?)(?![\w.'-]*\w)(?P<unit> \w+)?|\d+")

Found: TypeAlias = tuple[Problem, Finding]


def merged(
    found: Iterable[tuple[object, Problem]],
    describe: Callable[[Sequence[Problem]], str],
    commands: Callable[[Sequence[Problem]], tuple[CommandLine, ...]] = lambda _: (),
) -> Iterator[Problem]:
    """The problems; three or more with the same key and severity become one, with what each of them says as evidence.

    `describe` gives the sentence about all of them, `commands` the commands that fix them together.
    """
    groups: dict[tuple[object, Severity | None], list[Problem]] = {}
    for key, problem in found:
        groups.setdefault((key, problem.severity), []).append(problem)
    for problems in groups.values():
        yield from problems if len(problems) < SEVERAL else (_one(problems, describe(problems), commands(problems)),)


def alike(facts: Facts, found: Sequence[Found]) -> Iterator[list[Found]]:
    """The findings by cause, with their problems: those of one check, severity and cause together.

    They have one cause where the check says so (`Problem.alike`), or where they are of workers and say the same but
    for the worker and amounts. Where that is not known, a finding stands alone.
    """
    groups: dict[object, list[Found]] = {}
    numbers = Counter(finding.code for _, finding in found)
    for i, (problem, finding) in enumerate(found):
        same = _cause(facts, problem) if numbers[finding.code] >= SEVERAL and not problem.others else None
        key = i if same is None else (finding.code, finding.severity, problem.subject.kind, problem.remedy, same)
        groups.setdefault(key, []).append((problem, finding))
    for several in groups.values():
        yield from [several] if len(several) >= SEVERAL else ([one] for one in several)


def together(problems: Sequence[Problem]) -> Problem:
    """Problems with one cause as one: what the first says, how many there are, and the commands for all."""
    first, kind = problems[0], problems[0].subject.kind
    named = [_named(p) for p in problems]
    depths = [p.evidence.get("messages") for p in problems]
    depth = sum(n for n in depths if isinstance(n, int))
    message = (
        f"{counted(sum(map(len, named)), kind, PLURAL.get(kind))} alike: {first.message}; also "
        + spanned([name for names in named[1:] for name in names])
        + (f"; {counted(depth, 'message')} in all" if depth else "")
    )
    return _one(problems, message, _commands(problems))


def _named(problem: Problem) -> Sequence[str]:
    """What a problem is about, by name: one of several executions of a worker stands for them."""
    if problem.subject.kind == "execution":
        return [str(i) for i in problem.evidence.get("executions", (problem.subject.name,))]
    return (problem.subject.name,)


def names_of(problems: Sequence[Problem]) -> str:
    """The workers of these problems, by the `name` in the evidence, as a list with its range."""
    return spanned(dict.fromkeys(str(p.evidence["name"]) for p in problems))


def _one(problems: Sequence[Problem], message: str, commands: tuple[CommandLine, ...]) -> Problem:
    roles = dict.fromkeys(role for p in problems for role in p.related)
    related = {r: dict.fromkeys(name for p in problems for name in p.related.get(r, ())) for r in roles}
    commands = commands if any(p.commands for p in problems) else ()
    printed = _printed(problems, commands)
    left = len(commands) - len(printed)
    return msgspec.structs.replace(
        problems[0],
        message=message,
        cause="",
        evidence={"count": len(problems), "each": [_each(p) for p in problems]},
        remedy=problems[0].remedy + (f" {left:,} more commands: --format json --full." if left else ""),
        commands=printed,
        related={role: tuple(names) for role, names in related.items()},
        others=tuple(p.subject for p in problems[1:]),
    )


def _printed(problems: Sequence[Problem], commands: tuple[CommandLine, ...]) -> tuple[CommandLine, ...]:
    """All the commands, or those of the first problems: each with all of its own, which belong together."""
    if len(commands) <= PRINTED:
        return commands
    printed = dict.fromkeys(problems[0].commands)
    for problem in problems[1:]:
        if len(printed | dict.fromkeys(problem.commands)) > PRINTED:
            break
        printed |= dict.fromkeys(problem.commands)
    return tuple(printed)


def _each(problem: Problem) -> dict[str, Any]:
    commands = {"commands": [str(c) for c in problem.commands]} if problem.commands else {}
    return {"subject": problem.subject.name, "detail": problem.message, **problem.evidence, **commands}


def _commands(problems: Sequence[Problem]) -> tuple[CommandLine, ...]:
    """The commands that fix all of them: one where one does it."""
    every = tuple(dict.fromkeys(c for p in problems for c in p.commands))
    reaped = [q for p in problems for q in p.evidence.get("queues", (p.subject.name,))]
    if every and set(every) == {command_lines.reap(q) for q in reaped}:
        return (command_lines.reap(*reaped),)
    return every


def _cause(facts: Facts, problem: Problem) -> object:
    """What is the same for problems with one cause, or None where it is not known."""
    if problem.alike is not None:
        return problem.alike
    owner = _owner(facts, problem)
    if owner is None:
        return None
    worker = facts.worker_named.get(owner)
    texts = [problem.subject.name, problem.message, problem.cause]
    if worker is not None:
        texts = [re.sub(rf"(?<!\w){re.escape(worker.name)}(?!\w)", "{name}", t) for t in texts]
    return tuple(_NUMBERS.sub(lambda m: _same(m, str(owner)), t) for t in texts)


def _same(number: re.Match[str], owner: str) -> str:
    """What stands for a number in the key: nothing of an amount, the id of the worker alike, others as they are."""
    if number["amount"]:
        return "#" + (number["unit"] or "").removesuffix("s")
    return "{id}" if number[0] == owner else number[0]


def _owner(facts: Facts, problem: Problem) -> int | None:
    """The id of the worker that a problem is about."""
    worker = problem.evidence.get("worker")
    if isinstance(worker, int):
        return worker
    name = problem.subject.name if problem.subject.kind == "queue" else problem.evidence.get("queue")
    owner = facts.topology.worker_of(name) if isinstance(name, str) else None
    return None if owner is None else owner[0]
