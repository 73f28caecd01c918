"""What looks like trouble and is none: no check says a word about it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from attune_ops.doctor.checks import all_checks
from attune_ops.doctor.findings import CheckStatus, Severity
from attune_ops.model.facts import Facts, Source
from attune_ops.model.snapshot import ConnectionState, ConsumerState, QueueState, UserPermissions
from tests.unit.doctor.checks.world import (
    EVENTS,
    EXECUTIONS,
    FLAWLESS,
    JANUARY,
    NODE,
    SEPTEMBER,
    W1,
    ask,
    between,
    bound,
    change,
    consumer,
    executing,
    execution,
    healthy,
    holding,
    joined,
    more_queues,
    policy,
    queues,
    reaching,
    registered,
    served,
    since,
    stale,
    topology,
    without_consumers,
    without_queues,
)
from tests.unit.facts import NOW, queue, worker

H, S, F = healthy(), healthy(SEPTEMBER), healthy(FLAWLESS)
E1 = H.actual.consumers_of[EXECUTIONS]

CASES = {
    "a full queue that is being read": queues(H, EXECUTIONS, messages=900, messages_ready=900),
    "a queue too young for statistics": queues(without_consumers(H, W1), W1, consumers=None),
    "a consumer that only the queue itself tells of": queues(without_consumers(H, W1), W1, consumers=1),
    "messages held for a while": holding(H, W1, 3, 10),
    "a whole prefetch held for a moment": holding(H, W1, 10, 1),
    "a whole prefetch in two samples, and deliveries between them": between(7, delivered=1),
    "a whole prefetch in two samples that are too close": between(2),
    "a whole prefetch and fewer messages than before": between(7, messages=13, messages_ready=3),
    "a whole prefetch and nothing that waits": between(7, messages=10, messages_ready=0),
    "a burst between two samples": since(H, queues(H, EXECUTIONS, messages=99)),
    "growth of a large backlog by little": since(
        queues(H, EXECUTIONS, messages=9000), queues(H, EXECUTIONS, messages=9500)
    ),
    "growth by little that its consumers process in a second": since(
        queues(H, EXECUTIONS, messages=900, consumed=0), queues(H, EXECUTIONS, messages=950, consumed=7000)
    ),
    "some redeliveries": queues(H, W1, redeliver_rate=4.0, deliver_rate=5.0),
    "executions that wait since a minute": executing(H, execution(1, "scheduled", minutes=1, worker=1)),
    "executions that run": executing(H, execution(1, "running", minutes=600, worker=1)),
    "an execution that runs for long on a live worker": executing(S, execution(1, "running", minutes=600, worker=1)),
    "a concurrency policy that parks executions": executing(S, execution(1, "requested", minutes=600, parked=True)),
    "executions that a concurrency policy parks": executing(H, execution(1, "requested", minutes=600, parked=True)),
    "three replicas of the executor": change(
        H, consumers=(*(H.actual.consumers or ()), *(msgspec.structs.replace(c, connection="c2") for c in E1))
    ),
    "a server-named queue of a replica": bound(
        more_queues(S, QueueState("amq.gen-1", "/", exclusive=True, durable=False, consumers=1, messages=0)),
        "attune.metadata", "amq.gen-1", "metadata.action.changed",
    ),
    "a stopped worker whose queue went with it": without_queues(
        registered(H, worker(1), worker(2), worker(3, status="inactive")), "worker.3.executions"
    ),
    "a sensor, which has no queues": registered(H, worker(1), worker(2), worker(3), worker(4, role="sensor")),
    "a busy worker": registered(H, worker(1, status="busy"), worker(2), worker(3)),
    "an old row that is inactive": registered(H, worker(1), worker(2), worker(3), stale(4, status="inactive")),
    "a policy on other queues": policy(H, "shop", "^shop", max_length=1),
    "an operator policy that sets nothing less": policy(S, "ttl", "^worker", message_ttl=900_000_000),
    "a limit that refuses, on a queue with a dead-letter exchange": policy(
        F, "cap", "x.jobs", max_length=1000, overflow="reject-publish"
    ),
    "a limit that refuses and a limit where nobody reads": policy(
        policy(H, "cap", EXECUTIONS, max_length=1000, overflow="reject-publish"), "all", EVENTS, max_length=10
    ),
    "worker queues that expire when unused for half an hour": policy(S, "gone", "^worker", expires=1_800_000),
    "somebody else's backlog": more_queues(H, queue("shop", messages=50_000, messages_ready=50_000, consumers=0)),
    "somebody else's dead letters": more_queues(H, queue("shop", arguments={"x-dead-letter-exchange": "none"})),
    "somebody else's consumer that holds all it may": change(
        holding(H, W1, 10, 60, messages_ready=3),
        consumers=(*(H.actual.consumers or ()), ConsumerState("/", "shop", "shop", "c9 (1)", "c9", prefetch=10)),
    ),
    "somebody else's consumer on its own queue": joined(more_queues(H, queue("shop")), "shop"),
    "tags that the topology leaves to the broker": change(
        topology(
            H,
            consumers=tuple(
                msgspec.structs.replace(c, tag="") if c.queue == EXECUTIONS else c for c in H.topology.consumers
            ),
        ),
        consumers=tuple(
            msgspec.structs.replace(c, tag="amq.ctag-x") if c.queue == EXECUTIONS else c
            for c in H.actual.consumers or ()
        ),
    ),
    "somebody else's consumer that went": since(
        change(H, consumers=(*(H.actual.consumers or ()), ConsumerState("/", "shop", "shop", connection="c1"))), H
    ),
    "an alarm that has cleared, in older statistics": change(
        H, nodes=(msgspec.structs.replace(NODE, memory_alarm=True, memory_limit=1_000_000),)
    ),
    "a certificate of three weeks": reaching(H, Source.MANAGEMENT, certificate_days=22),
    "a services' user with no more than it needs": served(
        S, configure=r"^(attune\.|worker\.|amq\.gen-)", write=r"^(attune|worker|amq)\.", read="attune|worker|amq.gen"
    ),
    "a services' user with the worker queues by their number": served(
        S, configure=r"^(attune\.|worker\.[0-9]+\.|amq\.gen-)", write=r"^(attune|worker|amq)\.", read=".*"
    ),
    "somebody else's user without permissions": change(
        served(H, configure=".*", write=".*", read=".*"),
        connections=(ConnectionState("c7", "/", "eve"), *(served(H).actual.connections or ())),
        user_permissions=(UserPermissions("eve"), UserPermissions("svc", ".*", ".*", ".*")),
    ),
    "a clock a little off": reaching(H, Source.REGISTRY, clock_offset_s=9.0),
    "dead letters that are being read": queues(F, "x.graveyard", messages=30, consumers=2),
    "a head message of a queue that was emptied": queues(H, EVENTS, messages=0),
    "unroutable messages in the past": change(H, dropped_unroutable=9),
    "a consumer without a registered prefetch": consumer(S, "worker-1", prefetch=6),
}  # fmt: skip


@pytest.mark.parametrize("facts", CASES.values(), ids=CASES.keys())
def test_quiet(facts: Facts) -> None:
    said = [(f.code, f.detail) for f in ask(facts).at_least(Severity.WARNING) if f.group != "design"]
    assert said == []


def _monitored(minutes: float, **worker_changes: Any) -> list[str]:
    """What AT418 says of an execution of worker 1, which is in its status for some minutes."""
    row = worker(1, **{"last_heartbeat": NOW - timedelta(minutes=minutes), **worker_changes})
    facts = executing(registered(healthy(SEPTEMBER), row, worker(2)), execution(1, "running", minutes=600, worker=1))
    return [f.detail for f in ask(facts, *[c for c in all_checks() if c.code == "AT418"]).findings]


@pytest.mark.parametrize(
    ("minutes", "row", "found"),
    [
        (3, {}, False),  # stale after 90 s, abandoned within another 60 s, and 30 s of slack
        (3.1, {}, True),
        (60, {"status": "inactive", "updated": NOW - timedelta(seconds=80)}, False),
        (60, {"status": "inactive", "updated": NOW - timedelta(seconds=100)}, True),
        (60, {"status": "inactive"}, False),  # since when is unknown
        (60, {"status": "busy"}, False),  # the executor leaves it alone
        (60, {"role": "sensor"}, False),
        (60, {"last_heartbeat": None}, False),
    ],
)
def test_an_execution_is_overdue_after_the_monitors_should_have_ended_it(
    minutes: float, row: dict[str, Any], found: bool
) -> None:
    assert bool(_monitored(minutes, **row)) is found


@pytest.mark.parametrize(("minutes", "found"), [(5.5, False), (5.6, True)])
def test_a_scheduled_execution_is_overdue_on_a_live_worker_too(minutes: float, found: bool) -> None:
    facts = executing(healthy(SEPTEMBER), execution(1, "scheduled", minutes=minutes, worker=1))
    report = ask(facts, *[c for c in all_checks() if c.code == "AT418"])
    assert bool(report.findings) is found


def test_a_release_without_monitors_has_none_to_miss() -> None:
    facts = executing(healthy(JANUARY), execution(1, "running", minutes=600, worker=9))
    assert not [f for f in ask(facts).findings if f.code == "AT418"]


@pytest.mark.parametrize(
    ("permissions", "why"),
    [
        ((), "user svc is not in the broker's own user database"),
        ((UserPermissions("svc", r"\Qattune", ".*", ".*"),), "only the broker can match"),
        ((UserPermissions("svc", "(", ".*", ".*"),), "only the broker can match"),
    ],
)
def test_permissions_that_cannot_be_judged_are_skipped(permissions: tuple[UserPermissions, ...], why: str) -> None:
    facts = change(served(H), user_permissions=permissions)
    (result,) = ask(facts, *[c for c in all_checks() if c.code == "AT117"]).results
    assert (result.status, why in (result.reason or "")) == (CheckStatus.SKIPPED, True)


@pytest.mark.parametrize(
    ("code", "facts", "pattern", "definition", "there"),
    [
        ("AT606", H, EVENTS, {"max_length": 9000}, False),
        ("AT606", H, EVENTS, {"dead_letter_exchange": "attune.dlx"}, True),
        ("AT606", H, "^other", {"max_length": 9000}, True),
        ("AT608", S, r"^worker\.", {"expires": 1_800_000}, False),
        ("AT608", S, r"^worker\.1\.", {"expires": 1_800_000}, True),  # worker 2 has such queues, too
        ("AT608", S, r"^worker\.", {"max_length": 9000}, True),
        ("AT611", H, r"^worker\.", {"dead_letter_exchange": "attune.dlx"}, False),
        ("AT611", H, r"^worker\.1\.", {"dead_letter_exchange": "attune.dlx"}, True),
        ("AT611", H, r"^worker\.", {"dead_letter_routing_key": "#"}, True),
    ],
)
def test_a_setting_of_a_policy_counts_where_all_such_queues_have_it(
    code: str, facts: Facts, pattern: str, definition: dict[str, Any], there: bool
) -> None:
    found = ask(policy(facts, "limit", pattern, **definition), *[c for c in all_checks() if c.code == code]).findings
    assert bool([f for f in found if code != "AT606" or f.subject.name == EVENTS]) is there


def test_the_remedy_names_the_queue_that_the_dead_letters_reach() -> None:
    """Another key of the exchange leads elsewhere, and a queue that is not there gets none."""
    facts = bound(healthy(SEPTEMBER), "attune.dlx", EVENTS, "other")
    found = ask(bound(facts, "attune.dlx", "gone", "#"), *[c for c in all_checks() if c.code == "AT603"]).findings
    (finding,) = [f for f in found if "attune.dlx.queue" in f.subject.name]
    assert "attune.dlx then routes them to attune.dlx.queue." in finding.remedy
