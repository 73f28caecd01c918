"""What the problems of a check say, number for number, and which other findings may explain them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from attune_ops.doctor.checks import all_checks
from attune_ops.doctor.checks._common import expected_consumers_of
from attune_ops.doctor.checks.reach import DRIVER
from attune_ops.doctor.checks.unexpected_bindings import LISTED
from attune_ops.doctor.checks.upgrade import target_note
from attune_ops.doctor.diagnose import diagnose
from attune_ops.doctor.findings import NotRead, Problem, Severity, Unknown
from attune_ops.inventory.workers import workers
from attune_ops.model.command_lines import bind, binding, consumers, exchange, reap, retire, safety_policy
from attune_ops.model.facts import Facts, Source, changed, with_topology
from attune_ops.model.passive import PassiveReading
from attune_ops.model.registry import Worker
from attune_ops.model.snapshot import (
    BindingState,
    ChannelState,
    ConnectionState,
    ConsumerState,
    ExchangeState,
    PolicyState,
    UserPermissions,
)
from attune_ops.model.topologies import candidates
from attune_ops.model.topology import Binding, Exchange, Per, Publish, Queue
from attune_ops.monitoring.metrics import families
from tests.unit.doctor.checks.firing import quorum
from tests.unit.doctor.checks.world import (
    EVENTS,
    EXECUTIONS,
    FLAWLESS,
    JANUARY,
    NODE,
    NOTIFICATIONS,
    REQUESTS,
    SEPTEMBER,
    W1,
    ask,
    bound,
    change,
    consumer,
    executing,
    execution,
    feature,
    healthy,
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
    without_bindings,
    without_consumers,
    without_exchange,
    without_queues,
)
from tests.unit.facts import NOW, queue, worker

CHECKS = {c.code: c for c in all_checks()}
H, F, S = healthy(), healthy(FLAWLESS), healthy(SEPTEMBER)


def problems(code: str, facts: Facts) -> list[Problem]:
    return list(CHECKS[code].function(facts))


def test_lost_dead_letters_follow_from_the_bindings_of_their_exchange() -> None:
    (problem,) = problems("AT305", without_exchange(F, "x.dead"))
    assert problem.related == {"binding": ("x.dead → x.graveyard ('')",), "destination": ("x.graveyard",)}


def test_three_sources_of_dead_letters_are_named_and_the_others_are_counted() -> None:
    (problem,) = problems("AT307", topology(queues(F, "x.graveyard", consumers=0, arguments={})))
    assert "dead letters of x.jobs, worker.1.jobs, worker.2.jobs and 1 more end in x.graveyard" in problem.message
    assert problem.evidence["queues"] == ["x.jobs", "worker.1.jobs", "worker.2.jobs", "worker.3.jobs"]


@pytest.mark.parametrize(
    ("status", "worker_id", "receiver"),
    [
        ("requested", None, f"queue {EXECUTIONS} of the executor "),
        ("scheduled", 2, "queue worker.2.executions of worker 2 "),
    ],
)
def test_a_lost_execution_says_who_should_get_it(status: str, worker_id: int | None, receiver: str) -> None:
    (problem,) = problems("AT413", executing(H, execution(7, status, worker=worker_id)))
    assert receiver in problem.message


def test_executions_of_a_dead_worker_follow_from_the_first_that_is_overdue() -> None:
    dead = healthy(SEPTEMBER, (worker(1), stale(2)))
    running = [execution(i, "running", minutes=600, worker=2) for i in (5, 6, 7)]
    (problem,) = problems("AT414", executing(dead, *running))
    assert problem.evidence["executions"] == [5, 6, 7]
    assert problem.related["monitor"] == ("5",)


@pytest.mark.parametrize(("messages", "says"), [(None, ""), (0, ""), (1, "; 1 message for"), (2, "; 2 messages for")])
def test_what_waits_for_the_missing_consumer_of_a_service(messages: int | None, says: str) -> None:
    (problem,) = problems("AT405", queues(without_consumers(H, EXECUTIONS), EXECUTIONS, messages=messages))
    assert problem.message == f"{EXECUTIONS} has no consumer" + (f"{says} the executor" if says else "")


def test_workers_that_no_passive_declare_asked_for_are_unknown() -> None:
    """It asks for the queues of 500 workers; nothing is said of the others, and the check has not passed."""
    there = tuple(q for q in H.actual.queues or () if q.name not in ("worker.2.executions", "worker.3.executions"))
    missing = dict.fromkeys((Source.BROKER, Source.DEPTHS, Source.CONSUMERS), "refused")
    others = tuple(q for q in H.actual.queues or () if q.name != "worker.3.executions")
    for queues_there, absent, status in ((there, ("worker.2.executions",), "failed"), (others, (), "skipped")):
        passive = PassiveReading("refused", H.actual.exchanges or (), queues_there, absent)
        unread = msgspec.structs.replace(H, broker=None, earlier=None, missing=missing, passive=passive)
        report = diagnose(unread, [CHECKS[c] for c in ("AT401", "AT403", "AT404", "AT501")])
        by_code = {r.code: r for r in report.results}
        assert [f.subject.name for f in report.findings] == list(absent)
        assert by_code["AT401"].status == status
        assert "the queues of 1 live worker are unknown" in (by_code["AT403"].reason or "")
        assert all(r.unread for r in report.results)
        rows = {r["name"]: r for r in workers(unread.by_passive_declare).to_dicts()}
        assert (rows["w3"]["state"], rows["w3"]["queue"], rows["w3"]["missing"]) == (None, None, None)


def test_the_numbers_of_an_unread_backlog() -> None:
    (problem,) = problems("AT501", queues(without_consumers(H, EVENTS), EVENTS, messages=5))
    assert problem.evidence == {"messages": 5, "consumers": 0}


@pytest.mark.parametrize(("topology", "unread"), [(JANUARY, [EVENTS, NOTIFICATIONS]), (SEPTEMBER, [EVENTS]),
                                                  ("attune-0.6", [EVENTS])])  # fmt: skip
def test_no_service_is_to_be_started_for_a_queue_that_none_consumes(topology: str, unread: list[str]) -> None:
    facts = healthy(topology)
    names = [q.name for q in facts.actual.queues or ()]
    first = queues(without_consumers(facts, *names), names, messages=5)
    for code, made in (("AT501", first), ("AT506", since(first, queues(first, names, messages=5000)))):
        said = {p.subject.name: p.remedy for p in problems(code, made)}
        assert [name for name in said if "by design" in said[name]] == unread, code
        assert len(said) == len(names)


@pytest.mark.parametrize(
    ("before", "after", "seconds", "found"),
    [(2000, 2200, 7, True), (2000, 2199, 7, False), (50, 150, 7, True), (50, 149, 7, False), (50, 150, 1, True)],
)
def test_a_queue_grows_by_100_messages_and_10_percent(before: int, after: int, seconds: int, found: bool) -> None:
    first = queues(H, EVENTS, messages=before, ack_rate=1000.0).actual
    now = queues(H, EVENTS, messages=after, ack_rate=1000.0)
    taken = msgspec.structs.replace(first, taken_at=now.actual.taken_at - timedelta(seconds=seconds))
    several = problems("AT506", msgspec.structs.replace(now, earlier=taken))
    assert [(p.evidence["before"], p.evidence["after"]) for p in several] == [(before, after)] * found


@pytest.mark.parametrize(("messages", "found"), [(None, []), (9_999, []), (10_000, ["theirs"])])
def test_a_large_backlog_of_another_application(messages: int | None, found: list[str]) -> None:
    facts = more_queues(H, queue("theirs", messages=messages, consumers=0))
    assert [p.subject.name for p in problems("AT501", facts)] == found


@pytest.mark.parametrize(
    ("published", "says"),
    [(None, ""), (0, ""), (1, "; 1 message published there"), (2, "; 2 messages published there")],
)
def test_how_much_was_published_to_an_exchange_without_bindings(published: int | None, says: str) -> None:
    theirs = ExchangeState("theirs", "/", "topic", publish_in=published)
    (problem,) = problems("AT209", change(H, exchanges=(*(H.actual.exchanges or ()), theirs)))
    assert problem.message == f"no bindings on theirs{says}"


@pytest.mark.parametrize(("count", "findings"), [(19, 19), (20, 20), (21, 1)])
def test_twenty_unexpected_bindings_are_a_finding_each(count: int, findings: int) -> None:
    facts = H
    for i in range(count):
        facts = bound(facts, "attune.events", EXECUTIONS, f"key.{i}")
    found = problems("AT207", facts)
    assert len(found) == findings
    if findings == 1:
        assert found[0].evidence["count"] == count
        assert len(found[0].evidence["first"]) == 20


def test_three_queues_with_one_reason_are_named_and_the_others_are_counted() -> None:
    four = healthy(workers=tuple(worker(i) for i in range(1, 5)))
    (problem,) = problems("AT215", policy(four, "cap", "executions", max_length=1))
    assert problem.message.startswith(
        f"policy cap loses messages of {EXECUTIONS}, worker.1.executions, worker.2.executions and 2 more: "
    )
    assert (
        "; worker.1.executions, worker.2.executions, worker.3.executions and 1 more: "
        "max-length 1 is below the prefetch of 10: the oldest messages are dropped (0 messages"
    ) in problem.message


def test_a_leftover_is_reaped_unless_it_has_a_consumer() -> None:
    left = bound(more_queues(S, queue("sensor.timer", consumers=0)), "attune.events", "sensor.timer", "rule.created")
    for facts, commands in (left, (reap("sensor.timer"),)), (joined(left, "sensor.timer"), ()):
        (problem,) = problems("AT412", facts)
        assert problem.commands == commands


@pytest.mark.parametrize(
    ("key", "changes", "left"),
    [
        ("rule.created", {}, True),
        ("rule.created", {"arguments": {"x-queue-type": "classic"}}, True),
        ("event.created", {}, False),
        ("rule.created", {"durable": False}, False),
        ("rule.created", {"arguments": {"x-expires": 9}}, False),
    ],
)
def test_a_queue_of_another_program_is_no_leftover(key: str, changes: dict[str, Any], left: bool) -> None:
    """It may have such a name, and be bound to Attune's exchange."""
    facts = bound(more_queues(S, queue("sensor.room", consumers=0, **changes)), "attune.events", "sensor.room", key)
    assert [p.subject.name for p in problems("AT412", facts)] == ["sensor.room"] * left
    mixed = bound(facts, "attune.events", "sensor.room", "event.created")
    assert problems("AT412", mixed) == []
    any_key = tuple(msgspec.structs.replace(known, routing_keys=()) for known in S.topology.leftovers)
    topology = msgspec.structs.replace(S.topology, leftovers=any_key)
    for other, found in ((facts, left or key == "event.created"), (bound(facts, "other", "sensor.room", key), False)):
        without_keys = msgspec.structs.replace(other, topology=topology)
        assert [p.subject.name for p in problems("AT412", without_keys)] == ["sensor.room"] * found


