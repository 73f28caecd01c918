"""Which findings explain which: the only place where the code of one check says something about another.

A problem names what it is related to, by role: `{"exchange": ("attune.events",), "worker": ("w1",)}`. A row of
`EXPLAINED_BY` lists codes for each role, in order: findings of these checks about these subjects explain the problem.
It becomes a consequence of the first one found, so that one cause gives one finding. The role `subject` is always
given.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

from attune_ops.doctor.findings import Problem

Rows: TypeAlias = Mapping[str, tuple[tuple[str, str], ...]]

# Why nobody consumes from a queue: see `expected_consumers_of` in `_common`, which gives these roles.
NO_CONSUMER = (
    ("queue", "AT403 AT405 AT408 AT407 AT606 AT502 AT505"),
    ("service", "AT405"),
    ("worker queue", "AT403 AT407"),  # all queues of a worker are found under the first of them
    ("worker", "AT409 AT410 AT415"),
    ("consumer", "AT503"),
)

# Why a message does not reach a queue.
NOT_ROUTED = (
    ("route", "AT601"),
    ("exchange", "AT205 AT201"),
    ("vhost", "AT201"),
    ("queue", "AT202"),
    ("missing worker queue", "AT401"),
    ("binding", "AT204 AT402"),
)

EXPLAINED_BY: Rows = {
    "AT105": (("user", "AT117"),),  # the same user, with the command that gives what lacks
    # What is missing
    "AT202": (("vhost", "AT201 AT119"),),
    "AT204": (("vhost", "AT201"), ("source", "AT201"), ("destination", "AT201 AT202 AT504")),
    "AT401": (("vhost", "AT201 AT119"), ("denied feature", "AT702"), ("consumer", "AT503")),
    "AT402": (
        ("source", "AT201"),
        ("missing worker queue", "AT401"),
        ("destination", "AT504 AT206"),  # a declare that fails with 406 comes before bind
        ("base binding", "AT204"),
    ),
    "AT206": (("orphan", "AT407"),),
    # What is there and should not be
    "AT203": (("subject", "AT215 AT211"),),
    "AT213": (("subject", "AT215 AT211"),),
    "AT207": (("destination", "AT407 AT408"), ("subject", "AT208"), ("missing binding", "AT204 AT402")),
    "AT208": (("source", "AT205"),),
    "AT209": (("exchange", "AT412"),),
    # Where messages go
    "AT301": NOT_ROUTED,
    "AT302": NOT_ROUTED,
    "AT303": (("subject", "AT412"), ("exchange", "AT205"), ("binding", "AT207 AT208")),
    "AT304": (*NO_CONSUMER, ("queue", "AT501")),
    "AT305": (("subject", "AT610 AT604 AT201 AT205"), ("binding", "AT603 AT204"), ("destination", "AT202")),
    "AT306": (("queue", "AT605"), ("binding", "AT207")),
    "AT308": (("exchange", "AT305"),),
    "AT307": (("subject", "AT405 AT606 AT510"),),
    # Workers, their consumers and executions
    "AT403": (("consumer", "AT503"), ("subject", "AT417 AT206")),  # a declare that fails with 406 comes before consume
    "AT405": (("consumer", "AT503"), ("subject", "AT206")),
    "AT407": (("queue", "AT408"), ("worker", "AT409 AT410")),
    "AT408": (("subject", "AT403"), ("worker", "AT409")),
    "AT409": (("clock", "AT107"),),
    "AT410": (("clock", "AT107"),),
    "AT412": (("subject", "AT407 AT408 AT206"),),  # a worker's queue
    "AT413": (
        ("clock", "AT107"),
        ("no worker", "AT416"),
        ("queue", "AT401 AT202 AT504"),
        *NO_CONSUMER,
        ("queue", "AT501"),
        ("monitor", "AT418"),
    ),
    "AT414": (("worker", "AT409 AT410"), ("monitor", "AT418")),
    "AT416": (("worker", "AT409 AT410 AT415"),),
    "AT418": (("clock", "AT107"), ("service", "AT405")),
    # Messages that wait
    "AT501": NO_CONSUMER,
    "AT504": (("node", "AT110"),),
    "AT506": NO_CONSUMER,
    "AT508": (("subject", "AT501 AT510 AT511"), *NO_CONSUMER),
    "AT510": NO_CONSUMER,
    "AT511": (("subject", "AT501"), *NO_CONSUMER),
    # The topology itself
    "AT601": (("exchange", "AT610"),),
    "AT602": (("subject", "AT603"), ("route", "AT601")),
    "AT604": (("subject", "AT610"), ("binding", "AT603")),
    "AT609": (("binding", "AT603 AT602"),),
    # The feature that is in use is the one that is denied
    "AT701": (("subject", "AT702 AT703 AT704"),),
}


# Each the code of a check and the name of its one subject.
# With the topology of another release nothing that a check says about the topology's objects is true of the broker.
WRONG_RELEASE = ("AT214", "topology")
# With the registry of another installation no worker of one is a worker of the other.
OTHER_REGISTRY = ("AT118", "workers")
OF_THE_WORKERS = ("AT401", "AT402", "AT403", "AT407", "AT410", "AT413", "AT414", "AT415", "AT416")
# With one of these no command of another finding may be run: the facts are not those of one installation.
MISLEADING = ("AT116", OTHER_REGISTRY[0], WRONG_RELEASE[0])
_ALWAYS: Mapping[str, tuple[str, ...]] = {  # roles that every problem has
    "wrong release": (WRONG_RELEASE[1],),
    "other registry": (OTHER_REGISTRY[1],),
}
OF_THE_TOPOLOGY = ("AT2", "AT3", "AT6", "AT40", "AT412", "AT703")
NOT_OF_THE_TOPOLOGY = ("AT211", "AT214", "AT409")


def root_causes(found: Sequence[tuple[str, Problem]], explained_by: Rows = EXPLAINED_BY) -> list[int]:
    """For each problem, given with its check's code, the position of its root cause, its own where none explains it."""
    # By code, the position of the first problem about each name.
    first: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for i, (code, problem) in enumerate(found):
        positions = first[code]
        positions.setdefault(problem.subject.name, i)
        for other in problem.others:
            positions.setdefault(other.name, i)
    rows = {
        code: [
            (role, there)
            for role, codes in _rows(code, explained_by)
            if (there := [first[c] for c in codes.split() if c in first])
        ]
        for code in first
    }
    up = [_above(i, problem, rows[code]) for i, (code, problem) in enumerate(found)]
    return [above if up[above] == above else _root(i, up) for i, above in enumerate(up)]


