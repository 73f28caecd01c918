"""Ten thousand workers with the same problem: one finding, a short screen, JSON that is bounded, true counts."""

from __future__ import annotations

import base64
import gzip
import io
import json
import re
import time
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rich.console import Console

from attune_ops import render
from attune_ops.cli._main import main
from attune_ops.doctor.diagnose import diagnose
from attune_ops.doctor.findings import Report, Severity
from attune_ops.doctor.html_report import report_html
from attune_ops.model.facts import Facts, decode, encode
from attune_ops.model.snapshot import BindingState
from attune_ops.model.table import matcher
from attune_ops.monitoring.metrics import exposition, families
from attune_ops.monitoring.nagios import outcome
from tests.unit.doctor.checks.world import (
    JANUARY,
    SEPTEMBER,
    change,
    healthy,
    queues,
    without_consumers,
    without_queues,
)
from tests.unit.facts import worker
from tests.world import words_of

pytestmark = pytest.mark.slow

MANY = 10_000
LARGEST = 200_000  # bytes of JSON; it was 10 MB


@pytest.fixture(scope="module")
def many() -> Facts:
    return healthy(JANUARY, tuple(worker(i) for i in range(1, MANY + 1)))


def names(facts: Facts, begin: str = "worker.") -> list[str]:
    return [q.name for q in facts.actual.queues or () if q.name.startswith(begin)]


def unregistered(facts: Facts) -> Facts:
    return msgspec.structs.replace(facts, registry=None)


def screen(report: Report) -> list[str]:
    console = Console(file=io.StringIO(), width=100, color_system=None)
    console.print(render.form(report, "table"), markup=False, emoji=False)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def checked(report: Report, code: str) -> dict[str, Any]:
    """The one finding of the code as JSON; what must hold of every report of this size is asserted."""
    assert len(report.findings) < 15
    data = render.form(report, "json")
    assert len(msgspec.json.encode(data)) < LARGEST
    shown = screen(report)
    assert len(shown) <= 60
    assert "unhealthy" in shown[0]
    (found,) = [f for f in data["findings"] if f["code"] == code]
    assert found["severity"] == "error"
    assert (found["count"], len(found["subjects"])) == (MANY, 100)
    assert found["truncated"]["subjects"] == MANY
    full = render.form(msgspec.structs.replace(report, full=True), "json")
    (all_of_it,) = [f for f in full["findings"] if f["code"] == code]
    assert len({s["name"] for s in all_of_it["subjects"]}) == MANY
    assert "truncated" not in all_of_it
    return dict(found)


def test_no_worker_consumes(many: Facts) -> None:
    report = diagnose(without_consumers(many, *names(many)))
    found = checked(report, "AT403")
    assert "10,000 workers do not consume" in found["detail"]
    assert "(w1 to w10000)" in found["detail"]
    assert found["consequence_counts"] == {"AT304": MANY, "AT408": MANY}


def test_all_queues_are_missing(many: Facts) -> None:
    found = checked(diagnose(without_queues(many, *names(many))), "AT401")
    assert found["detail"].startswith("none of the 10,000 live workers has its queues")
    assert found["truncated"]["evidence.missing"] == MANY


def test_without_a_registry(many: Facts) -> None:
    """No check says itself what is alike: the texts do."""
    found = checked(diagnose(unregistered(without_consumers(many, *names(many)))), "AT408")
    assert found["detail"].startswith("10,000 queues alike: worker.1.executions is auto-delete")
    assert found["detail"].endswith("and 9,994 more (worker.2.executions to worker.10000.executions)")