def test_a_leftover_of_a_worker_is_reaped_unless_the_registry_has_it_as_live() -> None:
    """Its queue of the release in use has the same name. Without the registry nobody knows."""
    left = with_topology(queues(without_consumers(S, W1), W1, durable=False), candidates(), given=True)
    for facts, commands, remedy in (
        (left, (), "Its worker is registered as live: stop that worker first."),
        (registered(left, worker(2), worker(3)), (reap(W1),), "Delete it; its messages are saved to a file first."),
        (msgspec.structs.replace(left, registry=None), (), "Delete it with `reap`, which needs the worker registry"),
    ):
        (problem,) = problems("AT412", facts)
        assert problem.commands == commands
        assert problem.remedy.startswith(remedy)


@pytest.mark.parametrize(
    ("days", "severity"), [(20, [None]), (21, []), (3, [None]), (2, [Severity.ERROR]), (0, [Severity.ERROR])]
)
def test_a_certificate_of_less_than_three_days_is_an_error(days: int, severity: list[Severity | None]) -> None:
    facts = reaching(H, Source.MANAGEMENT, target="https://h", certificate_days=days)
    assert [p.severity for p in problems("AT109", facts)] == severity


def test_the_first_certificate_that_was_not_read_says_why() -> None:
    first = reaching(H, Source.AMQP, target="amqps://h", certificate_days=None, error="refused")
    both = reaching(first, Source.MANAGEMENT, target="https://h", certificate_days=None, error="timed out")
    with pytest.raises(Unknown, match="a certificate was not read: refused"):
        problems("AT109", both)


def test_a_node_without_a_limit_for_the_disk() -> None:
    node = msgspec.structs.replace(NODE, disk_alarm=True, disk_free=20 * 2**30, disk_free_limit=0)
    (problem,) = problems("AT112", change(H, nodes=(node,), alarms=("disk alarm on rabbit@a",)))
    assert problem.message == "disk alarm on rabbit@a (20 GiB free, limit 0 B): publishers are blocked"


def test_only_a_wildcard_that_no_message_has_as_its_key_is_literal_by_mistake() -> None:
    def found(*keys: str) -> list[str]:
        more = tuple(Binding("x.direct", "x.jobs", k) for k in keys)
        wanted = topology(
            F,
            exchanges=(*FLAWLESS.exchanges, Exchange("x.direct", "direct")),
            bindings=(*FLAWLESS.bindings, *more),
            publishes=(*FLAWLESS.publishes, Publish("Job", "x.direct", "job.#")),
        )
        return [p.evidence["routing_key"] for p in problems("AT603", wanted)]

    assert found("job.#") == []
    assert found("job.*", "job.gone", "job.#") == ["job.*"]


def test_a_missing_driver_is_no_database_that_is_down() -> None:
    with pytest.raises(NotRead, match="the driver is missing"):
        problems("AT103", reaching(H, Source.REGISTRY, error=f"no psycopg2: {DRIVER}"))
    assert problems("AT103", reaching(H, Source.MANAGEMENT, error=f"no psycopg2: {DRIVER}")) == []
    (problem,) = problems("AT103", reaching(H, Source.REGISTRY, error="refused"))
    assert problem.message == "refused"


def test_only_transient_queues_that_are_not_exclusive_are_denied() -> None:
    def denied(**kind: Any) -> list[str]:
        wanted = (*FLAWLESS.queues, Queue("x.other", **kind))
        facts = topology(change(F, version="4.0.5"), queues=wanted)
        return [name for p in problems("AT703", facts) for name in p.evidence["topology"]]

    assert denied(durable=False) == ["x.other"]
    assert denied(durable=False, exclusive=True) == denied(durable=True) == []


@pytest.mark.parametrize(
    ("target", "version", "note"),
    [
        (None, "4.0.5", None),
        ("4.3", "4.0.5", None),
        ("4.0", "4.0.5", "RabbitMQ 4.0 is the version of this broker (4.0.5): not an upgrade"),
        ("3.13", "4.0.5", "RabbitMQ 3.13 is older than this broker (4.0.5): not an upgrade"),
        ("4.3", None, None),
        ("9.0", "4.0.5", "nothing is known about RabbitMQ after 4.3: 9.0 is checked as 4.3"),
    ],
)
def test_a_target_version_that_is_no_upgrade(target: str | None, version: str | None, note: str | None) -> None:
    assert target_note(changed(change(H, version=version), target_version=target)) == note


@pytest.mark.parametrize(
    ("processed", "says"),
    [
        (30.0, "; it drains in about 10 min"),
        (10.0, "; 10/s come in, 10/s are processed: it never drains"),
        (None, ""),
    ],
)
def test_when_a_backlog_will_be_gone(processed: float | None, says: str) -> None:
    (problem,) = problems("AT511", queues(H, EVENTS, messages_ready=12_000, ack_rate=processed, publish_rate=10.0))
    assert problem.message == f"{EVENTS} has a backlog of 12,000 messages and 1 consumer{says}"


