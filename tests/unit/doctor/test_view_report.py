"""A report in every form: what INTERFACE promises, what fits a terminal, and names that mean harm."""

from __future__ import annotations

import csv
import io
import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text as TextOf

from attune_ops import render
from attune_ops.doctor.checks import all_checks
from attune_ops.doctor.diagnose import diagnose
from attune_ops.doctor.findings import Check, CheckPages, CheckStatus, Report, Severity
from attune_ops.doctor.reports import EnvironmentReport, Reports
from attune_ops.doctor.screen import Screen
from attune_ops.inventory.queues import queues
from attune_ops.model.facts import Source
from attune_ops.model.secret import Secret
from attune_ops.model.snapshot import QueueState
from attune_ops.render import wire
from attune_ops.render.terminal import Hanging
from tests.hostile import NAMES, is_safe, names
from tests.unit.doctor.checks.firing import CASES
from tests.unit.doctor.checks.world import (
    EXECUTIONS,
    FLAWLESS,
    JANUARY,
    SEPTEMBER,
    W1,
    bound,
    change,
    healthy,
    more_queues,
    without_exchange,
    without_queues,
)
from tests.unit.facts import queue, worker

ROOT = Path(__file__).parents[3]
FORMS = ("table", "text", "json", "csv", "markdown", "html", "junit")


def broken() -> Report:
    return diagnose(without_queues(healthy(), W1, EXECUTIONS))


def hostile(name: str) -> Report:
    """A report whose findings, consequences, reasons and heading are full of a name."""
    facts = more_queues(healthy(), QueueState(f"attune.{name}", "/", state="crashed"))
    facts = change(facts, cluster=name, alarms=(name,), nodes=None)
    return diagnose(msgspec.structs.replace(facts, env=name, vhost=name))


