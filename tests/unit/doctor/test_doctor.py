"""The diagnosis itself: pure, complete, one finding for one cause."""

from __future__ import annotations

import gc
import itertools
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from attune_ops import render
from attune_ops.doctor.checks import all_checks
from attune_ops.doctor.checks.upgrade import target_note
from attune_ops.doctor.diagnose import choose, diagnose, garbage_collection_paused, verify
from attune_ops.doctor.diagnosis import diagnose_file
from attune_ops.doctor.findings import Check, CheckStatus, Problem, Severity, Subject, Unknown
from attune_ops.installation.config.settings import CheckSettings
from attune_ops.model.errors import ConfigError
from attune_ops.model.facts import Facts, Source, decode, encode
from attune_ops.model.topologies import load
from attune_ops.render import wire
from attune_ops.topology.export import export_topology
from tests.unit.doctor.checks.firing import CASES, Case
from tests.unit.doctor.checks.world import (
    EVENTS,
    EXECUTIONS,
    FLAWLESS,
    JANUARY,
    REQUESTS,
    SEPTEMBER,
    W1,
    accepted,
    bound,
    change,
    executing,
    execution,
    feature,
    healthy,
    more_queues,
    policy,
    queues,
    reaching,
    registered,
    stale,
    without_bindings,
    without_consumers,
    without_exchange,
    without_queues,
)
from tests.unit.facts import queue, worker


def errors(facts: Facts) -> list[tuple[str, str]]:
    """Code and subject of each finding of severity error."""
    return [(f.code, f.subject.name) for f in diagnose(facts).at_least(Severity.ERROR)]


def serious(facts: Facts) -> set[tuple[str, str]]:
    """Code and subject of each finding of severity error or warning that is not of the design."""
    return {(f.code, f.subject.name) for f in diagnose(facts).at_least(Severity.WARNING) if f.group != "design"}


def made(
    code: str, *problems: Problem, raises: bool = False, needs: tuple[Source, ...] = (), group: str = "flow"
) -> Check:
    def function(facts: Facts, *, limit: float = 5) -> Iterator[Problem]:
        if raises:
            raise ZeroDivisionError("division by zero")
        yield from problems
        if limit > 5:
            yield Problem(Subject("queue", "limit"), f"{limit}")

    return Check(code, f"check-{code.lower()}", group, "all is well", Severity.WARNING, needs, function)


# Each of these checks is explained by each other one, about what the problem names for it.
ANY = {c: tuple((other, other) for other in ("AT501", "AT502", "AT503", "AT777")) for c in ("AT501", "AT502", "AT503")}


def problem(name: str, *causes: tuple[str, str], severity: Severity | None = None) -> Problem:
    return Problem(Subject("queue", name), f"{name} is wrong", related={c: (n,) for c, n in causes}, severity=severity)


@pytest.mark.parametrize("facts", [healthy(), healthy(SEPTEMBER), *(c.facts for c in CASES[::7])])
def test_the_same_facts_give_the_same_report_byte_for_byte(facts: Facts) -> None:
    def report(of: Facts) -> str:
        return wire.json_text(render.form(diagnose(of), "json"))

    again = decode(encode(facts))
    assert report(facts) == report(again) == report(facts)


def test_the_order_of_sets_plays_no_part(tmp_path: Path) -> None:
    lost = ("attune.events.queue", "attune.executor.events.queue", "worker.1.packs", "worker.2.packs")
    facts = without_queues(without_exchange(healthy(SEPTEMBER), "attune.executions"), *lost)
    file = tmp_path / "snapshot.json"
    file.write_bytes(encode(facts))
    command = [sys.executable, "-m", "attune_ops", "doctor", "--from", str(file), "--format", "csv"]
    said = {
        subprocess.run(command, env=os.environ | {"PYTHONHASHSEED": seed}, capture_output=True, check=False).stdout
        for seed in ("0", "1", "2", "3")
    }
    assert len(said) == 1
    assert b"AT201" in said.pop()