def test_a_virtual_host_of_others_counts_their_objects() -> None:
    """Their queues and their exchanges; the broker's own exchanges are nobody's."""
    theirs = ExchangeState("theirs", "/", "topic")
    facts = change(H, exchanges=(theirs,), queues=(queue("a"), queue("b")), bindings=(), consumers=())
    (problem,) = problems("AT201", facts)
    assert problem.message.endswith(", but 3 objects of other applications")
    (problem,) = problems("AT201", change(facts, queues=()))
    assert problem.message.endswith(", but 1 object of other applications")


def test_where_no_queue_has_a_policy_the_new_one_has_the_usual_priority() -> None:
    (problem,) = problems("AT305", healthy("attune-0.6"))
    assert problem.commands == (safety_policy("dead-letters"),)


def test_what_the_deletion_of_an_exchange_costs_is_said() -> None:
    others = tuple(e for e in H.actual.exchanges or () if e.name != "attune.executions")
    (problem,) = problems("AT205", change(H, exchanges=(*others, ExchangeState("attune.executions", "/", "topic"))))
    assert "All its bindings are deleted with it" in problem.remedy
    assert "restart each worker, which ends the actions that it runs" in problem.remedy


def test_until_a_queue_is_made_anew_a_policy_can_set_some_arguments() -> None:
    (problem,) = problems("AT206", queues(H, EXECUTIONS, arguments={}))
    assert problem.remedy.endswith("redeclare the queue. Until then a policy can set dead-letter-exchange.")
    (problem,) = problems("AT206", queues(H, EXECUTIONS, durable=False))
    assert problem.remedy.endswith("redeclare the queue.")


def test_where_the_monitors_do_not_run_the_executor_s_first_queue_shows_whether_it_does() -> None:
    (problem,) = problems("AT418", executing(S, execution(7, "running", minutes=2, worker=9)))
    assert problem.inspect_commands == (consumers("attune.executor.events.queue"),)


def test_three_executions_are_named_and_the_others_are_counted() -> None:
    dead = healthy(SEPTEMBER, (worker(1), stale(2)))
    (problem,) = problems("AT414", executing(dead, *[execution(i, "running", worker=2) for i in (5, 6, 7, 8)]))
    assert problem.message.startswith("4 executions (5, 6, 7 and 1 more) running on worker 2 (w2), which is not live: ")


@pytest.mark.parametrize(
    ("statuses", "remedy"),
    [
        (("scheduled", "running"), "mark the executions abandoned and request them again."),
        (("running", "canceling"), "and request again only those that are not canceling."),
        (("canceling",), "Mark the executions cancelled. Do not request them again."),
    ],
)
def test_what_somebody_cancelled_is_not_requested_again(statuses: tuple[str, ...], remedy: str) -> None:
    dead = healthy(SEPTEMBER, (worker(1), stale(2)))
    (problem,) = problems("AT414", executing(dead, *[execution(i, s, worker=2) for i, s in enumerate(statuses)]))
    assert problem.remedy.endswith(remedy)


@pytest.mark.parametrize(("messages", "says"), [(0, ""), (4, "; backlog: 4 messages")])
def test_what_waits_for_several_workers_that_do_not_consume(messages: int, says: str) -> None:
    silent = without_consumers(S, *(f"worker.{i}.executions" for i in (1, 2, 3)))
    (problem,) = problems("AT403", queues(silent, "worker.2.executions", messages=messages))
    assert problem.message == f"3 workers do not consume from their queues (connected){says}: w1, w2, w3"


@pytest.mark.parametrize(("number", "found"), [(None, []), (1, []), (2, ["worker.1.executions has 2 consumers"])])
def test_a_second_process_is_seen_where_only_the_queue_counts_its_consumers(
    number: int | None, found: list[str]
) -> None:
    """A passive declare tells their number, not which they are."""
    facts = change(queues(H, W1, consumers=number), consumers=None)
    assert [p.message.partition(";")[0] for p in problems("AT404", facts)] == found


def test_a_second_process_is_seen_where_no_queue_has_more_consumers() -> None:
    (problem,) = problems("AT404", change(H, consumers=H.actual.consumers_of[W1] * 2))
    assert problem.message.startswith("worker.1.executions has 2 consumers ")


def test_who_should_consume_from_several_queues() -> None:
    several = (W1, "worker.2.executions", EXECUTIONS)
    assert expected_consumers_of(H, *several) == {
        "queue": several,
        "worker queue": several[:2],
        "worker": ("w1", "w2"),
        "consumer": ("worker-1", "worker-2", "executor.enforcement", "executor.scheduler", "executor.manager"),
        "service": ("executor",) * 3,
    }


@pytest.mark.parametrize(
    ("state", "running", "says", "remedy"),
    [
        ("down", False, " (state down)", "Start its node; the queue keeps its persistent messages."),
        (
            "stopped",
            True,
            " (state stopped)",
            "Start its node. If the node is running, restart the virtual host there (`rabbitmqctl restart_vhost`). The "
            "queue keeps its persistent messages.",
        ),
        (
            "crashed",
            True,
            " (state crashed)",
            "Delete and redeclare the queue (its messages are lost).",
        ),
        (None, False, "", "Start its node; the queue keeps its persistent messages."),
        (
            None,
            True,
            "",
            "Start its node. If the node is running, read its log: if the queue's process crashed, delete and "
            "redeclare the queue (its messages are lost).",
        ),
    ],
)
def test_the_state_of_an_unavailable_queue_and_of_its_node_say_what_to_do(
    state: str | None, running: bool, says: str, remedy: str
) -> None:
    node = msgspec.structs.replace(NODE, running=running)
    facts = queues(H, EVENTS, messages=None, messages_ready=None, state=state, node=node.name)
    (problem,) = problems("AT504", change(facts, nodes=(node,)))
    assert problem.message == f"{EVENTS} is unavailable{says}: no message count is reported"
    assert problem.remedy == remedy


def test_a_transient_queue_loses_its_messages_with_its_node() -> None:
    (problem,) = problems("AT504", queues(H, W1, state="down", durable=False))
    assert problem.remedy.endswith("The queue is transient and loses its messages.")


@pytest.mark.parametrize(("kind", "state"), [("quorum", "minority"), ("stream", "minority"), ("quorum", None)])
def test_a_queue_without_a_majority_of_its_members_is_never_deleted(kind: str, state: str | None) -> None:
    """Its leader's node runs; the nodes that do not run explain it."""
    nodes = (NODE, *(msgspec.structs.replace(NODE, name=f"rabbit@{n}", running=False) for n in "bc"))
    facts = queues(H, EVENTS, type=kind, state=state, node=NODE.name, messages=None, messages_ready=None)
    facts = change(facts, nodes=nodes)
    (problem,) = problems("AT504", facts)
    assert ("too few of its members run" in problem.message) is (state == "minority")
    assert problem.remedy == "Start the nodes of its other members; its messages are kept."
    assert problem.related["node"] == ("rabbit@b", "rabbit@c")
    (down, _) = ask(facts, CHECKS["AT110"], CHECKS["AT504"]).findings
    assert (down.subject.name, [c.code for c in down.consequences]) == ("rabbit@b", ["AT504"])


@pytest.mark.parametrize(("minutes", "found"), [(4.99, 0), (5, 1)])
def test_an_execution_waits_for_its_message_for_five_minutes(minutes: float, found: int) -> None:
    assert len(problems("AT413", executing(H, execution(7, "requested", minutes=minutes)))) == found


@pytest.mark.parametrize(("grew", "found"), [(9, 0), (10, 1)])
def test_a_queue_that_never_drains_is_reported_from_ten_messages_on(grew: int, found: int) -> None:
    first = queues(H, EXECUTIONS, messages=9000, consumed=0)
    assert len(problems("AT506", since(first, queues(H, EXECUTIONS, messages=9000 + grew, consumed=21)))) == found


@pytest.mark.parametrize(("milliseconds", "found"), [(86_399_999, 1), (86_400_000, 0)])
def test_a_ttl_of_a_day_does_no_harm(milliseconds: int, found: int) -> None:
    assert len(problems("AT215", policy(H, "ttl", EXECUTIONS, message_ttl=milliseconds))) == found


