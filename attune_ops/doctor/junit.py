"""JUnit XML, which every CI shows."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import groupby

import msgspec

# Characters that XML 1.0 has no way to write.
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class Case(msgspec.Struct, frozen=True):
    """One test case: passed where it has neither failures, error nor a reason for being skipped."""

    suite: str
    name: str
    seconds: float = 0.0
    failures: list[str] = []
    skipped: str | None = None
    error: str | None = None


def document(name: str, cases: Sequence[Case], taken_at: datetime) -> str:
    """The cases by suite, in their order."""
    root = ET.Element("testsuites", {"name": name} | _numbers(cases))
    for suite, members in groupby(cases, key=lambda c: c.suite):
        of_suite = list(members)
        stamp = taken_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")
        element = ET.SubElement(root, "testsuite", {"name": _legal(suite), "timestamp": stamp} | _numbers(of_suite))
        for case in of_suite:
            _add(element, case)
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode")


def _add(suite: ET.Element, case: Case) -> None:
    element = ET.SubElement(
        suite, "testcase", classname=_legal(case.suite), name=_legal(case.name), time=f"{case.seconds:.3f}"
    )
    if case.failures:
        made = ET.SubElement(element, "failure", message=_legal(case.failures[0].splitlines()[0]))
        made.text = _legal("\n\n".join(case.failures))
    if case.error is not None:
        ET.SubElement(element, "error", message=_legal(case.error))
    if case.skipped is not None:
        ET.SubElement(element, "skipped", message=_legal(case.skipped))


def _numbers(cases: Sequence[Case]) -> dict[str, str]:
    return {
        "tests": str(len(cases)),
        "failures": str(sum(bool(c.failures) for c in cases)),
        "errors": str(sum(c.error is not None for c in cases)),
        "skipped": str(sum(c.skipped is not None for c in cases)),
        "time": f"{sum(c.seconds for c in cases):.3f}",
    }


def _legal(text: str) -> str:
    return _FORBIDDEN.sub("\ufffd", text)
