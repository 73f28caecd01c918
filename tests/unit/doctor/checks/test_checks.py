"""Every check fires on what it is for, names it, and is quiet on what is well."""

from __future__ import annotations

import re

import pytest

from attune_ops.doctor.checks import GROUPS, all_checks
from attune_ops.doctor.findings import Check, CheckStatus, Severity
from attune_ops.model.facts import Facts
from tests.unit.doctor.checks.firing import CASES, Case
from tests.unit.doctor.checks.world import FLAWLESS, JANUARY, SEPTEMBER, ask, healthy

BY_CODE = {c.code: c for c in all_checks()}


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c.code}-{c.what}")
def test_fires(case: Case) -> None:
    report = ask(case.facts, BY_CODE[case.code])
    (result,) = report.results
    assert result.status is CheckStatus.FAILED, result.reason
    (finding,) = [f for f in report.findings if (f.subject.kind, f.subject.name) == (case.kind, case.name)]
    assert finding.severity is case.severity
    assert case.says in finding.detail
    assert finding.remedy


def test_each_check_has_a_firing_case() -> None:
    assert {c.code for c in CASES} == set(BY_CODE)


@pytest.mark.parametrize(
    "facts", [healthy(FLAWLESS), healthy(JANUARY), healthy(SEPTEMBER)], ids=lambda f: f.topology.name
)
@pytest.mark.parametrize("check", [c for c in all_checks() if c.group not in ("design",)], ids=lambda c: c.code)
def test_quiet_on_a_healthy_system(check: Check, facts: Facts) -> None:
    report = ask(facts)
    (result,) = [r for r in report.results if r.code == check.code]
    assert result.status in (CheckStatus.PASSED, CheckStatus.FAILED), result.reason
    assert [f.detail for f in report.findings if f.code == check.code] == []


@pytest.mark.parametrize("check", [c for c in all_checks() if c.group == "design"], ids=lambda c: c.code)
def test_quiet_on_a_flawless_topology(check: Check) -> None:
    assert ask(healthy(FLAWLESS), check).findings == ()


def test_a_flawless_installation_is_healthy() -> None:
    report = ask(healthy(FLAWLESS))
    assert report.status == "healthy"
    assert report.findings == ()
    assert report.not_run == ()


@pytest.mark.parametrize("check", all_checks(), ids=lambda c: c.code)
def test_catalogue(check: Check) -> None:
    assert GROUPS[int(check.code[2]) - 1] == check.group
    assert re.fullmatch(r"AT[1-9]\d\d", check.code)
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", check.name)
    assert len(check.title) <= 64, "it stands on one line of 80 columns"
    assert not check.title.endswith(".")
    assert len(check.explanation.split()) > 15
    assert check.severity in Severity


def test_names_are_unique() -> None:
    names = [c.name for c in all_checks()]
    assert len(set(names)) == len(names)
    assert not set(names) & set(GROUPS)