@pytest.mark.parametrize(("minutes", "says"), [(None, []), (1, []), (60 * 24 * 8, ["wait 691200 s"])])
def test_a_long_ttl_does_no_harm_while_its_service_restarts(minutes: int | None, says: list[str]) -> None:
    head = None if minutes is None else NOW - timedelta(minutes=minutes)
    down = queues(without_consumers(H, EXECUTIONS), EXECUTIONS, messages_ready=3, head_message_timestamp=head)
    found = problems("AT215", policy(down, "ttl", EXECUTIONS, message_ttl=7 * 86_400_000))
    assert [p.severity for p in found] == [Severity.ERROR for _ in says]
    assert all(s in p.message for s, p in zip(says, found, strict=True))


@pytest.mark.parametrize(("ready", "found"), [(None, 0), (10_000, 0), (10_001, 1)])
def test_a_backlog_is_large_from_more_than_ten_thousand_messages_on(ready: int | None, found: int) -> None:
    assert len(problems("AT511", queues(H, EVENTS, messages_ready=ready))) == found


@pytest.mark.parametrize(
    ("length", "says"), [(1, "is below the prefetch of 2: "), (2, "drops the oldest messages of ")]
)
def test_a_worker_that_does_not_consume_has_the_least_prefetch(length: int, says: str) -> None:
    """Its prefetch is its concurrency, which is not known, and 2."""
    (problem,) = problems("AT215", policy(without_consumers(S, W1), "few", W1, max_length=length))
    assert f": max-length {length} {says}" in problem.message


def test_three_dead_letter_queues_are_named_and_the_others_are_counted() -> None:
    facts = more_queues(change(S, dead_lettered={"rejected": 3}), *(queue(f"dead.{i}") for i in (1, 2, 3)))
    for i in (1, 2, 3):
        facts = bound(facts, "attune.dlx", f"dead.{i}", "other")
    (problem,) = problems("AT308", facts)
    assert problem.message.endswith("; attune.dlx.queue, dead.1, dead.2 and 1 more received 0")


@pytest.mark.parametrize(("used", "says"), [(True, "others have messages, too"), (None, "those of others are unknown")])
def test_dead_letters_of_another_virtual_host_are_not_called_lost(used: bool | None, says: str) -> None:
    facts = change(S, dead_lettered={"expired": 1_000_000}, other_vhosts_used=used)
    with pytest.raises(Unknown, match=says):
        problems("AT308", facts)
    assert "attune_ops_dead_letters_lost" not in [m.name for m in families(diagnose(facts)) if m.samples]
    for more in (0, 1):
        received = queues(facts, "attune.dlx.queue", consumed=1_000_000 + more)
        assert problems("AT308", received) == []


def test_whose_message_another_worker_gets_too() -> None:
    fanout = (Exchange("x.work", "fanout"), FLAWLESS.exchanges[1])
    facts = topology(F, exchanges=fanout, publishes=(Publish("Job", "x.work", "job.for.{id}"),))
    (problem,) = problems("AT612", facts)
    assert problem.message == "Job for worker 1 is also routed to worker.2.jobs"


def test_unknown_statistics_are_not_late_whatever_the_limit_is() -> None:
    late = CHECKS["AT115"].function
    assert list(late(change(H, statistics_backlog=None), statistics_backlog=0)) == []
    assert len(list(late(change(H, statistics_backlog=1), statistics_backlog=0))) == 1


def test_who_consumes_from_an_orphaned_queue() -> None:
    consumed = registered(H, worker(1), worker(2))
    (problem,) = problems("AT407", consumed)
    assert problem.message == "worker.3.executions: no worker 3 in the registry; 1 consumer on it"
    (problem,) = problems("AT407", without_consumers(consumed, "worker.3.executions"))
    assert problem.message == "worker.3.executions: no worker 3 in the registry"


def test_a_queue_that_may_be_in_use_is_not_deleted() -> None:
    """Without the list of consumers `reap` refuses; the statistics of the queue may tell them."""
    unread = change(registered(H, worker(1), worker(2)), consumers=None)
    unread = msgspec.structs.replace(unread, missing={Source.CONSUMERS: "not permitted"})
    for count, messages, severity in (1, 3, None), (None, 3, None), (0, 3, Severity.ERROR), (0, 0, None):
        left = queues(unread, "worker.3.executions", consumers=count, messages=messages)
        (problem,) = problems("AT407", left)
        assert problem.commands == ()
        assert problem.severity == (severity or Severity.WARNING)
        assert ("which needs the list of consumers" in problem.remedy) == (not count)


@pytest.mark.parametrize(("ids", "remedy"), [((1, 2), "Restart the process"), ((51, 52), "Check that this is the")])
def test_a_process_with_an_unknown_id_is_restarted_if_the_registry_is_the_right_one(ids: Any, remedy: str) -> None:
    unregistered = [p for p in problems("AT407", registered(H, *map(worker, ids))) if "worker.3." in p.message]
    assert [p.remedy.startswith(remedy) for p in unregistered] == [True]


def test_a_quorum_queue_is_not_reaped() -> None:
    left = without_consumers(registered(H, worker(1), worker(2)), "worker.3.executions")
    (problem,) = problems("AT407", queues(left, "worker.3.executions", type="quorum"))
    assert problem.commands == ()
    assert "by hand" in problem.remedy


def test_a_worker_that_is_registered_as_inactive_and_works() -> None:
    """A heartbeat did not set it active again before 0.6."""
    row = worker(1, status="inactive", updated=NOW - timedelta(minutes=20), created=NOW - timedelta(hours=3))
    running = executing(healthy(SEPTEMBER, (row, worker(2))), execution(7, "running", worker=1))
    (problem,) = problems("AT407", running)
    assert "worker 1 (w1) is registered as inactive, but sends heartbeats and consumes" in problem.message
    assert problem.remedy.startswith("Its process is alive: do not stop its consumers")
    assert problems("AT414", running) == []
    stopping = worker(1, status="inactive", last_heartbeat=NOW - timedelta(seconds=20), updated=NOW)
    assert (
        problems("AT414", executing(healthy(SEPTEMBER, (stopping, worker(2))), execution(7, "running", worker=1))) == []
    )
    gone = without_consumers(running, *(q.name for q in running.topology.worker_queues(1)))
    assert "registered as inactive, but" not in problems("AT407", gone)[0].message
    assert len(problems("AT414", gone)) == 1


@pytest.mark.parametrize(("majority", "commands"), [(None, True), (True, True), (False, False)])
def test_no_orphan_is_deleted_where_the_broker_would_refuse_it(majority: bool | None, commands: bool) -> None:
    left = without_consumers(registered(H, worker(1), worker(2)), "worker.3.executions")
    (problem,) = problems("AT407", change(left, majority=majority))
    assert bool(problem.commands) is commands
    assert problem.remedy.startswith("Delete the queue" if commands else "Nothing can be deleted here")


HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("rows", "severity", "says"),
    [
        ((stale(1, 60, status="inactive", updated=NOW - timedelta(minutes=58)),), None, "executions: w1; 1 crashed"),
        ((stale(1, 60, status="inactive", updated=NOW - HOUR),), Severity.WARNING, "executions: w1; 1 no connection"),
        ((worker(1, status="error"),), None, "executions: w1; 1 no connection is listed yet"),
        ((), Severity.WARNING, "executions: none is registered"),
        ((worker(1, cordoned=True),), None, "every live worker is cordoned: w1"),
    ],
)
def test_no_worker_can_take_executions(rows: tuple[Worker, ...], severity: Severity | None, says: str) -> None:
    one = healthy(SEPTEMBER, (worker(1),))
    left = without_consumers(registered(one, *rows), *(q.name for q in S.topology.worker_queues(1)))
    (problem,) = problems("AT416", left)
    assert says in problem.message
    assert problem.severity is severity
    waiting = diagnose(executing(left, execution(7, "requested")))
    assert [c.code for f in waiting.findings if f.code == "AT416" for c in f.consequences] == ["AT413"]


