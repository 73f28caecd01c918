"""A report in every form: what INTERFACE promises, what fits a terminal, and names that mean harm."""

from __future__ import annotations

import csv
import io
import json
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
from attune_ops.doctor.findings import Check, CheckPages, Report, Severity
from attune_ops.model.snapshot import QueueState
from attune_ops.render import wire
from attune_ops.render.terminal import Hanging
from tests.hostile import NAMES, is_safe, names
from tests.unit.doctor.checks.firing import CASES
from tests.unit.doctor.checks.world import (
    EXECUTIONS,
    JANUARY,
    W1,
    change,
    healthy,
    more_queues,
    without_exchange,
    without_queues,
)
from tests.unit.facts import worker

ROOT = Path(__file__).parents[3]
FORMS = ("table", "text", "json", "csv", "markdown", "html", "junit")


def broken() -> Report:
    return diagnose(without_queues(healthy(), W1, EXECUTIONS))


def hostile(name: str) -> Report:
    """A report whose findings, consequences, reasons and heading are full of a name."""
    facts = more_queues(healthy(), QueueState(f"attune.{name}", "/", state="crashed"))
    facts = change(facts, cluster=name, alarms=(name,), nodes=None)
    return diagnose(msgspec.structs.replace(facts, env=name, vhost=name))


def on_terminal(report: Report, width: int = 80) -> str:
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
        "broker": {"product": "RabbitMQ", "version": "4.3.6", "cluster": None, "nodes": ["rabbit@a"]},
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


def test_the_terminal_form_reads_as_assurances_with_reasons_below() -> None:
    lines = on_terminal(broken()).splitlines()
    at = lines.index("× error   AT401 every live worker has its queues")
    assert lines[at + 1].strip() == "worker 1 (w1) is registered as active, but has no queue worker.1.executions"
    assert any("→ Restart the worker" in line for line in lines[at + 1 : at + 16])
    assert "√ ok      AT403 every live worker consumes from its queues" in lines
    assert "Workers" in lines
    assert next(line for line in lines[-4:] if line.startswith("×")).startswith("× unhealthy: 2 errors, 4 warnings, ")


@pytest.mark.parametrize("report", [broken(), *(diagnose(c.facts) for c in CASES[::5])], ids=lambda r: r.verdict[:40])
def test_the_terminal_form_fits_80_columns(report: Report) -> None:
    assert max(map(cell_len, on_terminal(report).splitlines())) <= 80


def test_many_findings_of_a_check_are_folded_for_people_alone() -> None:
    fifty = healthy(JANUARY, tuple(worker(i) for i in range(1, 52)))
    report = diagnose(without_queues(fifty, *(f"worker.{i}.executions" for i in range(1, 51))))
    assert "and 45 more: worker.6.executions" in on_terminal(report)
    assert sum(f["code"] == "AT401" for f in render.form(report, "json")["findings"]) == 50


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
    assert diagnose(healthy()).verdict == (
        f"degraded: 0 errors, 4 warnings, {len(all_checks()) - 6} passed; all warnings are about the design of "
        f"{JANUARY}, no problems on the broker"
    )
    assert broken().count(Severity.ERROR) == 2


def test_a_check_that_wraps_goes_on_under_its_code() -> None:
    lines = on_terminal(broken(), 50).splitlines()
    wrapped = [line for line in lines if line.startswith(" " * 10) and "explained by" in line]
    assert wrapped
    assert not [line for line in lines if line.startswith(("(explained", "explained", "AT"))]


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