def test_two_causes_are_two_findings(many: Facts) -> None:
    """Half lost their consumers, a quarter their queues: each is one finding with its own workers."""
    half, quarter = names(many)[: MANY // 2], names(many)[MANY // 2 : MANY * 3 // 4]
    report = diagnose(without_queues(without_consumers(many, *half), *quarter))
    found = {f.code: f for f in report.at_least(Severity.ERROR)}
    assert {code: len(f.subjects) for code, f in found.items()} == {"AT403": MANY // 2, "AT401": MANY // 4}
    assert {s.name for s in found["AT403"].subjects} == set(half)
    assert {s.name for s in found["AT401"].subjects} == set(quarter)


def test_another_text_is_another_cause() -> None:
    """The same check, without a registry: queues of two kinds, and backlogs of one kind with different amounts."""
    facts = healthy(SEPTEMBER, tuple(worker(i) for i in range(1, 9)))
    silent = [f"worker.{i}.{kind}" for i in range(1, 9) for kind in ("executions", "packs")]
    facts = unregistered(without_consumers(facts, *silent))
    for i in range(1, 9):
        facts = queues(facts, f"worker.{i}.executions", messages=i, messages_ready=i)
    report = diagnose(facts)
    found = [f for f in report.findings if f.code in ("AT304", "AT501")]
    of = Counter((f.code, f.subject.name.rpartition(".")[2], len(f.subjects)) for f in found)
    assert of == {("AT304", "packs", 8): 1, ("AT501", "executions", 8): 1}
    (backlog,) = (f for f in report.findings if f.code == "AT501")
    assert "36 messages in all" in backlog.detail
    # Two are too few to be put together.
    few = diagnose(unregistered(without_consumers(healthy(SEPTEMBER), "worker.1.packs", "worker.2.packs")))
    assert [f.subject.name for f in few.findings if f.code == "AT304"] == ["worker.1.packs", "worker.2.packs"]


def test_one_command_for_the_queues_of_all_dead_workers() -> None:
    """Of 10,000 workers 13 are live: the printed pattern matches all queues of the others, and none of theirs."""
    living = (1, 7, 70, 99, 100, 101, 1000, 4999, 5000, 5001, 9998, 9999, 10000)
    facts = healthy(SEPTEMBER, tuple(worker(i) for i in range(1, MANY + 1)))
    assert facts.registry is not None
    every = names(facts)
    dead = [q for q in every if int(q.split(".")[1]) not in living]
    registry = msgspec.structs.replace(facts.registry, workers=tuple(worker(i) for i in living))
    report = diagnose(msgspec.structs.replace(without_consumers(facts, *dead), registry=registry))
    (found,) = (f for f in report.findings if f.code == "AT407")
    (command,) = map(str, found.commands)
    assert len(command) < 1500
    matches = matcher(words_of(command)[1])
    assert [q for q in every if matches(q)] == dead


def test_counts_stay_true(many: Facts) -> None:
    """Where monitoring looks: findings by code, subjects by code, and the plug-in's numbers."""
    report = diagnose(without_consumers(many, *names(many)))
    text = exposition(families(report)).decode()
    assert 'attune_ops_findings{code="AT403",severity="error"} 1.0' in text
    assert f'attune_ops_finding_subjects{{code="AT403",severity="error"}} {MANY:.1f}' in text
    assert "'errors'=1;;0" in outcome(report, (), ()).line
    (result,) = (r for r in report.results if r.code == "AT403")
    assert result.findings == 1


def test_the_worst_five_come_first() -> None:
    """Eight workers in trouble, each in its own way: five findings are shown, the others by code."""
    facts = queues(healthy(SEPTEMBER), "worker.1.executions", arguments={"x-message-ttl": 1})
    of_services = (q for q in names(facts, "attune.") if q != "attune.inquiry.responses.queue")
    facts = without_queues(facts, "worker.2.packs", *of_services)
    facts = without_consumers(facts, "worker.3.cancel", "attune.inquiry.responses.queue")
    report = diagnose(facts)
    serious = [f for f in report.problems if f.severity is not Severity.INFO]
    assert len(serious) > 6
    lines = screen(report)
    assert sum(line.startswith(("ERROR", "WARNING")) for line in lines) <= 7
    assert any("more finding" in line and "--all shows them" in line for line in lines)


def test_a_baseline_needs_all_subjects(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A report without all names cannot be a baseline, and the error says how to make one."""
    facts = healthy(JANUARY, tuple(worker(i) for i in range(1, 151)))
    file = tmp_path / "facts.json"
    file.write_bytes(encode(without_consumers(facts, *names(facts))))

    def doctor(*more: str) -> tuple[int, str, str]:
        status = main(["doctor", "--from", str(file), "--format", "json", *more])
        return status, *capsys.readouterr()

    short, full = tmp_path / "short.json", tmp_path / "full.json"
    short.write_text(doctor()[1])
    full.write_text(doctor("--full")[1])
    status, _, said = doctor("--baseline", str(short))
    assert status == 2
    assert "write it with --format json --full" in said
    status, said, _ = doctor("--baseline", str(full))
    assert [f for f in json.loads(said)["findings"] if f["severity"] == "error"] == []


def test_the_page_of_many_is_bounded(many: Facts) -> None:
    """Ten thousand workers and many more bindings: the page says what it leaves out; the snapshot is whole."""
    seen = many.actual
    more = tuple(BindingState("/", "attune.events", "attune.events.queue", f"more.{i}") for i in range(30_000))
    facts = change(without_consumers(many, *names(many)), bindings=(*(seen.bindings or ()), *more))
    page = report_html(diagnose(facts))
    assert len(page.encode()) < 10_000_000
    assert "The first 5,000 of 10,003 rows" in page
    attached = re.search(r"data:application/gzip;base64,([A-Za-z0-9+/=]+)", page)
    assert attached is not None
    whole = decode(gzip.decompress(base64.b64decode(attached[1])))
    assert len(whole.actual.bindings or ()) == len(facts.actual.bindings or ())


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("state", "topology", "each"),
    [
        ("healthy", JANUARY, 1),
        ("healthy", "attune-0.6", 4),
        ("unconsumed", JANUARY, 1),
        ("unconsumed", "attune-0.6", 4),
        ("unregistered", JANUARY, 1),
    ],
)
def test_twice_as_many_take_twice_as_long(state: str, topology: str, each: int) -> None:
    """Processor time of a diagnosis of 20,000 queues against 10,000, each from its file; the JSON does not grow.

    A worker has `each` queues.
    """

    def file(queues: int) -> bytes:
        facts = healthy(topology, tuple(worker(i) for i in range(1, queues // each + 1)))
        facts = facts if state == "healthy" else without_consumers(facts, *names(facts))
        return encode(unregistered(facts) if state == "unregistered" else facts)

    def measured(data: bytes) -> tuple[float, int]:
        times = []
        for _ in range(3):
            facts = decode(data)
            began = time.process_time()
            report = diagnose(facts)
            times.append(time.process_time() - began)
        return min(times), len(msgspec.json.encode(render.form(report, "json")))

    small, large = file(MANY), file(2 * MANY)
    for _ in range(3):  # beside other load a cache may be cold; a quadratic step would show each time
        (once, size), (twice, larger) = measured(small), measured(large)
        if twice < 2.5 * once:
            break
    assert twice < 2.5 * once
    assert larger < 1.1 * size
