"""Workers that have the same problem are one finding."""

from __future__ import annotations

import io
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from attune_ops import render
from attune_ops.doctor.alike import merged, together
from attune_ops.doctor.checks import all_checks
from attune_ops.doctor.diagnose import diagnose
from attune_ops.doctor.findings import Baseline, Check, Finding, Problem, Severity, Subject, SubjectKind
from attune_ops.model.command_lines import DECLARE, CommandLine, reap
from attune_ops.model.facts import Facts
from attune_ops.model.registry import Worker
from tests.unit.doctor.checks.world import (
    EVENTS,
    JANUARY,
    SEPTEMBER,
    accepted,
    change,
    executing,
    execution,
    healthy,
    queues,
    stale,
    without_bindings,
    without_consumers,
    without_queues,
)
from tests.unit.facts import NOW, worker
from tests.world import words_of

IDS = range(1, 26)


def test_workers_that_died_in_the_same_way_are_one_finding(tmp_path: Path) -> None:
    """In each form with list and count; JSON has each worker's data too."""
    many = tuple(stale(i) for i in IDS)
    named = [f"worker.{i}.executions" for i in IDS]
    facts = without_queues(healthy(JANUARY, (*many, worker(26))), *named)
    report = diagnose(facts)
    (finding,) = report.at_least(Severity.ERROR)
    assert (finding.code, finding.subject.name, len(finding.others)) == ("AT409", "w1", 24)
    said = "25 workers are registered as running, but their heartbeats are old; crashed: no connection"
    assert finding.detail == f"{said}: w1, w2, w3, w4, w5 and 20 more (w1 to w25)"
    (data,) = [f for f in render.form(report, "json")["findings"] if f["code"] == "AT409"]
    assert [s["name"] for s in data["subjects"]] == [w.name for w in many]
    assert [(e["subject"], e["worker"], e["process"]) for e in data["evidence"]["each"]] == [
        (w.name, w.id, "crashed: no connection") for w in many
    ]
    (command,) = data["commands"]
    assert words_of(command) == ["retire", "/^(?:[1-9]|1[0-9]|2[0-5])$/", "--apply"]
    console = Console(file=io.StringIO(), width=80, color_system=None)
    console.print(render.form(report, "table"), markup=False, emoji=False)
    assert isinstance(console.file, io.StringIO)
    for form in ("html", "markdown"):
        assert said in render.form(report, form)
    assert said.split(";")[0] in " ".join(console.file.getvalue().split())
    # A baseline knows all of them, or it is a finding.
    assert diagnose(facts, known=accepted(report, tmp_path)).at_least(Severity.ERROR) == ()
    of_one = Baseline({finding.key: finding.severity}, frozenset(c.key for c in finding.consequences))
    assert diagnose(facts, known=of_one).at_least(Severity.ERROR) == (finding,)


def test_queues_of_workers_that_crashed_in_the_same_way_are_one_finding() -> None:
    """They are set to inactive by the executor; the queues stay, with messages."""
    crashed = tuple(stale(i, status="inactive", updated=None) for i in IDS)
    names = [q.name for i in IDS for q in healthy(SEPTEMBER).topology.worker_queues(i)]
    facts = without_consumers(healthy(SEPTEMBER, (*crashed, worker(26))), *names)
    report = diagnose(queues(facts, names[::4], messages=2, messages_ready=2))
    (finding,) = report.at_least(Severity.ERROR)
    assert (finding.code, len(finding.others)) == ("AT407", 24)
    assert finding.detail.startswith("25 workers left queues (stopped; no connection); 50 messages in them: ")
    (command,) = map(str, finding.commands)
    pattern = words_of(command)[1]
    from attune_ops.model.table import matcher

    assert all(matcher(pattern)(n) for n in names)
    assert not matcher(pattern)("worker.26.executions")


def test_workers_without_their_bindings_are_one_finding() -> None:
    """Nobody consumes from these queues: no command binds them."""
    gone = tuple(worker(i, last_heartbeat=NOW - timedelta(seconds=50), created=NOW - timedelta(days=9)) for i in IDS)
    named = {f"worker.{i}.executions" for i in IDS}
    queues_of = [q.name for i in IDS for q in healthy(SEPTEMBER).topology.worker_queues(i)]
    silent = without_consumers(healthy(SEPTEMBER, (*gone, worker(26))), *queues_of)
    found = diagnose(without_bindings(silent, lambda b: b.destination in named)).at_least(Severity.ERROR)
    (finding,) = (f for f in found if f.code == "AT402")
    assert finding.detail == (
        "25 bindings of workers are missing (crashed: no connection): w1, w2, w3, w4, w5 and 20 more (w1 to w25)"
    )
    assert len(finding.subjects) == 25
    assert finding.commands == ()
    assert finding.remedy.startswith("Start the worker's process again")