def test_what_a_cordoned_worker_has_got_does_not_wait_for_another() -> None:
    given = executing(registered(healthy(SEPTEMBER, (worker(1),)), worker(1, cordoned=True)), execution(7, "scheduled"))
    waiting = executing(given, execution(7, "scheduled", 60, worker=1), execution(8, "requested", 60))
    assert {p.subject.name: p.related["no worker"] for p in problems("AT413", waiting)} == {"7": (), "8": ("w1",)}


@pytest.mark.parametrize(
    ("row", "alive"),
    [
        (worker(3, status="error"), True),
        (worker(3, status="inactive", updated=NOW - timedelta(minutes=1)), True),
        (stale(3, status="error"), False),
    ],
)
def test_the_queues_of_a_worker_that_sends_heartbeats_are_not_deleted(row: Worker, alive: bool) -> None:
    left = without_consumers(S, *(q.name for q in S.topology.worker_queues(3)))
    (problem,) = problems("AT407", registered(left, worker(1), worker(2), row))
    assert problem.remedy.startswith("Its process is alive: do not stop its consumers") is alive
    assert bool(problem.commands) is not alive


def test_workers_that_were_set_inactive_and_are_alive_get_no_executions() -> None:
    rows = (worker(i, status="inactive", updated=NOW - timedelta(minutes=20)) for i in (1, 2, 3))
    (problem,) = problems("AT416", registered(S, *rows))
    assert problem.severity is None
    assert "registered as inactive, but sending heartbeats and consuming: w1, w2, w3" in problem.message
    assert problem.remedy.startswith("Restart w1, w2, w3 when idle: registration sets the status to active.")
    just = (worker(i, status="inactive", last_heartbeat=NOW - timedelta(seconds=20), updated=NOW) for i in (1, 2, 3))
    (problem,) = problems("AT416", registered(S, *just))
    assert (problem.severity, "registered as inactive" in problem.message) == (Severity.WARNING, False), "a clean stop"


@pytest.mark.parametrize(
    ("messages", "lost", "remedy"),
    [
        (0, 50, "Cancel the executions"),
        (1, 49, "Wait until the queue is empty"),
        (50, 0, "Find why its consumer is slow"),
        (60, 0, "Find why its consumer is slow"),
    ],
)
def test_as_many_executions_wait_as_there_are_messages(messages: int, lost: int, remedy: str) -> None:
    waiting = executing(S, *(execution(i, "requested", 60) for i in range(1, 51)))
    (problem,) = problems("AT413", queues(waiting, REQUESTS, messages=messages, messages_ready=messages))
    assert problem.evidence["lost"] == lost
    assert problem.severity is (None if lost else Severity.WARNING)
    assert problem.remedy.startswith(remedy)


def test_scheduled_executions_of_a_release_that_does_not_assign_them() -> None:
    waiting = executing(H, *(execution(i, "scheduled", 60) for i in (1, 2, 3)))
    assert waiting.registry is not None
    unassigned = msgspec.structs.replace(waiting, registry=msgspec.structs.replace(waiting.registry, assigned=False))
    (problem,) = problems("AT413", unassigned)
    assert "of the live workers holds 0 messages: the messages are lost" in problem.message
    (problem,) = problems("AT413", queues(unassigned, W1, messages=3))
    assert problem.severity is Severity.WARNING


def test_what_only_a_restart_brings_back() -> None:
    """A consumer is cancelled with its queue; a server-named queue is bound again by its replica alone."""
    (problem,) = problems("AT202", without_queues(S, REQUESTS))
    assert problem.remedy.endswith("Then restart the executor: a consumer is cancelled with its queue.")
    (problem,) = problems("AT201", without_exchange(S, "attune.metadata"))
    assert "Then restart each replica of the api, executor, worker: " in problem.remedy
    (problem,) = problems("AT201", without_exchange(H, "attune.notifications"))
    assert "restart each replica" not in problem.remedy


def test_a_damaged_queue_of_the_release_that_may_run_is_not_deleted() -> None:
    """Release 0.6 fits better then: it has all but this queue, with another argument or without its bindings."""
    lifecycle = "attune.rules.lifecycle.queue"
    unread = queues(without_consumers(S, lifecycle), lifecycle, messages=12)
    for damaged in (
        queues(unread, lifecycle, arguments={"x-max-length": 1000}),
        without_bindings(unread, lambda b: b.destination == lifecycle),
    ):
        found = with_topology(damaged, candidates(), given=False)
        assert found.topology.name == "attune-0.6"
        (problem,) = (p for p in problems("AT412", found) if p.subject.name == lifecycle)
        assert problem.commands == ()
        assert "attune-2026-09 uses it and may be what runs here" in problem.remedy


def test_the_own_queue_of_a_replica_is_known_by_its_consumer() -> None:
    own, key = queue("amq.gen-1", exclusive=True, durable=False), "metadata.action.changed"
    tag = ConsumerState("/", "amq.gen-1", "executor.metadata.invalidation", "c", "c")
    there = more_queues(S, own)
    there = change(there, consumers=(*(there.actual.consumers or ()), tag))
    (problem,) = problems("AT204", there)
    assert problem.message.endswith(f"replica of the executor, is not bound to attune.metadata with key {key!r}")
    assert problem.commands == ()
    assert problems("AT204", bound(there, "attune.metadata", "amq.gen-1", key)) == []
    assert problems("AT204", more_queues(S, own)) == [], "without a consumer nobody knows it"


def test_a_clock_makes_executions_seem_to_wait() -> None:
    early = reaching(executing(S, execution(7, "requested", 5.1)), Source.REGISTRY, clock_offset_s=-240.0)
    assert [c.code for f in diagnose(early).findings if f.code == "AT107" for c in f.consequences] == ["AT413"]
    late = reaching(early, Source.REGISTRY, clock_offset_s=240.0)
    assert "AT413" in [f.code for f in diagnose(late).findings], "a clock that is ahead makes them seem newer"


def test_a_binding_that_routes_dead_letters_is_not_removed() -> None:
    """`#` on a direct exchange matches exactly the key that the policy gives them."""
    literal = bound(more_queues(H, queue("ops.dead")), "attune.dlx", "ops.dead", "#")
    assert [p.subject.name for p in problems("AT208", literal)] == ["attune.dlx → ops.dead ('#')"]
    keyed = policy(literal, "dead", "^attune", dead_letter_exchange="attune.dlx", dead_letter_routing_key="#")
    assert problems("AT208", keyed) == []
    (kept,) = problems("AT207", bound(S, "attune.dlx", "attune.dlx.queue", "execution.requested"))
    assert (kept.commands, kept.remedy.split(":")[0]) == ((), "Keep it")
    lacking = without_bindings(
        bound(S, "attune.dlx", "attune.dlx.queue", "a"), lambda b: b.source == "attune.dlx" and b.routing_key == "#"
    )
    (missing,) = problems("AT204", lacking)
    assert [c for c in missing.commands if "unbind" in c.words] == []


@pytest.mark.parametrize("operator", [False, True])
def test_a_policy_that_limits_queues_of_others_too_is_left_to_people(operator: bool) -> None:
    theirs = more_queues(H, queue("billing.jobs", messages=90_000))
    cap = PolicyState("/", "cap", "^(attune|billing)", "queues", 0, {"max-length": 9}, operator=operator)
    for facts, others in (change(theirs, policies=(cap,)), ["billing.jobs"]), (change(H, policies=(cap,)), []):
        (problem,) = problems("AT215", facts)
        assert problem.evidence["other_queues"] == others
        assert bool(problem.commands) is not bool(others)
        assert ("It also limits 1 queue that Attune does not use (billing.jobs)" in problem.remedy) is bool(others)
        higher = f"{'an operator policy' if operator else 'a policy'} of a higher priority"
        assert (higher in problem.remedy) is bool(others)


def test_a_policy_that_shadows_another_on_one_worker_s_queue() -> None:
    (problem,) = problems(
        "AT211", policy(policy(H, "dead", "^worker", max_length=9), "w2", r"^worker\.2\.", 1, expires=9)
    )
    assert problem.evidence["objects"] == ["worker.2.executions"]


