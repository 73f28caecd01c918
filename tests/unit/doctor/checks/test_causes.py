"""The table of causes: its codes are checks, and its roles are those that the checks give."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta

import pytest

from attune_ops.doctor.checks import all_checks
from attune_ops.doctor.checks.causes import EXPLAINED_BY
from attune_ops.doctor.findings import Unknown
from attune_ops.model.facts import Facts
from tests.unit.doctor.checks.firing import CASES
from tests.unit.doctor.checks.test_near_misses import CASES as NEAR_MISSES
from tests.unit.doctor.checks.world import FLAWLESS, W1, bound, healthy, policy, queues, since, without_consumers
from tests.unit.facts import NOW

CODES = {c.code for c in all_checks()}


def roles_given() -> dict[str, set[str]]:
    """The roles that the problems of each check name, over all facts that the tests have."""
    given: dict[str, set[str]] = {}
    for facts, check in ((f, c) for f in every_facts() for c in all_checks() if not c.skip_reason(f)):
        with suppress(Unknown):
            for problem in check.function(facts):
                given.setdefault(check.code, {"subject"}).update(problem.related)
    return given


def every_facts() -> Iterator[Facts]:
    yield from (case.facts for case in CASES)
    yield from NEAR_MISSES.values()
    h, f = healthy(), healthy(FLAWLESS)
    old = NOW - timedelta(hours=1)
    yield policy(queues(without_consumers(h, W1), W1, messages=1, messages_ready=1), "ttl", W1, message_ttl=60_000)
    yield since(h, queues(h, W1, messages=20_000, messages_ready=20_000, head_message_timestamp=old))
    yield queues(
        bound(without_consumers(f, "worker.1.jobs"), "x.dead", "worker.1.jobs", ""), "worker.1.jobs", messages=1
    )


def test_each_code_is_a_check() -> None:
    named = {cause for rows in EXPLAINED_BY.values() for _, codes in rows for cause in codes.split()}
    assert EXPLAINED_BY.keys() | named <= CODES


def test_roles_are_those_that_the_checks_give() -> None:
    given = roles_given()
    expected = {code: {role for role, _ in rows} for code, rows in EXPLAINED_BY.items()}
    assert given.keys() == CODES
    assert {code: roles - given[code] for code, roles in expected.items() if roles - given[code]} == {}
    unused = {code: roles - expected.get(code, set()) - {"subject"} for code, roles in given.items()}
    assert {code: roles for code, roles in unused.items() if roles} == {}


@pytest.mark.parametrize("code", EXPLAINED_BY)
def test_no_check_explains_itself(code: str) -> None:
    assert all(code not in codes.split() for role, codes in EXPLAINED_BY[code] if role == "subject")
