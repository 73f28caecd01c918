"""A report to send: the diagnosis, every table, the topology and the snapshot in one HTML file."""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING

import msgspec

from attune_ops import inventory as package
from attune_ops.doctor.findings import CheckResult, Finding, Report
from attune_ops.model.errors import SourceError
from attune_ops.model.files import write_file
from attune_ops.model.secret import Secret, mask_url, without
from attune_ops.model.snapshot_file import masked, packed
from attune_ops.topology.topology_graph import topology_graph

if TYPE_CHECKING:
    from attune_ops.model.facts import Facts
    from attune_ops.model.table import Table

FIRST = ("queues", "workers", "orphans")  # the first tables of the page


def report_html(diagnosis: Report, secrets: tuple[Secret, ...] = ()) -> str:
    """The page of a diagnosis and its facts, without passwords. Needs Jinja2 (`ConfigError`)."""
    from attune_ops.doctor.view_report_page import report_page

    facts = masked(diagnosis.facts, secrets)
    tables: list[Table] = []
    unread: dict[str, str] = {}
    for name in _inspections():
        try:
            tables.append(getattr(importlib.import_module(f"{package.__name__}.{name}"), name)(facts))
        except SourceError as e:
            unread[name] = str(e)
    page = report_page(
        _masked(diagnosis, facts),
        tables,
        topology_graph(facts.topology if facts.broker is None else facts),
        packed(facts),
        [f"Table {name} is missing: {reason}." for name, reason in unread.items()],
    )
    return without(page, secrets)


def write_report(diagnosis: Report, path: str, *, replace: bool = False, secrets: tuple[Secret, ...] = ()) -> int:
    """Writes the page and returns its size in bytes. Undo: delete the file. Raises `ConfigError`."""
    return write_file(path, report_html(diagnosis, secrets).encode(), "the report", replace=replace)


def _masked(diagnosis: Report, facts: Facts) -> Report:
    """The report with the masked facts; URLs that findings quote are masked too."""

    def text(values: object) -> str:
        return mask_url(msgspec.json.encode(values).decode())

    findings = msgspec.json.decode(text(diagnosis.findings), type=tuple[Finding, ...])
    results = msgspec.json.decode(text(diagnosis.results), type=tuple[CheckResult, ...])
    return msgspec.structs.replace(diagnosis, facts=facts, findings=findings, results=results)


def _inspections() -> list[str]:
    names = sorted(m.name for m in pkgutil.iter_modules(package.__path__) if m.name != "snapshot_diff")
    return [*FIRST, *(n for n in names if n not in FIRST)]
