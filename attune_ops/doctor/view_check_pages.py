"""The explanation pages of checks: the text of `doctor --explain` and of docs/checks.md."""

from __future__ import annotations

import re
from itertools import groupby
from typing import Literal, TypedDict

from attune_ops.doctor.findings import Check, CheckPages, Severity
from attune_ops.model.table import Column, Kind, Table

COLUMNS = (
    Column("code"), Column("check"), Column("group", Kind.CATEGORY), Column("title"),
    Column("severity", Kind.CATEGORY), Column("needs", Kind.LIST), Column("optional", Kind.FLAG),
    Column("explanation", doc="Markdown"),
)  # fmt: skip
LAID_OUT = re.compile(r"^(?:[-*|>#\s]|\d+\.)", re.MULTILINE)

INTRODUCTION = """# The checks of `attune-ops doctor`

Written by `attune-ops doctor --explain all --format markdown`, from the checks themselves.

The title of a check is the sentence that is true when it passes. The severity is the usual one of its findings; some
findings have another. `[severities]` in the configuration file sets another severity for a code, or `"off"`;
`[thresholds]` sets a number by its name. A check is skipped with a reason if its needs are not met. The status of the
report is then `unknown`, unless the check is marked as optional.
"""


def as_table(pages: CheckPages) -> str:
    """Plain text, for a terminal."""
    return "\n\n".join(_text(c) for c in pages.checks)


def _text(check: Check) -> str:
    lines = [f"{check.code} {check.name}: {check.title}", "", _flowing(check.explanation), ""]
    return "\n".join([*lines, *(f"{name}: {value}" for name, value in _facts(check))])


def _flowing(explanation: str) -> str:
    """The explanation with one line for each paragraph, which a terminal wraps; lists and tables are unchanged."""
    parts = explanation.split("\n\n")
    return "\n\n".join(p if LAID_OUT.search(p) else " ".join(p.split("\n")) for p in parts)


def as_markdown(pages: CheckPages) -> str:
    """A section for each check."""
    parts = [INTRODUCTION]
    for group, checks in groupby(pages.checks, key=lambda c: c.group):
        parts.append(f"## {group.capitalize()}\n")
        for check in checks:
            details = " · ".join(f"{name}: {value}" for name, value in _facts(check))
            parts.append(f"### {check.code} {check.name}\n\n**{check.title}** ({details})\n\n{check.explanation}\n")
    return "\n".join(parts)


def rows(pages: CheckPages) -> Table:
    """A row for each check."""
    found = tuple(
        (c.code, c.name, c.group, c.title, str(c.severity), tuple(map(str, c.needs)), not c.required, c.explanation)
        for c in pages.checks
    )
    return Table("checks", COLUMNS, found, None)


def as_html(pages: CheckPages) -> str:
    """A section for each check, with the anchors of the Markdown."""
    from attune_ops.render.html import fragment

    listed = [(c, _flowing(c.explanation), _facts(c)) for c in pages.checks]
    return fragment("check_pages.html", checks=listed)


class CheckPageJson(TypedDict):
    """One check: what it needs, its thresholds, and its explanation. `heals`: its problem can disappear by itself."""

    code: str
    check: str
    group: str
    title: str
    severity: Severity
    needs: list[str]
    optional: bool
    heals: bool
    thresholds: dict[str, float]
    explanation: str


class CheckPagesJson(TypedDict):
    """The explanation pages of some checks."""

    schema: Literal["attune-ops/checks/1"]
    checks: list[CheckPageJson]


JSON = CheckPagesJson


def as_json(pages: CheckPages) -> CheckPagesJson:
    """The members of each check, as data."""
    return {
        "schema": "attune-ops/checks/1",
        "checks": [
            {
                "code": c.code, "check": c.name, "group": c.group, "title": c.title, "severity": c.severity,
                "needs": [str(n) for n in c.needs], "optional": not c.required, "heals": c.may_recover,
                "thresholds": c.thresholds, "explanation": c.explanation,
            }
            for c in pages.checks
        ],
    }  # fmt: skip


def _facts(check: Check) -> list[tuple[str, str]]:
    found = [("severity", str(check.severity))]
    needs = ", ".join((*check.needs, *check.needs_attempt, *check.needs_response))
    found += [("needs", needs)] if needs else []
    found += [("thresholds", ", ".join(f"{n} = {v:g}" for n, v in check.thresholds.items()))] * bool(check.thresholds)
    return found + ([] if check.required else [("optional", "yes")])
