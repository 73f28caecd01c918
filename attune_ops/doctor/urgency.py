"""The order of findings: the most severe first, and of these what an operator fixes first."""

from __future__ import annotations

from collections.abc import Iterable

from attune_ops.doctor.findings import Finding
from attune_ops.model.facts import Facts
from attune_ops.model.ownership import why_not_live

# Codes by how they begin: what cannot be reached, what services may not do, what is missing, live workers, messages,
# routes, the rest.
ORDER = (
    "AT214",
    "AT101",
    "AT102",
    "AT103",
    "AT117",
    "AT105",
    "AT1",
    "AT201",
    "AT202",
    "AT204",
    "AT4",
    "AT5",
    "AT3",
    "AT2",
    "AT7",
    "AT6",
)
LEFT_BEHIND = ("AT407", "AT408", "AT412")  # queues that no live worker needs


def worst_first(findings: Iterable[Finding], facts: Facts) -> list[Finding]:
    """The findings by severity, then by urgency; a queue that no live worker needs comes after all live workers."""
    return sorted(findings, key=lambda f: (-f.severity.rank, _urgency(f, facts)))


def _urgency(finding: Finding, facts: Facts) -> int:
    if finding.code in LEFT_BEHIND or _orphaned(finding, facts):
        return len(ORDER)
    return next((i for i, start in enumerate(ORDER) if finding.code.startswith(start)), len(ORDER))


def _orphaned(finding: Finding, facts: Facts) -> bool:
    """Whether it is about the queue of a worker that is not live."""
    if finding.subject.kind != "queue" or facts.registry is None:
        return False
    owner = facts.topology.worker_of(finding.subject.name)
    return owner is not None and why_not_live(facts, owner[0]) is not None