def test_consuming_workers_without_their_bindings_get_one_command_or_the_first_few() -> None:
    """One command binds all of them where nothing else is missing: else it would bind what nobody reads."""
    facts = healthy(SEPTEMBER, tuple(worker(i) for i in IDS))
    unbound = without_bindings(facts, lambda b: b.destination.endswith(".executions"))

    def found(facts: Facts) -> Finding:
        (finding,) = (f for f in diagnose(facts).findings if f.code == "AT402")
        assert len(finding.subjects) == 25
        return finding

    assert found(unbound).commands == (DECLARE,)
    finding = found(without_queues(unbound, EVENTS))
    assert [words_of(str(c))[-2] for c in finding.commands] == [f"worker.{i}.executions" for i in range(1, 6)]
    assert finding.remedy.endswith("20 more commands: --format json --full.")


def test_executions_that_wait_for_several_workers_are_all_counted() -> None:
    """Those of workers with another state of their process are another finding."""
    workers = tuple(worker(i, last_heartbeat=NOW - timedelta(seconds=60)) for i in range(1, 7))
    waiting = [execution(10 * w.id + k, "scheduled", 5.2, worker=w.id) for w in workers for k in range(4)]
    facts = executing(healthy(SEPTEMBER, workers), *waiting)
    (all_of_them,) = (f for f in diagnose(facts).findings if f.code == "AT413")
    assert all_of_them.detail.startswith(
        "24 executions alike: 4 executions (10, 11, 12 and 1 more) in status scheduled"
    )
    assert all_of_them.detail.endswith("; also 20, 21, 22, 23, 30 and 15 more (20 to 63)")
    queues_of = [q.name for i in (4, 5, 6) for q in facts.topology.worker_queues(i)]
    silent = without_consumers(facts, *queues_of)
    (waits,) = (c for c in all_checks() if c.code == "AT413")
    states = {f.evidence["each"][0]["process"] for f in diagnose(silent, [waits]).findings}
    assert states == {"connected", "crashed: no connection"}


def test_subjects_of_one_name_are_a_baseline(tmp_path: Path) -> None:
    """The consumers of replicas have one tag, and registries before 2026-02-05 may have a name twice."""
    facts = healthy(SEPTEMBER)
    tag = "executor.scheduler"
    replicas = (
        msgspec.structs.replace(c, prefetch=1, connection=f"c{i}")
        for c in facts.actual.consumers or ()
        for i in range(3 if c.tag == tag else 0)
    )
    others = (c for c in facts.actual.consumers or () if c.tag != tag)
    report = diagnose(change(facts, consumers=(*others, *replicas)))
    (finding,) = (f for f in report.findings if f.code == "AT406")
    assert [s.name for s in finding.subjects] == [tag] * 3
    assert accepted(report, tmp_path).accepts(finding)


def test_two_are_two_findings_and_three_are_one() -> None:
    for dead, found in (((1, 2), [("w1", 0), ("w2", 0)]), ((1, 2, 3), [("w1", 2)])):
        registry = (*(stale(i) for i in dead), worker(4))
        facts = without_queues(healthy(JANUARY, registry), *(f"worker.{i}.executions" for i in dead))
        assert [(f.subject.name, len(f.others)) for f in diagnose(facts).at_least(Severity.ERROR)] == found


def found_of(*problems: Problem, workers: tuple[Worker, ...] | None = None) -> tuple[Finding, ...]:
    """The findings of a check that yields these problems."""
    made = Check("AT999", "made-up", "flow", "nothing is yielded", Severity.WARNING, (), lambda facts: iter(problems))
    return diagnose(healthy(JANUARY, workers), [made]).findings


def test_problems_of_one_cause_by_their_number_and_kind() -> None:
    def problems(kind: SubjectKind, count: int) -> list[Problem]:
        names = [f"{kind} {i}" for i in range(1, count + 1)]
        return [Problem(Subject(kind, n), "it stands", {"messages": 2}, alike="cause") for n in names]

    for count, findings in (2, 2), (3, 1):
        assert len(found_of(*problems("queue", count))) == findings
    found = found_of(*problems("queue", 3), *problems("policy", 4), *problems("node", 2))
    assert sorted((f.subject.kind, len(f.subjects)) for f in found) == [
        ("node", 1), ("node", 1), ("policy", 4), ("queue", 3),
    ]  # fmt: skip
    details = {f.subject.kind: f.detail for f in found}
    assert details["queue"] == "3 queues alike: it stands; also queue 2, queue 3; 6 messages in all"
    assert details["policy"].startswith("4 policies alike: ")


def test_a_problem_of_several_subjects_stays_one_by_itself() -> None:
    several = [
        Problem(Subject("queue", f"q{i}"), "they stand", others=(Subject("queue", f"also {i}"),), alike="cause")
        for i in range(4)
    ]
    assert [[s.name for s in f.subjects] for f in found_of(*several)] == [[f"q{i}", f"also {i}"] for i in range(4)]