def test_all_shadowed_policies_are_named() -> None:
    two = policy(policy(H, "ttl", EVENTS, message_ttl=1000), "less", EVENTS, 1, max_length=9)
    (problem,) = problems("AT211", policy(two, "all", "", 5, max_length=99))
    assert problem.message == (
        "policy all applies to attune.events.queue and shadows less, ttl: message-ttl of ttl has no effect"
    )


def test_queues_that_remain_are_a_finding_about_the_first() -> None:
    kept = [Queue(f"worker.{{id}}.{n}", per=Per.WORKER, service="worker") for n in ("first", "second")]
    (problem,) = problems("AT608", topology(F, queues=(*FLAWLESS.queues, *kept)))
    assert problem.subject.name == "worker.{id}.first"
    assert problem.evidence["queues"] == ["worker.{id}.first", "worker.{id}.second"]


@pytest.mark.parametrize(("offset", "found"), [(None, ["heartbeats"]), (10.0, ["heartbeats"]), (10.1, [])])
def test_a_heartbeat_in_the_future_is_the_worker_s_fault_unless_the_registry_s_clock_is_ahead(
    offset: float | None, found: list[str]
) -> None:
    ahead = registered(H, worker(1, last_heartbeat=NOW + timedelta(seconds=11)), worker(2), worker(3))
    facts = reaching(ahead, Source.REGISTRY, clock_offset_s=offset)
    assert [p.subject.name for p in problems("AT107", facts) if p.subject.name == "heartbeats"] == found


@pytest.mark.parametrize("last", ["executions", "packs", "cancel", "packtests"])
def test_only_the_consumer_that_is_missing_is_named(last: str) -> None:
    """Worker 1 has three queues more, which it consumes from."""
    connected, name = ConnectionState("c7", "/", client_name="attune worker w1"), f"worker.1.{last}"
    (problem,) = problems("AT503", change(without_consumers(S, name), connections=(connected,)))
    assert [c["queue"] for c in problem.evidence["consumers"]] == [name]


def test_what_is_known_of_an_unknown_consumer() -> None:
    there = joined(H, EXECUTIONS)
    for facts, says in (
        (there, "'peek' of pika on 10.0.0.7 (user eve, connection c7, prefetch 50, holds 7 messages)"),
        (
            consumer(change(there, channels=(), connections=()), "peek", connection="", peer_host="", user=""),
            "'peek' of an unnamed client on an unknown host (user unknown, connection unknown, prefetch 50)",
        ),
        (
            consumer(there, "peek", prefetch=0),
            "'peek' of pika on 10.0.0.7 (user eve, connection c7, prefetch unlimited, holds 7 messages)",
        ),
    ):
        (problem,) = problems("AT417", facts)
        assert problem.message == f"{EXECUTIONS} has an unknown consumer: {says}"


@pytest.mark.parametrize(("messages", "says"), [(0, ""), (3, "; backlog: 3 messages")])
def test_what_waits_for_a_dead_worker(messages: int, says: str) -> None:
    dead = registered(without_consumers(H, W1), stale(1), worker(2), worker(3))
    (problem,) = problems("AT409", queues(dead, W1, messages=messages))
    assert problem.message.endswith(f", but its heartbeat is 10 min old; crashed: no connection{says}")


@pytest.mark.parametrize(
    ("beat", "says"), [(None, "it sent no heartbeat"), (timedelta(minutes=4), "its heartbeat is 4 min old")]
)
def test_the_heartbeat_of_a_worker_that_may_be_starting(beat: timedelta | None, says: str) -> None:
    row = worker(1, created=NOW - timedelta(minutes=4), last_heartbeat=None if beat is None else NOW - beat)
    silent = without_consumers(S, *(q.name for q in S.topology.worker_queues(1)))
    (problem,) = problems("AT415", registered(silent, row, worker(2), worker(3)))
    assert f"have no consumer yet, {says}" in problem.message


def test_only_a_worker_without_a_process_is_retired() -> None:
    """One that is connected is alive. A sensor has no queues, so nothing is sent to it."""
    dead = registered(without_consumers(H, W1), stale(1), worker(2), worker(3))
    connected = ConnectionState("c7", "/", client_name="attune worker w1")
    for facts, commands, remedy in (
        (dead, (retire(1),), "Restart each worker that should run. Set a removed one to inactive (retire)."),
        (change(dead, connections=(connected,)), (), "Restart the worker."),
        (registered(H, stale(4, role="sensor")), (), "Check that the sensor runs and can connect to the database."),
    ):
        (problem,) = problems("AT409", facts)
        assert (problem.commands, problem.remedy) == (commands, remedy)
        assert bool(problem.inspect_commands) is not bool(commands)


def test_the_unread_queues_of_a_worker_that_is_not_live_or_starts_are_said_once() -> None:
    """By AT407 or AT415; without the registry nobody knows which they are."""
    silent = without_consumers(S, *(q.name for q in S.topology.worker_queues(3)))
    for facts, found in (
        (silent, True),
        (registered(silent, worker(1), worker(2), worker(3, status="inactive")), False),
        (registered(silent, worker(1), worker(2), worker(3, created=NOW - timedelta(seconds=5))), False),
        (msgspec.structs.replace(silent, registry=None), True),
    ):
        said = [p for p in problems("AT304", facts) if p.subject.name == "worker.3.packs"]
        assert bool(said) is found
        if facts.registry is None:
            assert said[0].severity is Severity.WARNING
            (alone,) = (
                p
                for p in problems("AT304", without_consumers(facts, *facts.owner_of))
                if p.subject.name == "worker.3.packs"
            )
            assert alone.severity is None  # no worker is alive
            assert "Do not delete the queue: no registry was read" in said[0].remedy


@pytest.mark.parametrize(("target", "found"), [("3.13", 0), ("4.0", 1), (None, 1)])
def test_mirrored_queues_are_gone_from_4_0_on(target: str | None, found: int) -> None:
    mirrored = policy(change(F, version="3.10.8"), "ha", ".*", ha_mode="all")
    assert len(problems("AT705", changed(mirrored, target_version=target))) == found


@pytest.mark.parametrize(
    ("connected", "remedy"),
    [
        ((), "Start the worker's process again: only its start-up consumes."),
        ((1,), "Restart the workers: "),
        ((1, 2, 3), "Restart the workers: "),
    ],
)
def test_what_to_do_where_no_worker_has_its_queues(connected: tuple[int, ...], remedy: str) -> None:
    """Their processes may be gone, and then they are started, not restarted."""
    beat, since = NOW - timedelta(seconds=50), NOW - timedelta(days=9)
    rows = [worker(i, last_heartbeat=beat, created=since) for i in (1, 2, 3)]
    lost = without_queues(registered(H, *rows), *(f"worker.{i}.executions" for i in (1, 2, 3)))
    there = tuple(ConnectionState(f"c{i}", "/", client_name=f"attune worker w{i}") for i in connected)
    (problem,) = problems("AT401", change(lost, connections=there))
    assert problem.remedy.startswith(remedy)


@pytest.mark.parametrize(("rate", "says"), [(2.0, "can lose "), (0.5, "wait 8 s and expire"), (0.0, "wait 20 s and ")])
def test_how_long_messages_wait_behind_a_full_prefetch(rate: float, says: str) -> None:
    """The fourth is delivered after four acknowledgements; a rate of 0 is less than one in 5 s."""
    busy = queues(H, EXECUTIONS, messages=33, messages_ready=3, messages_unacknowledged=30, ack_rate=rate)
    (problem,) = problems("AT215", policy(busy, "ttl", EXECUTIONS, message_ttl=7_000))
    assert says in problem.message


@pytest.mark.parametrize(("messages", "says"), [(None, ""), (0, ""), (4, "; backlog: 4 messages")])
def test_what_waits_for_a_service_that_is_down(messages: int | None, says: str) -> None:
    down = without_consumers(S, *(c.queue for c in S.topology.consumers if c.service == "executor"))
    (problem,) = problems("AT405", queues(down, "attune.executor.events.queue", messages=messages))
    assert problem.message == f"the executor has no consumer on any of its 8 queues{says}"