def test_two_brokers_leave_no_command_where_their_check_is_not_chosen(tmp_path: Path) -> None:
    """Nor where it is disabled, or known by the baseline: a note names the cause instead."""
    unbound = without_bindings(healthy(SEPTEMBER), lambda b: b.destination.endswith(".executions"))
    two = reaching(change(unbound, cluster="b"), Source.AMQP, cluster="a")
    bindings = choose(all_checks(), ("AT402",))
    (found,) = diagnose(unbound, bindings).findings
    assert found.commands
    assert found.evidence["each"][0]["commands"]
    (found,) = diagnose(two, bindings).findings
    assert found.commands == ()
    assert "commands" not in found.evidence["each"][0]
    assert diagnose(two).notes == ()
    for report in (
        diagnose(two, bindings),
        diagnose(two, severities={"AT116": None}),
        diagnose(two, known=accepted(diagnose(two), tmp_path)),
    ):
        assert not any(f.commands for f in report.findings)
        (note,) = report.notes
        assert note.startswith("AT116: AMQP is connected to cluster a, the management API is of cluster b")
        assert note.endswith("; so no command is printed that changes anything")


def test_a_check_that_raises_is_crashed_and_the_others_go_on() -> None:
    report = diagnose(healthy(), [made("AT501", raises=True), made("AT502", problem("q"))])
    assert [r.status for r in report.results] == [CheckStatus.CRASHED, CheckStatus.FAILED]
    assert report.results[0].reason == "the check itself failed: ZeroDivisionError: division by zero"
    assert report.status == "unknown"


def test_a_check_that_cannot_answer_is_skipped_but_keeps_what_it_found() -> None:
    def function(facts: Facts) -> Iterator[Problem]:
        yield from found
        raise Unknown("it was not read")

    found: list[Problem] = []
    check = Check("AT501", "c", "flow", "all is well", Severity.WARNING, (), function)
    assert [(r.status, r.reason) for r in diagnose(healthy(), [check]).results] == [
        (CheckStatus.SKIPPED, "it was not read")
    ]
    found.append(problem("q"))
    report = diagnose(healthy(), [check])
    assert [(r.status, r.findings) for r in report.results] == [(CheckStatus.FAILED, 1)]


def test_a_source_that_is_missing_skips_with_its_reason() -> None:
    facts = msgspec.structs.replace(healthy(), missing={Source.NODES: "no monitoring tag"})
    report = diagnose(facts, [made("AT501", needs=(Source.NODES,)), made("AT502", needs=(Source.REGISTRY,))])
    assert [(r.status, r.reason) for r in report.results] == [
        (CheckStatus.SKIPPED, "no monitoring tag"),
        (CheckStatus.PASSED, None),
    ]
    assert report.unread == (), "to ask again would not read it"
    assert report.status == "unknown"
    assert report.verdict == f"unknown: 1 passed, 1 skipped (no monitoring tag); 2 of {len(all_checks())} checks chosen"


@pytest.mark.parametrize(("failed", "status", "unread"), [(True, "unknown", ["AT413", "AT414", "AT418"]),
                                                          (False, "healthy", [])])  # fmt: skip
def test_executions_are_optional_unless_their_query_failed(failed: bool, status: str, unread: list[str]) -> None:
    """A missing table or right is usual; after a time-out a second run could read them."""
    missing = dict.fromkeys((Source.EXECUTIONS, Source.ASSIGNMENTS), "statement timeout")
    facts = executing(healthy(SEPTEMBER))
    assert facts.registry is not None
    registry = msgspec.structs.replace(facts.registry, executions=None, read_failed=failed)
    chosen = [c for c in all_checks() if c.group == "workers"]
    report = diagnose(msgspec.structs.replace(facts, registry=registry, missing=missing), chosen)
    assert (report.status, [r.code for r in report.unread]) == (status, unread)
    assert ("(statement timeout)" in report.verdict) is failed


def test_every_check_can_be_skipped_without_facts() -> None:
    report = diagnose(Facts(FLAWLESS, healthy().taken_at))
    looked = {r.code for r in report.results if r.status is not CheckStatus.SKIPPED}
    assert looked == {c.code for c in all_checks() if c.group == "design"} | {"AT703"}
    assert all(r.reason for r in report.results if r.code not in looked)


def test_severities_thresholds_and_durations() -> None:
    checks = [made("AT501", problem("q")), made("AT502", problem("r"))]
    ticks = itertools.count(0, 0.5)
    report = diagnose(
        healthy(),
        checks,
        severities={"AT501": Severity.ERROR, "AT502": None},
        thresholds={"limit": 9},
        clock=lambda: float(next(ticks)),
    )
    assert [(f.code, f.severity, f.detail) for f in report.findings] == [
        ("AT501", Severity.ERROR, "q is wrong"),
        ("AT501", Severity.ERROR, "9"),
    ]
    assert [r.code for r in report.results] == ["AT501"]
    assert (report.results[0].duration_ms, report.duration_ms) == (500, 1500)
    assert diagnose(healthy(), checks).results[0].duration_ms == 0


