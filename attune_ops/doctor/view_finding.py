"""How one finding is shown: the problem, its consequences, the fix and the evidence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal, NotRequired, TypedDict

from attune_ops.doctor.findings import Finding, Severity, Subject, SubjectKind
from attune_ops.model.table import Cell, Column, Kind, Table
from attune_ops.render import text, view_table

if TYPE_CHECKING:
    import pandas as pd

MOST = 100  # members of one list in the JSON of a report, unless it is asked for in full
LONGEST = 600  # characters of one piece of evidence on a screen
SHOWN = 20  # consequences on a screen

# Mark and style of each severity: colour is never the only difference.
MARKS = {"info": ("i", "cyan"), "warning": ("!", "yellow"), "error": ("×", "red")}

COLUMNS = (
    Column("code", doc="the check's code"),
    Column("severity", Kind.CATEGORY, doc="error, warning or info"),
    Column("group", Kind.CATEGORY, doc="the check's group"),
    Column("check", doc="the check's name"),
    Column("kind", Kind.CATEGORY, doc="the kind of object"),
    Column("subject", doc="its name"),
    Column("vhost", doc="its virtual host"),
    Column("detail", doc="what is wrong"),
    Column("remedy", doc="what to do"),
    Column("commands", Kind.LIST, doc="commands that fix it"),
    Column("looks", Kind.LIST, doc="commands that only show more"),
    Column("consequences", Kind.INTEGER, doc="number of findings of other checks that it causes"),
)


def as_table(finding: Finding) -> Any:
    """Severity, code and what is wrong first, evidence last."""
    from rich.console import Group
    from rich.text import Text

    from attune_ops.render.terminal import CommandText

    mark, style = MARKS[str(finding.severity)]
    head = Text(overflow="fold")
    head.append(f"{mark} {finding.severity}", style=style)
    head.append(f" {text.visible(f'{finding.code} {finding.detail}')}")
    lines = (Text(text.visible(line), overflow="fold") for line in _lines(finding))
    commands = [CommandText("$ ", text.visible(str(c)), "bold") for c in finding.commands]
    looks = [CommandText("see $ ", text.visible(str(c)), "dim") for c in finding.inspect_commands]
    evidence = (Text(text.visible(_short(f"{k}: {v}")), overflow="fold") for k, v in finding.evidence.items())
    return Group(head, *lines, *commands, *looks, *evidence)


def _lines(finding: Finding) -> Iterator[str]:
    if finding.cause:
        yield f"cause: {finding.cause}"
    yield from (f"causes {c.code}: {c.detail}" for c in finding.consequences[:SHOWN])
    if len(finding.consequences) > SHOWN:
        yield f"causes {len(finding.consequences) - SHOWN:,} more findings"
    if finding.remedy:
        yield f"→ {finding.remedy}"


def _short(said: str) -> str:
    return said if len(said) <= LONGEST else said[:LONGEST] + "…"


class SubjectJson(TypedDict):
    """What a finding is about."""

    kind: SubjectKind
    name: str
    vhost: str | None


class ConsequenceJson(TypedDict):
    """A finding of another check that this finding explains."""

    code: str
    subject: SubjectJson
    detail: str


class FindingData(TypedDict):
    """A finding. `commands` fix it; `subjects` are there where it is about several.

    `count` is the number of subjects. Lists have at most 100 members without `--full`; `truncated` has the true length
    of each that is longer, by its place.
    """

    code: str
    check: str
    severity: Severity
    subject: SubjectJson
    count: int
    subjects: NotRequired[list[SubjectJson]]
    title: str
    detail: str
    cause: str | None
    evidence: dict[str, Any]
    remedy: str
    commands: list[str]
    looks: list[str]
    consequences: list[ConsequenceJson]
    consequence_counts: dict[str, int]
    truncated: NotRequired[dict[str, int]]
    docs: str


class FindingJson(FindingData):
    """One finding."""

    schema: Literal["attune-ops/finding/1"]


JSON = FindingJson


def as_json(finding: Finding) -> FindingJson:
    """`attune-ops/finding/1`."""
    return {"schema": "attune-ops/finding/1", **data(finding)}


def data(finding: Finding, *, full: bool = False) -> FindingData:
    """A finding as the report's JSON has it: of each list the first 100 members, unless `full`.

    `truncated` has the true length of each list that is not complete, by its place.
    """
    truncated: dict[str, int] = {}

    def first(values: Any, place: str) -> Any:
        """The values, lists and objects in them too."""
        if isinstance(values, dict):
            kept = dict(islice(values.items(), None if full else MOST))
            found: Any = {k: first(v, f"{place}.{k}") for k, v in kept.items()}
        elif isinstance(values, list | tuple):
            found = [first(v, place) for v in islice(values, None if full else MOST)]
        else:
            return values
        if len(found) < len(values):
            truncated[place] = max(len(values), truncated.get(place, 0))
        return found

    consequence_counts = dict(Counter(c.code for c in finding.consequences))
    made: FindingData = {
        "code": finding.code,
        "check": finding.check,
        "severity": finding.severity,
        "subject": _subject(finding.subject),
        "count": len(finding.subjects),
        "title": finding.title,
        "detail": finding.detail,
        "cause": finding.cause or None,
        "evidence": first(finding.evidence, "evidence"),
        "remedy": finding.remedy,
        "commands": [str(c) for c in first(finding.commands, "commands")],
        "looks": [str(c) for c in finding.inspect_commands],
        "docs": finding.docs,
        "consequences": [
            {"code": c.code, "subject": _subject(c.subject), "detail": c.detail}
            for code in consequence_counts
            for c in first([c for c in finding.consequences if c.code == code], f"consequences.{code}")
        ],
        "consequence_counts": consequence_counts,
    }
    if finding.others:
        made["subjects"] = [_subject(s) for s in first(finding.subjects, "subjects")]
    if truncated:
        made["truncated"] = truncated
    return made


def _subject(subject: Subject) -> SubjectJson:
    return {"kind": subject.kind, "name": subject.name, "vhost": subject.vhost}


def row(finding: Finding) -> tuple[Cell, ...]:
    """A finding in the order of `COLUMNS`."""
    return (
        finding.code,
        str(finding.severity),
        finding.group,
        finding.check,
        finding.subject.kind,
        finding.subject.name,
        finding.subject.vhost,
        finding.detail,
        finding.remedy,
        tuple(map(str, finding.commands)),
        tuple(map(str, finding.inspect_commands)),
        len(finding.consequences),
    )


def as_frame(finding: Finding) -> pd.DataFrame:
    """One row, as in the report's frame; `attrs` hold the evidence."""
    return view_table.as_frame(Table("findings", COLUMNS, (row(finding),), None), {"evidence": finding.evidence})
