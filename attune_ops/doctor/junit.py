"""A diagnosis as JUnit XML, which every CI system shows."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from datetime import UTC
from itertools import groupby

from attune_ops.doctor.findings import CheckResult, CheckStatus, Report, Severity
from attune_ops.doctor.reports import LATE, Reports

# Characters that XML 1.0 does not allow.
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def document(report: Report) -> str:
    """A suite for each group of consecutive checks, a case for each check."""
    root = ET.Element("testsuites", {"name": "attune-ops doctor"} | _numbers(report, report.results))
    stamp = report.taken_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")
    for group, members in groupby(report.results, key=lambda r: r.group):
        results = list(members)
        suite = ET.SubElement(
            root, "testsuite", {"name": _legal(group), "timestamp": stamp} | _numbers(report, results)
        )
        for result in results:
            _add(suite, result, _failures(report, result))
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode")


def document_of_several(reports: Reports) -> str:
    """The suites of each environment, with its name in front; one not wholly diagnosed has an error of its own."""
    root = ET.Element("testsuites", {"name": "attune-ops doctor"})
    for e in reports.environments:
        if e.report is None or e.silent:
            counts = {"tests": "1", "failures": "0", "errors": "1", "skipped": "0", "time": "0.000"}
            suite = ET.SubElement(root, "testsuite", {"name": _legal(e.env), **counts})
            case = ET.SubElement(suite, "testcase", classname=_legal(e.env), name="diagnosed", time="0.000")
            ET.SubElement(case, "error", message=_legal(e.error or f"incomplete: {LATE}"))
        if e.report is None:
            continue
        for suite in ET.fromstring(document(e.report)):
            suite.set("name", _legal(f"{e.env}.{suite.get('name')}"))
            root.append(suite)
    for number in ("tests", "failures", "errors", "skipped", "time"):
        total = sum(float(suite.get(number, "0")) for suite in root)
        root.set(number, f"{total:.3f}" if number == "time" else str(round(total)))
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode")


def _failures(report: Report, result: CheckResult) -> list[str]:
    return [
        "\n".join((f"{f.severity}: {f.detail}", f.remedy, *map(str, f.commands), *map(str, f.inspect_commands)))
        for f in report.findings
        if f.code == result.code and f.severity is not Severity.INFO
    ]


def _add(suite: ET.Element, result: CheckResult, failures: list[str]) -> None:
    name = _legal(f"{result.code} {result.check}")
    seconds = f"{result.duration_ms / 1000:.3f}"
    case = ET.SubElement(suite, "testcase", classname=_legal(result.group), name=name, time=seconds)
    if failures:
        failure = ET.SubElement(case, "failure", message=_legal(failures[0].splitlines()[0]))
        failure.text = _legal("\n\n".join(failures))
    elements = {CheckStatus.CRASHED: "error", CheckStatus.SKIPPED: "skipped"}
    if result.status in elements and result.reason is not None:
        ET.SubElement(case, elements[result.status], message=_legal(result.reason))


def _numbers(report: Report, results: Sequence[CheckResult]) -> dict[str, str]:
    return {
        "tests": str(len(results)),
        "failures": str(sum(bool(_failures(report, r)) for r in results)),
        "errors": str(sum(r.status is CheckStatus.CRASHED and r.reason is not None for r in results)),
        "skipped": str(sum(r.status is CheckStatus.SKIPPED and r.reason is not None for r in results)),
        "time": f"{sum(r.duration_ms for r in results) / 1000:.3f}",
    }


def _legal(text: str) -> str:
    return _FORBIDDEN.sub("\ufffd", text)