@pytest.mark.parametrize(
    ("kind", "name", "evidence", "findings"),
    [
        ("worker", "w{}", {"worker": "{}"}, 1),
        ("queue", "worker.{}.executions", {}, 1),
        ("binding", "to {}", {"queue": "worker.{}.executions"}, 1),
        ("binding", "to {}", {"queue": "jobs.{}"}, 3),
        ("queue", "jobs.{}", {}, 3),
    ],
)
def test_problems_that_say_the_same_of_several_workers(
    kind: SubjectKind, name: str, evidence: dict[str, str], findings: int
) -> None:
    def problem(i: int) -> Problem:
        filled = {k: int(v.format(i)) if k == "worker" else v.format(i) for k, v in evidence.items()}
        return Problem(Subject(kind, name.format(i)), f"worker {i} has {i + 7} messages", filled)

    assert len(found_of(*map(problem, (1, 2, 3)))) == findings


def test_workers_differ_in_name_and_id_but_not_in_another_number() -> None:
    names = {1: "alpha", 2: "beta", 3: "gamma"}
    workers = tuple(worker(i, name=n) for i, n in names.items())

    def findings(text: str) -> int:
        problems = [
            Problem(Subject("worker", n), text.format(i, n, 10 - i), {"worker": i, "name": n}) for i, n in names.items()
        ]
        return len(found_of(*problems, workers=workers))

    assert findings("{1} has worker.{0}.executions and {2} messages") == 1
    assert findings("{1} has worker.{0}.executions on node{2}") == 3


def test_the_first_five_commands_are_printed_and_the_others_are_counted() -> None:
    named = [f"q{i}" for i in range(1, 8)]
    commands = [CommandLine(("fix", n)) for n in named]
    several = [
        Problem(Subject("queue", n), "it stands", commands=(c,), alike="cause")
        for n, c in zip(named, commands, strict=True)
    ]
    (finding,) = found_of(*several)
    assert finding.commands == tuple(commands[:5])
    assert finding.remedy.endswith("2 more commands: --format json --full.")


def test_the_commands_of_one_subject_stay_together() -> None:
    """To unbind the wrong key without binding the right one would make it worse."""
    of = [(CommandLine(("unbind", f"{i}")), CommandLine(("bind", f"{i}"))) for i in range(4)]
    last = (CommandLine(("bind", "4")),)  # there would be room for it, but not for those before
    (finding,) = found_of(
        *(Problem(Subject("queue", f"q{i}"), "it stands", commands=c, alike="cause") for i, c in enumerate((*of, last)))
    )
    assert finding.commands == (*of[0], *of[1])
    assert finding.remedy.endswith("5 more commands: --format json --full.")


def test_a_check_merges_three_with_one_key_and_severity() -> None:
    def made(*severities: Severity | None) -> list[int]:
        found = [("key", Problem(Subject("queue", f"q{i}"), "so", severity=s)) for i, s in enumerate(severities)]
        return [p.evidence.get("count", 1) for p in merged(found, lambda problems: f"{len(problems)} so")]

    assert made(None, None) == [1, 1]
    assert made(None, None, None) == [3]
    assert made(None, None, Severity.INFO, None) == [3, 1]


def test_the_first_of_several_gives_the_subject_and_what_is_said() -> None:
    def several(*names: str) -> list[Problem]:
        kinds: tuple[SubjectKind, ...] = ("queue", "policy", "node")
        return [Problem(Subject(k, n), f"{n} stands", remedy=f"Mend {n}.") for k, n in zip(kinds, names, strict=True)]

    one = together(several("b", "c", "a"))
    assert (one.subject, one.remedy) == (Subject("queue", "b"), "Mend b.")
    assert one.message == "3 queues alike: b stands; also c, a"
    assert [s.name for s in one.others] == ["c", "a"]


def test_one_of_several_keeps_the_related_and_the_commands_of_each() -> None:
    fix = CommandLine(("fix", "b"))
    several = [
        Problem(Subject("queue", "a"), "a stands", related={"exchange": ("x", "y")}),
        Problem(Subject("queue", "b"), "b stands", related={"exchange": ("y", "z"), "user": ("u",)}, commands=(fix,)),
    ]
    one = together(several)
    assert one.related == {"exchange": ("x", "y", "z"), "user": ("u",)}
    assert one.commands == (fix,)
    assert one.evidence["each"] == [
        {"subject": "a", "detail": "a stands"},
        {"subject": "b", "detail": "b stands", "commands": [str(fix)]},
    ]


def test_queues_are_reaped_together_where_each_is_reaped() -> None:
    def commands(*others: CommandLine) -> tuple[CommandLine, ...]:
        each = [(n, (reap(n), *others)) for n in ("a", "b", "c")]
        return together([Problem(Subject("queue", n), "it stands", commands=c) for n, c in each]).commands

    fix = CommandLine(("fix", "all"))
    assert commands() == (reap("a", "b", "c"),)
    assert commands(fix) == (reap("a"), fix, reap("b"), reap("c"))
