"""No check passes that did not read what it is about: with its problem there, and one source away, none says ok."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from attune_ops.doctor.checks import all_checks
from attune_ops.doctor.diagnose import diagnose
from attune_ops.doctor.findings import CheckStatus
from attune_ops.model.facts import Facts, Source, with_topology
from attune_ops.model.snapshot import BrokerSnapshot, ExchangeState, NodeState, QueueState
from attune_ops.model.topologies import candidates
from tests.unit.doctor.checks.firing import CASES
from tests.unit.doctor.checks.world import FLAWLESS, change, healthy

replace = msgspec.structs.replace
CHECKS = {c.code: c for c in all_checks()}

OF_THE_API = tuple(s for s in Source if s not in (Source.AMQP, Source.REGISTRY, Source.EXECUTIONS, Source.ASSIGNMENTS))
GO_TOGETHER = {
    Source.MANAGEMENT: OF_THE_API,
    Source.REGISTRY: (Source.REGISTRY, Source.EXECUTIONS, Source.ASSIGNMENTS),
    Source.BROKER: (Source.BROKER, Source.DEPTHS),
}
MEMBERS = {
    Source.BROKER: ("exchanges", "queues", "bindings", "policies"),
    Source.CONSUMERS: ("consumers",),
    Source.CONNECTIONS: ("connections", "channels"),
    **{s: (s.value,) for s in (Source.NODES, Source.ALARMS, Source.DEAD_LETTERED)},
    **{s: (s.value,) for s in (Source.DEPRECATED, Source.USER_PERMISSIONS)},
}
# It looked at the other of its two sources.
LOOKED_ELSEWHERE = {
    ("registry", "AT503", "by name"),  # at two samples
    ("earlier", "AT503", "between samples"),  # at the registry and the connections' names
}


def both(facts: Facts, change: Callable[[BrokerSnapshot], BrokerSnapshot]) -> Facts:
    """The facts with a change to the broker in both samples."""
    samples = (b and change(b) for b in (facts.broker, facts.earlier))
    return replace(facts, **dict(zip(("broker", "earlier"), samples, strict=True)))


def without(facts: Facts, source: Source) -> Facts:
    """The facts as they are read where the source does not answer."""
    gone = GO_TOGETHER.get(source, (source,))
    missing = {**facts.missing, **{s: f"no {s.label}" for s in gone}}
    reach = tuple(
        replace(r, error="refused", latency_ms=None, tags=None, permissions=None, clock_offset_s=None,
                certificate_days=None, cluster=None)
        if r.source is source
        else replace(r, permissions=None) if source is Source.PERMISSIONS else r
        for r in facts.reach
    )  # fmt: skip
    facts = replace(facts, missing=missing, reach=reach)
    if source is Source.MANAGEMENT:
        return replace(facts, broker=None, earlier=None)
    if source is Source.EARLIER:
        return replace(facts, earlier=None)
    if source is Source.REGISTRY:
        return replace(facts, registry=None)
    if facts.registry is not None and source in (Source.EXECUTIONS, Source.ASSIGNMENTS):
        change = {"executions": None} if source is Source.EXECUTIONS else {"assigned": False}
        return replace(facts, registry=replace(facts.registry, **change))
    return both(facts, lambda b: replace(b, **dict.fromkeys(MEMBERS.get(source, ()))))


def statistics_off(facts: Facts) -> Facts:
    """As with `management_agent.disable_metrics_collector`."""
    known = ("name", "vhost", "type", "durable", "auto_delete", "exclusive", "arguments", "policy", "operator_policy",
             "effective_policy", "node", "state", "messages", "messages_ready", "messages_unacknowledged")  # fmt: skip

    def bare(q: QueueState) -> QueueState:
        return QueueState(**{name: getattr(q, name) for name in known})

    off = {"consumers": None, "connections": None, "channels": None, "dropped_unroutable": None}
    facts = replace(facts, missing=facts.missing | dict.fromkeys((Source.CONSUMERS, Source.CONNECTIONS), "off"))
    return both(
        facts, lambda b: replace(b, **off, statistics_disabled=True, queues=tuple(map(bare, b.queues or ())) or None)
    )


def no_numbers_of_nodes(facts: Facts) -> Facts:
    """As of nodes that do not report to this one."""

    def bare(n: NodeState) -> NodeState:
        return NodeState(n.name, n.running, partitions=n.partitions)

    return both(facts, lambda b: replace(b, nodes=b.nodes and tuple(map(bare, b.nodes))))


AWAY: dict[str, Callable[[Facts], Facts]] = {
    **{s.value: lambda facts, s=s: without(facts, s) for s in Source},  # type: ignore[misc]
    "statistics": statistics_off,
    "version": lambda facts: both(facts, lambda b: replace(b, version=None)),
    "policies": lambda facts: both(facts, lambda b: replace(b, policies=None)),
    "numbers of nodes": no_numbers_of_nodes,
}


@pytest.mark.parametrize("source", AWAY)
def test_no_check_passes_that_did_not_look(source: str) -> None:
    passed, skipped = set(), set()
    for case in CASES:
        (result,) = diagnose(AWAY[source](case.facts), [CHECKS[case.code]]).results
        assert result.status is not CheckStatus.CRASHED, f"{case.code}: {result.reason}"
        if result.status is CheckStatus.PASSED:
            passed.add((source, case.code, case.what))
        if result.status is CheckStatus.SKIPPED:
            assert result.reason
            skipped.add(case.code)
    assert passed == {found for found in LOOKED_ELSEWHERE if found[0] == source}
    assert skipped, "nothing needs it: the facts are not those of a source that is away"


def test_where_nothing_of_attune_is_only_what_is_true_of_any_broker_is_checked() -> None:
    theirs = change(
        healthy(),
        exchanges=(ExchangeState("theirs", "/", "topic"),),
        queues=(QueueState("theirs", "/", messages=20_000, consumers=0),),
        bindings=(),
        consumers=(),
    )
    report = diagnose(with_topology(theirs, candidates(), given=False))
    assert "AT501" in [f.code for f in report.findings], "their backlog can fill the disk"
    reasons = {r.code: r.reason for r in report.results}
    for check in CHECKS.values():
        assert (reasons[check.code] == "no Attune topology in virtual host /") is not check.any_broker, check.code


@pytest.mark.parametrize(("code", "status"), [("AT507", "unknown"), ("AT508", "healthy"), ("AT509", "healthy")])
def test_a_check_that_is_optional_may_be_skipped(code: str, status: str) -> None:
    facts = healthy(FLAWLESS)
    for seen, outcome, overall in (
        (facts, CheckStatus.PASSED, "healthy"),
        (statistics_off(facts), CheckStatus.SKIPPED, status),
    ):
        report = diagnose(seen, [CHECKS[code]])
        assert [r.status for r in report.results] == [outcome]
        assert report.status == overall