def on_terminal(report: Report | Reports | Screen, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(render.form(report, "table"), markup=False, emoji=False)
    written = console.file
    assert isinstance(written, io.StringIO)
    return written.getvalue()


def test_what_is_worst_is_what_it_offers_to_explain() -> None:
    report = broken()
    report = msgspec.structs.replace(report, findings=report.findings[::-1])
    assert report.findings[0].severity is not Severity.ERROR, "else this shows nothing"
    offered = on_terminal(report).partition("Why: attune-ops doctor --explain ")[2][:5]
    assert {f.severity for f in report.findings if f.code == offered} == {Severity.ERROR}


def test_json_has_the_promised_members() -> None:
    data = json.loads(wire.json_text(render.form(broken(), "json")))
    assert data["schema"] == "attune-ops/doctor/1"
    assert set(data) >= {"schema", "target", "taken_at", "duration_ms", "summary", "findings", "checks"}
    assert data["target"] == {
        "env": None,
        "vhost": "/",
        "topology": JANUARY,
        "recognised": False,
        "broker": {"product": "RabbitMQ", "version": "4.3.6", "cluster": "attune", "nodes": ["rabbit@a"]},
        "registry": {"kind": "sqlite", "workers": 3},
    }
    assert data["taken_at"] == "2026-01-16T12:00:00Z"
    assert data["summary"]["status"] == "unhealthy"
    assert set(data["summary"]["counts"]) == {"error", "warning", "info", "ok", "skipped"}
    finding = next(f for f in data["findings"] if f["code"] == "AT401")
    assert finding["subject"] == {"kind": "queue", "name": W1, "vhost": "/"}
    assert set(finding) >= {"code", "check", "severity", "title", "detail", "evidence", "remedy", "commands"}
    check = next(c for c in data["checks"] if c["code"] == "AT401")
    assert (check["check"], check["status"], check["findings"]) == ("worker-queues", "error", 1)
    assert {c["status"] for c in data["checks"]} <= {"ok", "info", "warning", "error", "skipped"}


def test_a_finding_is_headed_by_its_own_sentence() -> None:
    lines = on_terminal(broken()).splitlines()
    assert lines[0].startswith("× unhealthy: 2 errors, ")
    at = next(i for i, line in enumerate(lines) if line.startswith("ERROR    worker.1.executions is missing: work for"))
    assert lines[at].endswith("   AT401")
    block = lines[at : at + 12]
    assert any("→ Run the doctor again after 45 s" in line for line in block)
    assert not any("topology apply" in line for line in block), "nobody would read that queue"
    assert "every live worker has its queues" not in "".join(lines), "the title is only for a check that passed"


def test_the_rest_is_a_line_each() -> None:
    lines = on_terminal(broken(), 200).splitlines()
    passed = sum(r.status is CheckStatus.PASSED for r in broken().results if r.group == "workers")
    assert f"√ Workers          {passed} passed" in lines
    assert "! Known weaknesses 5 of attune-2026-01: AT606 (2), AT607, AT610, AT611; --design shows them" in lines


@pytest.mark.parametrize("width", [80, 160])
def test_the_choices_of_the_screen(width: int) -> None:
    report = diagnose(change(without_queues(healthy(), W1, EXECUTIONS), version="4.0.5"))
    assert "i Upgrade notes    1: AT703; --upgrade shows it" in on_terminal(report, width).splitlines()
    every = on_terminal(Screen(report, every=True), width)
    assert all(r.code in every for r in report.results)
    assert "√ ok      AT403 every live worker consumes from its queues" in every.splitlines()
    assert "causes AT301: " in every
    assert "AT607" not in on_terminal(Screen(report), width).replace("AT606 (2), AT607", "")
    assert "deleted with its last consumer" in on_terminal(Screen(report, design=True), width)
    assert "RabbitMQ 4.3 denies" in on_terminal(Screen(report, upgrade=True), width)
    quiet = on_terminal(Screen(report, quiet=True), width).splitlines()
    assert quiet[0] == f"× {report.headline}"
    assert quiet[2].startswith("ERROR ")
    assert not [line for line in quiet if "passed" in line and line != quiet[0]]


def test_the_summary_is_one_line_and_the_last() -> None:
    report = broken()
    summary = render.form(Screen(report, summary=True), "text")
    assert "\n" not in summary
    assert summary == render.form(report, "text").splitlines()[-1]
    assert summary.startswith(f"× {report.headline}; {report.findings[0].detail} (and 1 more); $ attune-ops ")


def test_a_command_that_only_shows_more_is_quoted_as_that() -> None:
    report = diagnose(without_queues(healthy(), W1))
    assert not report.problems[0].commands
    summary = render.form(Screen(report, summary=True), "text")
    assert summary.endswith("is lost; see $ attune-ops workers w1")
    assert on_terminal(report).splitlines()[-1] == "  see $ attune-ops workers w1"


def test_why_a_check_was_skipped_is_read_in_full() -> None:
    reason = f"registry sqlite:////srv/{'attune/' * 9}registry.sqlite: no execution table"
    skipped = on_terminal(diagnose(msgspec.structs.replace(healthy(), missing={Source.EXECUTIONS: reason})))
    assert f":{reason}".replace(" ", "") in "".join(skipped.split())


def test_a_live_worker_comes_before_an_orphaned_queue() -> None:
    orphan = queue("worker.77.executions", durable=True, arguments={"x-message-ttl": 1}, messages=5, consumers=0)
    report = diagnose(without_queues(more_queues(healthy(), orphan), W1))
    assert [f.subject.name for f in report.at_least(Severity.ERROR)] == [W1, orphan.name]
    assert "worker.1.executions" in report.verdict
    lines = on_terminal(report).splitlines()
    assert lines.index(next(x for x in lines if W1 in x)) < lines.index(next(x for x in lines if orphan.name in x))


def test_a_severity_is_the_same_in_every_form() -> None:
    for case in CASES:
        report = diagnose(case.facts)
        data = render.form(report, "json")
        worst: dict[str, str] = {}
        for f in data["findings"]:
            worst.setdefault(f["code"], f["severity"])
        assert {c["code"]: c["status"] for c in data["checks"] if c["findings"]} == worst
        shown = on_terminal(Screen(report, every=True), 200).splitlines()
        for f in report.findings:
            assert [line for line in shown if line.startswith(str(f.severity).upper()) and line.endswith(f.code)], f


def test_a_code_is_a_link_where_the_terminal_can() -> None:
    console = Console(file=io.StringIO(), width=80, force_terminal=True, color_system="standard")
    with console.capture() as capture:
        console.print(render.form(broken(), "table"))
    link = re.search(r"\x1b\]8;id=[0-9-]+;file://[^/]*([^\x1b]*)\x1b\\(?:\x1b\[[0-9;]*m)?(AT[0-9]+)", capture.get())
    assert link is not None
    code = link[2]
    file, _, fragment = link[1].partition("#")
    assert f"### {code} " in Path(file).read_text()
    assert fragment.startswith(f"{code.lower()}-")
    assert "\x1b" not in render.form(broken(), "text")


@pytest.mark.parametrize("report", [broken(), *(diagnose(c.facts) for c in CASES[::5])], ids=lambda r: r.verdict[:40])
def test_the_terminal_form_fits_80_columns(report: Report) -> None:
    assert max(map(cell_len, on_terminal(report).splitlines())) <= 80


def test_many_findings_of_a_check_are_folded_for_people_alone() -> None:
    facts = healthy(JANUARY)
    for i in range(1, 21):
        facts = bound(facts, "attune.events", EXECUTIONS, f"rule.{i}")
    report = diagnose(facts)
    assert "and 17 more AT207: attune.events" in on_terminal(report)
    assert "'rule.20'" in on_terminal(Screen(report, every=True))
    assert sum(f["code"] == "AT207" for f in render.form(report, "json")["findings"]) == 20


def test_fifty_names_stand_in_the_one_finding() -> None:
    report = diagnose(without_exchange(healthy(JANUARY, tuple(worker(i) for i in range(1, 51))), "attune.executions"))
    (finding,) = [f for f in render.form(report, "json")["findings"] if f["severity"] == "error"]
    named = json.dumps(finding)
    assert all(f"worker.{i}.executions" in named for i in range(1, 51))


def test_junit_is_valid() -> None:
    root = ET.fromstring(render.form(broken(), "junit"))
    assert root.tag == "testsuites"
    assert int(root.attrib["tests"]) == len(all_checks())
    cases = root.findall("testsuite/testcase")
    assert len(cases) == len(all_checks())
    failed = {c.attrib["name"]: c.find("failure") for c in cases if c.find("failure") is not None}
    assert failed["AT401 worker-queues"] is not None
    assert sum(int(s.attrib["failures"]) for s in root) == int(root.attrib["failures"]) == len(failed)
    skipped = ET.fromstring(render.form(diagnose(msgspec.structs.replace(healthy(), reach=())), "junit"))
    assert int(skipped.attrib["skipped"]) > 0
    assert skipped.find("testsuite/testcase/skipped") is not None


@pytest.mark.parametrize("form", [f for f in FORMS if f not in ("json", "csv")])
def test_each_form_says_that_an_environment_is_incomplete(form: str) -> None:
    report, told = diagnose(healthy()), []
    for silent in (True, False):
        reports = Reports((EnvironmentReport("e", report, silent=silent),), report.taken_at)
        said = on_terminal(reports) if form == "table" else render.form(reports, form)
        told.append("an answer did not come in time" in " ".join(said.split()))
        if form == "junit":
            assert ET.fromstring(said).get("errors") == str(int(silent))
    assert told == [True, False]


def test_several_environments_stand_in_one_document() -> None:
    report = broken()
    failed, whole = EnvironmentReport("a", error="no such host"), EnvironmentReport("b", report)
    assert (whole.headline, whole.verdict) == (report.headline, report.verdict)
    assert failed.headline == failed.verdict == "not diagnosed: no such host"
    root = ET.fromstring(render.form(Reports((failed, whole), report.taken_at), "junit"))
    groups = [s.attrib["name"] for s in ET.fromstring(render.form(report, "junit"))]
    assert [s.attrib["name"] for s in root] == ["a", *(f"b.{name}" for name in groups)]
    assert int(root.attrib["tests"]) == 1 + len(all_checks())


def test_junit_has_the_time_of_each_check_in_seconds() -> None:
    report = broken()
    results = tuple(msgspec.structs.replace(r, duration_ms=2000.0) for r in report.results)
    root = ET.fromstring(render.form(msgspec.structs.replace(report, results=results), "junit"))
    assert {c.attrib["time"] for c in root.findall("testsuite/testcase")} == {"2.000"}
    assert all(s.attrib["time"] == f"{2 * len(s)}.000" for s in root)
    assert root.attrib["time"] == f"{2 * len(results)}.000"


def test_html_stands_alone() -> None:
    page = render.form(broken(), "html")
    assert "worker.1.executions" in page
    for word in ("href=", "src=", "url(", "<script", "<link", "@import"):
        assert word not in page


def test_csv_and_frame_have_a_row_for_each_finding() -> None:
    report = broken()
    rows = list(csv.DictReader(io.StringIO(render.form(report, "csv"))))
    assert [r["code"] for r in rows] == [f.code for f in report.findings]
    frame = report.frame
    assert list(frame["subject"]) == [f.subject.name for f in report.findings]
    assert frame.attrs["status"] == "unhealthy"


def test_markdown_has_tables() -> None:
    text = render.form(broken(), "markdown")
    assert text.startswith("**unhealthy: 2 errors")
    assert "| error AT401 |" in text


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("form", FORMS)
def test_hostile_names_are_shown_and_do_nothing(form: str, name: str) -> None:
    check_form(form, hostile(name))


@settings(max_examples=30, deadline=None)
@given(name=names)
def test_any_name(name: str) -> None:
    report = hostile(name)
    for form in FORMS:
        check_form(form, report)


def check_form(form: str, report: Report) -> None:
    if form == "table":
        assert is_safe(on_terminal(report))
        return
    made = render.form(report, form)
    if form == "json":
        assert json.loads(wire.json_text(made))["target"]["vhost"] == report.facts.vhost
    elif form == "junit":
        ET.fromstring(made)
    elif form == "html":
        assert "<script>" not in made
        assert "<img" not in made
    else:
        assert is_safe(made.replace("\r\n", "\n"))


def test_the_page_of_checks_is_what_the_checks_say() -> None:
    page = render.form(CheckPages(all_checks()), "markdown")
    written = (ROOT / "docs" / "checks.md").read_text()
    assert written == page + "\n" * (not page.endswith("\n")), (
        "docs/checks.md is out of date: attune-ops doctor --explain all --format markdown > docs/checks.md"
    )


def test_verdicts() -> None:
    passed = len(all_checks()) - 6
    assert diagnose(healthy()).verdict == f"degraded: no problems except 5 known weaknesses; {passed} passed"
    assert broken().count(Severity.ERROR) == 2
    assert diagnose(healthy(FLAWLESS)).headline.startswith("healthy: ")


def test_a_healthy_screen_fits_a_terminal() -> None:
    for facts in (healthy(), healthy(SEPTEMBER), healthy(FLAWLESS)):
        lines = on_terminal(diagnose(facts)).splitlines()
        assert len(lines) <= 24
        assert lines[0] == lines[-1], "the verdict is first and last"


def test_a_check_that_wraps_goes_on_under_its_code() -> None:
    facts = msgspec.structs.replace(healthy(), missing={Source.NODES: "the reason is long " * 4})
    lines = on_terminal(Screen(diagnose(facts), every=True), 50).splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("– skipped AT110"))
    assert lines[at + 1].startswith(" " * 10 + "the reason")


