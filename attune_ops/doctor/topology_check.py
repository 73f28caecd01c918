"""Topology files checked without a broker: well formed, and by the checks of a design."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from attune_ops.doctor.checks import all_checks
from attune_ops.doctor.diagnose import diagnose
from attune_ops.doctor.findings import Finding
from attune_ops.installation.config.settings import CheckSettings
from attune_ops.model.errors import TopologyError
from attune_ops.model.facts import NOT_ASKED, Facts, Source
from attune_ops.model.table import Cell, Column, Kind, Table
from attune_ops.model.topologies import load

INVALID = "invalid"  # the severity of a file that is no topology
COLUMNS = (
    Column("file"),
    Column("line", Kind.INTEGER, doc="unknown for what stands nowhere"),
    Column("severity", Kind.CATEGORY, doc="invalid (not a topology), error, warning, info"),
    Column("code", doc="the check; doctor --explain CODE"),
    Column("reason"),
    Column("fix"),
)
_PLACE = re.compile(r"(?P<file>.*?)(?:, line (?P<line>\d+))?: (?P<reason>.*)", re.DOTALL)


def check_topologies(files: Iterable[str], check_settings: CheckSettings) -> Table:
    """What is wrong with each topology, by name or file: line, reason and fix; no rows where all is well.

    Runs the checks that need no broker. Reads files, connects to nothing.
    """
    files = tuple(files)
    rows = [row for file in files for row in _rows(file, check_settings)]
    return Table("topology check", COLUMNS, tuple(rows), datetime.now(UTC), key=("file",))


def _rows(file: str, check_settings: CheckSettings) -> list[tuple[Cell, ...]]:
    try:
        topology = load(file)
    except TopologyError as e:
        found = _PLACE.fullmatch(str(e))
        line, reason = (found["line"], found["reason"]) if found and found["file"] in file else (None, str(e))
        fix = "Correct this line." if line else "Use the name of a topology, or a topology file."
        return [(file, int(line) if line else None, INVALID, None, reason, fix)]
    facts = Facts(topology, datetime.now(UTC), missing=dict.fromkeys(Source, NOT_ASKED))
    report = diagnose(
        facts,
        [c for c in all_checks() if not c.needs],
        severities=check_settings.severities,
        thresholds=check_settings.thresholds,
    )
    text = Path(file).expanduser().read_text(encoding="utf-8") if Path(file).expanduser().is_file() else ""
    return [_row(file, text, finding) for finding in report.findings]


def _row(file: str, text: str, finding: Finding) -> tuple[Cell, ...]:
    line = _line(text, finding.subject.name)
    return (file, line, str(finding.severity), finding.code, finding.detail or finding.title, finding.remedy)


def _line(text: str, name: str) -> int | None:
    """The first line with the name of a queue or exchange, or with exchange, queue and key of a route or binding."""
    words = [f'"{word}"' for word in re.split(r"[\s→()']+", name) if word]
    return next((n for n, line in enumerate(text.splitlines(), 1) if words and all(w in line for w in words)), None)