@pytest.mark.parametrize(("messages", "says"), [(None, ""), (0, ""), (4, "; backlog: 4 messages")])
def test_what_waits_for_a_worker_that_does_not_consume(messages: int | None, says: str) -> None:
    (problem,) = problems("AT403", queues(without_consumers(S, W1), W1, messages=messages))
    assert problem.message == f"worker 1 (w1) does not consume from {W1}: connected (c1){says}"


def test_the_prefetch_of_a_worker_follows_its_concurrency() -> None:
    def found(concurrency: int | None, prefetch: int) -> list[str]:
        facts = registered(S, worker(1, concurrency=concurrency), worker(2), worker(3))
        return [p.message for p in problems("AT406", consumer(facts, "worker-1", prefetch=prefetch))]

    assert found(8, 10) == found(0, 2) == found(None, 99) == []
    assert found(8, 9) == [f"worker-1 on {W1} has prefetch 9, expected 10; connected (c1)"]


@pytest.mark.parametrize(
    ("again", "delivered", "found"), [(5.0, 5.0, 0), (5.1, 5.1, 1), (6.0, 12.0, 1), (6.0, 12.1, 0), (6.0, None, 1)]
)
def test_a_redelivery_storm_is_more_than_five_per_second_and_half_of_all(
    again: float, delivered: float | None, found: int
) -> None:
    assert len(problems("AT507", queues(H, EVENTS, redeliver_rate=again, deliver_rate=delivered))) == found


@pytest.mark.parametrize(
    ("rate", "says"),
    [
        (None, ""),
        (286.0, "; its consumers process 286/s"),  # they need less than a second: a burst
        (3.0, "; its consumers process 3/s, so it never drains"),
    ],
)
def test_how_fast_a_queue_grows_and_is_processed(rate: float | None, says: str) -> None:
    first, now = (queues(H, EVENTS, messages=n, ack_rate=rate) for n in (50, 190))
    (problem,) = problems("AT506", since(first, now))
    assert problem.message == f"{EVENTS} grew from 50 to 190 messages in 7 s: by 20/s{says}"


def test_a_queue_without_a_number_in_one_sample_is_not_compared() -> None:
    unknown, known = queues(H, EVENTS, messages=None), queues(H, EVENTS, messages=5000)
    assert problems("AT506", since(unknown, known)) == problems("AT506", since(known, unknown)) == []


def test_the_first_exchange_that_is_named_like_attune_s_is_shown() -> None:
    older = [ExchangeState(n, "/", "topic") for n in ("attune.old", "attune.older")]
    (problem,) = problems("AT412", change(H, exchanges=(*(H.actual.exchanges or ()), *older)))
    assert problem.message.endswith(" part of attune-2026-01: attune.old, attune.older")
    assert problem.inspect_commands == (exchange("attune.old"),)


@pytest.mark.parametrize(("limit", "found"), [(19, 1), (20, 0), (-1, 0)])
def test_a_delivery_limit_below_the_default_can_lose_messages(limit: int, found: int) -> None:
    assert len(problems("AT215", policy(quorum(), "few", "x.jobs", delivery_limit=limit))) == found


@pytest.mark.parametrize(("used", "found"), [(800, 0), (801, 1)])
def test_descriptors_are_tight_above_80_percent(used: int, found: int) -> None:
    node = msgspec.structs.replace(NODE, descriptors_used=used)
    assert len(problems("AT113", change(H, nodes=(node,)))) == found


def test_a_node_without_statistics_hides_no_other() -> None:
    new = msgspec.structs.replace(NODE, name="rabbit@0", memory_used=None)
    tight = msgspec.structs.replace(NODE, name="rabbit@1", descriptors_used=950)
    found = ask(change(H, nodes=(new, tight)), CHECKS["AT113"]).findings
    assert [f.subject.name for f in found] == ["rabbit@1"]


@pytest.mark.parametrize(("offset", "found"), [(10.0, 0), (10.1, 1), (-10.0, 0), (-10.1, 1)])
def test_a_clock_is_wrong_by_more_than_ten_seconds(offset: float, found: int) -> None:
    assert len(problems("AT107", reaching(H, Source.REGISTRY, clock_offset_s=offset))) == found


def test_the_first_of_a_worker_s_orphaned_queues_is_shown() -> None:
    (problem,) = problems("AT407", registered(S, worker(1), worker(2)))
    assert problem.inspect_commands == (consumers("worker.3.executions"),)


def test_queues_of_an_exchange_without_bindings_are_counted_once() -> None:
    """Some are bound with several keys."""
    (problem,) = problems("AT204", without_bindings(S, lambda b: b.source == "attune.events"))
    assert problem.evidence["count"] == 9
    assert problem.message == (
        "3 queues are not bound to attune.events: attune.executor.events.queue, attune.rules.lifecycle.queue, "
        "attune.events.queue; attune.events has no bindings left: it was deleted and redeclared, or they were removed"
    )


def test_an_exclusive_queue_is_deleted_with_its_client() -> None:
    (problem,) = problems("AT206", queues(H, EXECUTIONS, exclusive=True))
    assert problem.remedy.startswith("Stop the client that declared it")


def test_the_process_of_a_dead_worker_is_named_where_the_broker_was_read() -> None:
    """An execution of a live worker before it changes nothing."""
    facts = executing(healthy(SEPTEMBER, (worker(1), stale(2))), *(execution(i, "running", worker=i) for i in (1, 2)))
    for read, process in (facts, "; connected (c1)"), (msgspec.structs.replace(facts, broker=None), ""):
        (problem,) = problems("AT414", read)
        assert problem.message == (
            f"1 execution (2) running on worker 2 (w2), which is not live: its heartbeat is 10 min old{process}"
        )


def test_the_process_of_a_worker_whose_queue_never_had_a_consumer() -> None:
    silent, why = without_consumers(H, W1), "so the broker does not delete it"
    (problem,) = problems("AT408", silent)
    assert problem.message.endswith(f"{why}; worker 1 (w1): no connection is listed yet")
    assert problem.evidence["process"] == "no connection is listed yet"
    (problem,) = problems("AT408", registered(silent, worker(2), worker(3)))
    assert problem.message.endswith(why)
    assert problem.evidence["process"] == "not in the registry"


@pytest.mark.parametrize(
    ("client", "cause"),
    [
        ("other", "no connection is listed yet; it is registered as active "),
        ("attune worker w1", "connected (c7); its queue was deleted under it or never declared; it is registered "),
    ],
)
def test_why_a_worker_has_no_queue(client: str, cause: str) -> None:
    there = ConnectionState("c7", "/", client_name=client)
    (problem,) = problems("AT401", change(without_queues(H, W1), connections=(there,)))
    assert (problem.cause or "").startswith(cause)


def test_what_a_policy_overrides_and_what_it_adds() -> None:
    """What is declared is said where it is something."""
    (problem,) = problems("AT203", policy(S, "short", "worker", message_ttl=1000))
    assert problem.message.startswith("policy short overrides x-message-ttl = 1000 (declared 300000) for worker.1")
    (problem,) = problems("AT213", policy(H, "cap", EVENTS, max_length=1000))
    assert problem.message == f"policy cap sets max-length = 1000 for {EVENTS}"


def test_a_service_that_does_not_consume_may_have_failed_for_want_of_a_permission() -> None:
    """It is assumed only where nobody else may declare anything."""
    lacking = served(without_consumers(H, EXECUTIONS), configure=r"^attune\.", write=".*", read=".*")
    for facts, services in (
        (lacking, "worker"),
        (change(lacking, others_may_declare=False), "executor, sensor, worker (not consuming: executor)"),
    ):
        (problem,) = problems("AT117", facts)
        assert problem.message == f"user svc of {services}: no configure permission on worker.{{id}}.executions"