@pytest.mark.parametrize("width", [24, 40, 79])
def test_what_hangs_loses_no_word(width: int) -> None:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    words = " ".join(f"word{i}" for i in range(40))
    with console.capture() as capture:
        console.print(Hanging(TextOf(f"! warning {words}"), 10))
    first, *others = capture.get().splitlines()
    assert others
    assert all(line.startswith(" " * 10 + "word") for line in others)
    assert all(len(line.rstrip()) <= width for line in (first, *others))
    assert " ".join(" ".join((first, *others)).split()) == f"! warning {words}"


def test_an_explanation_is_left_to_the_terminal_to_wrap() -> None:
    pages = CheckPages(tuple(c for c in all_checks() if "\n" in c.explanation.split("\n\n")[-1]))
    assert pages.checks
    for check, page in zip(pages.checks, map(form_of, pages.checks), strict=True):
        paragraphs = [" ".join(p.split("\n")) for p in check.explanation.split("\n\n")]
        assert set(paragraphs) <= set(page.splitlines())


def form_of(check: Check) -> str:
    text = render.form(CheckPages((check,)), "text")
    assert isinstance(text, str)
    return text


@pytest.mark.parametrize("width", range(21, 121, 3))
def test_a_wrapped_secret_is_masked(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    secret, password = "Sekrit42x and more of it", "hunter2hunter2"
    report = hostile(f"a name with {secret} and amqp://user:{password}@host/ in it")
    table = queues(report.facts)  # a narrow one leaves columns out, perhaps the one with the secret
    for value in (report, Screen(report, every=True), table):
        render.show(value, "table", secrets=(Secret(secret),))
        printed = "".join(capsys.readouterr().out.split())
        assert "***" in printed or value is table
        assert "".join(secret.split()) not in printed
        assert password not in printed
