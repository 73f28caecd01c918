"""The order of findings: by severity, then what an operator fixes first, and last what no live worker needs."""

from __future__ import annotations

import msgspec
import pytest

from attune_ops.doctor.findings import Finding, Severity, Subject, SubjectKind
from attune_ops.doctor.urgency import worst_first
from attune_ops.model.facts import Facts
from tests.unit.doctor.checks.world import EVENTS, healthy, stale
from tests.unit.facts import worker

FACTS = healthy(workers=(worker(1), stale(2)))
LIVE, DEAD = "worker.1.executions", "worker.2.executions"
NO_REGISTRY = msgspec.structs.replace(FACTS, registry=None)


def finding(code: str, kind: SubjectKind, name: str, severity: Severity = Severity.WARNING) -> Finding:
    return Finding(code, "made-up", "flow", severity, Subject(kind, name), "title", "detail", {}, "", ())


def order(findings: list[Finding], facts: Facts = FACTS) -> list[tuple[str, str]]:
    return [(f.code, f.subject.name) for f in worst_first(findings, facts)]


@pytest.mark.parametrize(
    ("facts", "kind", "name", "is_last"),
    [
        (FACTS, "queue", DEAD, True),
        (FACTS, "queue", LIVE, False),
        (FACTS, "queue", EVENTS, False),
        (FACTS, "binding", DEAD, False),
        (NO_REGISTRY, "queue", DEAD, False),
        (NO_REGISTRY, "queue", LIVE, False),
    ],
)
def test_a_queue_of_a_worker_that_is_not_live_comes_after_all_others(
    facts: Facts, kind: SubjectKind, name: str, is_last: bool
) -> None:
    """AT201 is more urgent than AT601, unless no live worker needs that queue."""
    found = [("AT601", "other"), ("AT201", name)] if is_last else [("AT201", name), ("AT601", "other")]
    findings = [finding("AT201", kind, name), finding("AT601", "exchange", "other")]
    assert order(findings, facts) == order(findings[::-1], facts) == found


@pytest.mark.parametrize("code", ["AT407", "AT408", "AT412"])
def test_what_workers_left_behind_comes_after_all_others(code: str) -> None:
    findings = [finding(code, "worker", "w2"), finding("AT601", "exchange", "other"), finding("AT409", "worker", "w3")]
    assert order(findings) == [("AT409", "w3"), ("AT601", "other"), (code, "w2")]


def test_the_severity_comes_before_the_urgency() -> None:
    findings = [finding("AT101", "user", "u"), finding("AT201", "queue", DEAD, Severity.ERROR)]
    assert order(findings) == [("AT201", DEAD), ("AT101", "u")]


def test_the_longer_beginning_of_a_code_decides() -> None:
    """AT214 comes first, AT117 before the other codes of its hundred, and a code of no kind last."""
    codes = ["AT900", "AT601", "AT299", "AT401", "AT201", "AT199", "AT117", "AT101", "AT214"]
    assert [code for code, _ in order([finding(c, "exchange", "x") for c in codes])] == codes[::-1]