def test_dead_letters_that_reach_a_queue_are_not_lost_by_their_exchange() -> None:
    """Whatever becomes of them in that queue."""
    second = Queue("x.graveyard", arguments={"x-max-length": 1000, "x-dead-letter-exchange": "x.void"})
    facts = topology(
        F,
        exchanges=(*FLAWLESS.exchanges, Exchange("x.void", "fanout")),
        queues=(FLAWLESS.queues[0], second, *FLAWLESS.queues[2:]),
    )
    assert "x.dead" not in [p.subject.name for p in problems("AT604", facts)]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("x.work", ": ExecutionRequested are lost"),
        ("x.dead", ": the dead letters of x.jobs, worker.{id}.jobs are lost"),
        ("x.none", ""),
    ],
)
def test_what_is_lost_in_an_exchange_of_the_topology_without_bindings(name: str, says: str) -> None:
    facts = topology(F, exchanges=(*FLAWLESS.exchanges, Exchange("x.none", "topic")), bindings=())
    said = {p.subject.name: p.message for p in problems("AT610", facts)}
    assert said[name] == f"{name} has no binding{says}"


def test_who_uses_a_prefetch_of_a_whole_channel() -> None:
    channel = ChannelState("c1 (1)", "/", "c1", global_prefetch=5)
    facts = change(F, version="4.0.5", channels=(channel,))
    for seen, name in (facts, "executor"), (change(facts, connections=()), "c1"):
        (problem,) = problems("AT704", seen)
        assert problem.message.endswith(f" denies global_qos by default, which is in use here: connection {name}")
    assert problems("AT704", change(F, channels=(msgspec.structs.replace(channel, global_prefetch=0),))) == []


@pytest.mark.parametrize(("messages", "says"), [(0, ""), (2, "; backlog: 4 messages")])
def test_what_waits_for_several_dead_workers(messages: int, says: str) -> None:
    names = [f"worker.{i}.executions" for i in (1, 2, 3)]
    dead = registered(without_consumers(H, *names), *(stale(i) for i in (1, 2, 3)))
    (problem,) = problems("AT409", queues(dead, names[1:], messages=messages))
    assert problem.message.endswith(f"heartbeats are old; crashed: no connection{says}: w1, w2, w3")


@pytest.mark.parametrize(
    ("updated", "state"),
    [
        (None, "stopped; no connection"),
        (timedelta(minutes=1), "crashed: no connection"),
        (timedelta(minutes=40), "stopped cleanly; no connection"),
    ],
)
def test_how_a_worker_ended_that_left_queues(updated: timedelta | None, state: str) -> None:
    """It was set inactive at its last heartbeat, or by the executor long after it."""
    row = stale(3, 40, status="inactive", updated=None if updated is None else NOW - updated)
    left = without_consumers(S, *(q.name for q in S.topology.worker_queues(3)))
    (problem,) = problems("AT407", registered(left, worker(1), worker(2), row))
    assert problem.evidence["state"] == state


def test_a_worker_with_a_backlog_is_started_before_its_queue_is_deleted() -> None:
    """It keeps its id, and so its queues; of two rows with its name a start uses the newest."""
    left = without_consumers(S, *(q.name for q in S.topology.worker_queues(3)))
    left = queues(left, "worker.3.executions", messages=20)
    starts, deletes = "Start the worker: it consumes from the queue. If the worker does not return, delete", "Delete"
    for row, renewed, remedy in (
        (worker(3, status="inactive"), worker(4), starts),
        (worker(3, status="inactive"), worker(4, name="w3"), deletes),
        (worker(3, status="inactive", role="sensor"), worker(4), deletes),
        (worker(5), worker(4), deletes),
    ):
        (problem,) = problems("AT407", registered(left, worker(1), worker(2), row, renewed))
        assert problem.remedy.startswith(remedy)


def test_a_consumer_of_a_server_named_queue_is_known_by_its_tag() -> None:
    replica = queue("amq.gen-1", exclusive=True, durable=False)
    facts = bound(
        more_queues(served(S, configure=".*", write=".*", read=".*"), replica),
        "attune.metadata",
        "amq.gen-1",
        "metadata.action.changed",
    )
    of = ConsumerState("/", "amq.gen-1", "executor.metadata.invalidation", connection="c8", user="other")
    facts = change(
        facts,
        consumers=(*(facts.actual.consumers or ()), of),
        user_permissions=(*(facts.actual.user_permissions or ()), UserPermissions("other")),
    )
    (problem,) = problems("AT117", facts)
    assert problem.message.startswith("user other of executor: no configure permission on ")


def test_a_queue_is_bound_by_a_command_where_its_worker_consumes_from_it() -> None:
    """Else it would collect messages that nobody reads."""
    (wanted,) = (b for b in S.topology.worker_bindings(1) if b.destination == W1)
    unbound = without_bindings(S, lambda b: b.destination == W1)
    (problem,) = problems("AT402", unbound)
    assert (problem.commands, problem.remedy) == ((bind(wanted),), "Bind its queue: the worker consumes from it.")
    (problem,) = problems("AT402", without_consumers(unbound, W1))
    assert problem.commands == ()


def test_a_registry_without_a_live_worker_cannot_be_compared() -> None:
    """Its workers are stopped, or it has others, and nobody consumes what they may have left."""
    names = [f"worker.{i}.executions" for i in (1, 2, 3)]
    stopped = registered(H, *(worker(i, status="inactive") for i in (1, 2, 3)))
    others = registered(without_consumers(H, *names), worker(9, status="inactive"))
    for facts in (stopped, others, registered(others), without_queues(stopped, *names)):
        with pytest.raises(Unknown, match="no live worker"):
            problems("AT118", facts)
    assert problems("AT118", registered(without_queues(H, *names))) == [], "a new installation"


def test_a_binding_in_the_place_of_a_missing_one_is_removed_once_and_last() -> None:
    """Run as printed, the commands leave no queue without a route; and the other binding may be intended."""
    wrong, then = BindingState("/", "attune.executions", W1, "worker.l"), "unless it is intended."
    (wanted,) = (b for b in S.topology.worker_bindings(1) if b.destination == W1)
    unbound = bound(without_bindings(S, lambda b: b.destination == W1), wrong.source, W1, wrong.routing_key)
    (problem,) = problems("AT402", unbound)
    assert problem.commands == (bind(wanted), binding("unbind", wrong))
    assert problem.remedy.endswith(then)
    queue_name = "attune.rules.lifecycle.queue"
    lacking = without_bindings(S, lambda b: b.destination == queue_name)
    for count in (1, LISTED, LISTED + 1):
        facts = lacking
        for i in range(count):
            facts = bound(facts, "attune.events", queue_name, f"wrong.{i}")
        assert {p.commands for p in problems("AT204", changed(facts, assumed=True))} == {()}
        *others, last = problems("AT204", facts)
        assert [[c.words[1] for c in p.commands] for p in others] == [["bind"]] * 6
        removed = 0 if count > LISTED else count
        assert [c.words[1] for c in last.commands] == ["bind"] + ["unbind"] * removed
        assert last.remedy.endswith(then) is bool(removed)


def test_a_broker_that_does_not_report_what_it_denies_is_not_called_permissive() -> None:
    """As RabbitMQ 4.0 does not; that of September declares no transient queue."""
    facts = change(H, version="4.0.5", deprecated=(feature(state=None),))
    with pytest.raises(Unknown, match=r"RabbitMQ 4\.0\.5 does not report what it denies"):
        problems("AT702", facts)
    assert problems("AT702", msgspec.structs.replace(facts, topology=S.topology)) == []


def test_how_a_worker_is_uncordoned() -> None:
    cordoned = registered(H, *(worker(i, cordoned=True) for i in (1, 2, 3)))
    (problem,) = problems("AT416", cordoned)
    assert "POST /api/v1/workers/ID/uncordon" in problem.remedy
    columns = "--columns id,name,state,cordoned,cordon_reason"
    assert [str(c) for c in problem.inspect_commands] == [f"attune-ops workers {columns}"]
    commands = [str(*p.inspect_commands) for p in problems("AT411", cordoned)]
    assert commands == [f"attune-ops workers w{i} {columns}" for i in (1, 2, 3)]