def _rows(code: str, explained_by: Rows) -> Iterator[tuple[str, str]]:
    """The rows of a check, the nearest cause first; before all others what makes findings of many checks untrue."""
    if code.startswith(OF_THE_TOPOLOGY) and code not in NOT_OF_THE_TOPOLOGY:
        yield "wrong release", WRONG_RELEASE[0]
    if code in OF_THE_WORKERS:
        yield "other registry", OTHER_REGISTRY[0]
    yield from explained_by.get(code, ())


def _above(position: int, problem: Problem, rows: Sequence[tuple[str, Sequence[Mapping[str, int]]]]) -> int:
    """The position of the problem that explains this one, its own where none does."""
    related = problem.related
    for role, first in rows:
        for name in related[role] if role in related else _given(problem, role):
            for positions in first:
                above = positions.get(name, position)
                if above != position:
                    return above
    return position


def _given(problem: Problem, role: str) -> tuple[str, ...]:
    """What every problem names in a role."""
    return (problem.subject.name,) if role == "subject" else _ALWAYS.get(role, ())


def _root(start: int, up: Sequence[int]) -> int:
    """The end of the chain of causes; of a cycle, which no table should contain, its first member."""
    chain = [start]
    while (above := up[chain[-1]]) != chain[-1]:
        if above in chain:
            return min(chain[chain.index(above) :])
        chain.append(above)
    return chain[-1]