@pytest.mark.parametrize(
    ("severities", "thresholds", "says"),
    [
        ({"AT999": None}, {}, "no check 'AT999'"),
        ({}, {"latency": 1}, "no threshold 'latency' in the doctor; did you mean latency_ms"),
    ],
)
def test_wrong_settings_are_named(severities: dict[str, None], thresholds: dict[str, float], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        verify(severities, thresholds)


def test_choosing_checks() -> None:
    checks = all_checks()
    assert {c.group for c in choose(checks, only=("design", "upgrade"))} == {"design", "upgrade"}
    assert [c.code for c in choose(checks, only=("AT401", "worker-bindings"))] == ["AT401", "AT402"]
    assert [c.code for c in choose(checks, only=("upgrade",), skip=("AT702",))] == ["AT701", "AT703", "AT704", "AT705"]
    with pytest.raises(ConfigError, match="no check or group 'wokers'; did you mean workers"):
        choose(checks, skip=("wokers",))


def test_a_baseline_leaves_out_what_is_known(tmp_path: Path) -> None:
    facts = without_queues(healthy(), W1)
    first = diagnose(facts)
    again = diagnose(without_queues(facts, EXECUTIONS), known=accepted(first, tmp_path))
    assert [(f.code, f.subject.name) for f in again.findings] == [("AT202", EXECUTIONS)]
    assert again.known == len(first.findings)


def test_a_baseline_hides_nothing_that_got_worse(tmp_path: Path) -> None:
    """A known finding with a new consequence, or of a higher severity, is reported again; a better one is not."""
    six = healthy("attune-0.6")
    backlog = queues(six, EVENTS, messages=5_000_000, messages_ready=5_000_000)
    (found,) = diagnose(backlog, known=accepted(diagnose(six), tmp_path)).findings
    assert found.code == "AT606"
    assert any(c.subject.name == EVENTS for c in found.consequences)
    assert diagnose(six, known=accepted(diagnose(backlog), tmp_path)).findings == ()
    waits = [executing(without_consumers(six, REQUESTS), execution(i, "requested")) for i in (1, 2)]
    for facts in waits:  # the first execution is another one: nothing got worse
        assert any(c.subject.kind == "execution" for f in diagnose(facts).findings for c in f.consequences)
        assert diagnose(facts, known=accepted(diagnose(waits[0]), tmp_path)).findings == ()
    names = [q.name for q in healthy(SEPTEMBER).topology.worker_queues(3)]
    stopped = registered(healthy(SEPTEMBER), worker(1), worker(2), worker(3, status="inactive"))
    stopped = without_consumers(stopped, *names)
    known = accepted(diagnose(stopped), tmp_path)
    assert diagnose(stopped, known=known).findings == ()
    (found,) = diagnose(queues(stopped, names[0], messages=4), known=known).findings
    assert (found.code, found.severity) == ("AT407", Severity.ERROR)


class TestOneCauseGivesOneFinding:
    def test_causes_are_followed_to_the_end(self) -> None:
        report = diagnose(
            healthy(),
            [
                made("AT501", problem("a", ("AT502", "b"))),
                made("AT502", problem("b", ("AT503", "c"), severity=Severity.ERROR)),
                made("AT503", problem("c"), problem("d", ("AT777", "nothing"))),
            ],
            explained_by=ANY,
        )
        cause, other = report.findings
        assert (cause.code, cause.severity) == ("AT503", Severity.ERROR), "a cause is as bad as what follows from it"
        assert [(c.code, c.subject.name) for c in cause.consequences] == [("AT501", "a"), ("AT502", "b")]
        assert other.subject.name == "d"
        assert [r.reason for r in report.results] == ["explained by AT503", "explained by AT503", None]

    def test_a_cycle_of_causes_loses_nothing(self) -> None:
        report = diagnose(
            healthy(),
            [made("AT501", problem("a", ("AT502", "b"))), made("AT502", problem("b", ("AT501", "a")))],
            explained_by=ANY,
        )
        assert [f.code for f in report.findings] == ["AT501"]

    def test_fifty_workers_without_an_exchange(self) -> None:
        facts = without_exchange(healthy(JANUARY, tuple(worker(i) for i in range(1, 51))), "attune.executions")
        assert errors(facts) == [("AT201", "attune.executions")]
        (finding,) = diagnose(facts).at_least(Severity.ERROR)
        named = " ".join(c.subject.name for c in finding.consequences)
        assert all(f"worker.{i}.executions" in named for i in range(1, 51))

    def test_a_missing_queue(self) -> None:
        assert errors(without_queues(healthy(), W1)) == [("AT401", W1)]
        assert errors(without_queues(healthy(), EXECUTIONS)) == [("AT202", EXECUTIONS)]

    def test_a_wrong_key(self) -> None:
        unbound = without_bindings(healthy(), lambda b: b.destination == W1)
        wrong = bound(unbound, "attune.executions", W1, "worker.l")
        assert serious(wrong) == {("AT402", f"attune.executions → {W1} ('worker.1')")}

    def test_an_exchange_of_the_wrong_type(self) -> None:
        exchanges = tuple(
            msgspec.structs.replace(e, type="fanout") if e.name == "attune.executions" else e
            for e in healthy().actual.exchanges or ()
        )
        assert serious(change(healthy(), exchanges=exchanges)) == {("AT205", "attune.executions")}

    def test_a_service_that_is_down(self) -> None:
        down = queues(without_consumers(healthy(), EXECUTIONS), EXECUTIONS, messages=9)
        late = executing(down, execution(3, "requested"))
        assert serious(late) == {("AT405", EXECUTIONS)}

    def test_a_worker_that_died(self) -> None:
        facts = without_queues(registered(healthy(), stale(1), worker(2), worker(3)), W1)
        assert serious(executing(facts, execution(4, "running", worker=1))) == {("AT409", "w1")}

    def test_a_worker_that_died_and_left_durable_queues(self) -> None:
        names = [q.name for q in healthy(SEPTEMBER).topology.worker_queues(1)]
        facts = registered(without_consumers(healthy(SEPTEMBER), *names), stale(1), worker(2), worker(3))
        assert serious(queues(facts, names, messages=3)) == {("AT409", "w1")}

    def test_a_wrong_clock(self) -> None:
        facts = registered(healthy(), *(stale(i, 2) for i in (1, 2, 3)))
        assert serious(reaching(facts, Source.REGISTRY, clock_offset_s=-120.0)) == {("AT107", "postgresql://h")}
        ahead = serious(reaching(facts, Source.REGISTRY, clock_offset_s=120.0))
        assert "AT410" in {code for code, _ in ahead}, "a clock that is ahead makes no heartbeat old"

    def test_a_broker_that_denies_transient_queues(self) -> None:
        facts = change(without_queues(healthy(), W1), deprecated=(feature(state="denied", used=False),))
        assert serious(facts) == {("AT702", "transient_nonexcl_queues")}

    def test_a_policy_that_hides_another(self) -> None:
        facts = policy(
            policy(healthy(), "ttl", "events", message_ttl=1000),
            "cap",
            ".*",
            9,
            max_length=900,
            overflow="reject-publish",
        )
        assert serious(facts) == {("AT211", "cap")}

    @pytest.mark.parametrize(
        "case", [c for c in CASES if c.severity is Severity.ERROR], ids=lambda c: f"{c.code}-{c.what}"
    )
    def test_an_error_comes_alone(self, case: Case) -> None:
        causes = 2 if (case.code, case.what) == ("AT215", "ttl, unread") else 1
        assert len(errors(case.facts)) == causes, "one cause, one finding of severity error"

    def test_a_policy_that_loses_messages_is_a_cause_of_its_own(self) -> None:
        """Also where it loses them because nobody consumes: a new consumer does not remove the policy."""
        (case,) = (c for c in CASES if (c.code, c.what) == ("AT215", "ttl, unread"))
        assert serious(case.facts) == {("AT405", EXECUTIONS), ("AT215", "ttl")}

    def test_one_queue_of_a_worker_that_is_unknown(self) -> None:
        declared = healthy(SEPTEMBER).topology.worker_queues(9)[0]
        lonely = more_queues(healthy(SEPTEMBER), queue(declared, consumers=0))
        lonely = bound(lonely, "attune.executions", declared.name, "execution.dispatch.worker.9")
        assert serious(lonely) == {("AT407", "worker.9.executions")}

    def test_no_worker_has_its_queue(self) -> None:
        names = [f"worker.{i}.executions" for i in (1, 2, 3)]
        facts = without_queues(healthy(), *names)
        assert errors(facts) == [("AT401", W1)]
        (finding,) = diagnose(facts).at_least(Severity.ERROR)
        assert finding.evidence["missing"] == names
        assert errors(without_queues(healthy(), *names[:2])) == [("AT401", n) for n in names[:2]]

    def test_a_virtual_host_with_nothing_in_it(self) -> None:
        empty = change(healthy(), exchanges=(), queues=(), bindings=(), consumers=())
        assert errors(empty) == [("AT201", "/")]
        assert errors(registered(empty)) == [("AT201", "/")]


def test_a_healthy_report_of_an_info_alone_does_not_count_what_holds() -> None:
    report = diagnose(healthy(), [made("AT999", Problem(Subject("broker", "b"), "so it is", severity=Severity.INFO))])
    chosen = f"1 of {len(all_checks())} checks chosen"
    assert report.verdict == f"healthy: 1 finding of severity info; {chosen}"
    assert diagnose(healthy(), [made("AT999")]).verdict == f"healthy: 1 passed; {chosen}"


def test_an_ordinary_upgrade_needs_no_note() -> None:
    older = change(healthy(), version="4.0.5")
    assert target_note(older) is None
    assert target_note(msgspec.structs.replace(older, target_version="4.3")) is None
    assert target_note(msgspec.structs.replace(older, target_version="4.4")) is not None


def test_a_definitions_file_passes_no_check_of_what_it_does_not_contain(tmp_path: Path) -> None:
    """It has exchanges, queues, bindings and policies, and no counters, rates or connections."""
    file = tmp_path / "definitions.json"
    file.write_text(export_topology(load("attune-0.6"), "definitions"))
    report = diagnose_file(str(file), CheckSettings())
    passed = {r.code for r in report.results if r.status is CheckStatus.PASSED}
    needs = {c.code: set(c.needs) | {*c.needs_attempt, *c.needs_response} for c in all_checks()}
    assert {code for code in passed if needs[code] - {Source.BROKER}} == set()
    about_messages = {c.code for c in all_checks() if c.group in ("flow", "reach")}
    assert passed & about_messages == set(), "it has neither messages nor connections, and no version"
    skipped = {r.code: r.reason for r in report.results if r.status is CheckStatus.SKIPPED}
    assert skipped["AT108"] == "the broker's version is unknown"
    assert skipped["AT507"] == skipped["AT509"] == "a definitions file has no message counts"


def test_the_garbage_collector_pauses_and_what_was_made_then_is_old() -> None:
    with garbage_collection_paused():
        assert not gc.isenabled()
        made = [object()]
    assert gc.isenabled()
    assert any(o is made for o in gc.get_objects(generation=2))


def test_a_diagnosis_is_freed_without_the_garbage_collector() -> None:
    # Without a registry: a check that is skipped asks what passive declares report.
    data = encode(msgspec.structs.replace(healthy(), registry=None))
    diagnose(decode(data))  # what is made once
    gc.collect()
    gc.disable()
    try:
        diagnose(decode(data))
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_what_is_frozen_stays_so_while_the_garbage_collector_pauses() -> None:
    gc.freeze()
    try:
        with garbage_collection_paused():
            pass
        assert gc.get_freeze_count()
    finally:
        gc.unfreeze()


def test_a_report_is_not_in_full_unless_asked() -> None:
    assert not diagnose(healthy()).full


def test_a_weakness_that_does_harm_now_is_a_problem() -> None:
    quiet = diagnose(healthy("attune-0.6"))
    assert {"AT606", "AT603"} <= {f.code for f in quiet.weaknesses}
    for harm in (
        queues(healthy("attune-0.6"), "attune.events.queue", consumers=0, messages=20_000, messages_ready=20_000),
        change(healthy("attune-0.6"), dead_lettered={"rejected": 5000}),
    ):
        (problem,) = diagnose(harm).problems
        assert problem.group == "design"
        assert problem.severity is Severity.WARNING
