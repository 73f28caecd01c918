"""How the differences between a topology and a broker show themselves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import groupby
from typing import Any, Final, Literal, TypedDict

from attune_ops.model.notice import Notice
from attune_ops.model.table import Cell, Column, Kind, Table
from attune_ops.model.units import counted, listed
from attune_ops.render import view_notice, view_table, wire
from attune_ops.render.text import Line
from attune_ops.topology.drift import Attribute, BrokerError, Difference, DiffKind, Fix, ObjectKind, TopologyDiff

SCHEMA: Final = "attune-ops/topology-diff/1"

COLUMNS = (
    Column(
        "difference",
        Kind.CATEGORY,
        doc="missing, different, overruled (overridden by a policy), unexpected, added (set by a policy) or foreign "
        "(unmanaged)",
    ),
    Column("object", Kind.CATEGORY, doc="exchange, queue or binding"),
    Column("name", doc="its name"),
    Column("worker", Kind.INTEGER, doc="the id of the worker that owns it"),
    Column("attribute", doc="the attribute that differs"),
    Column("wanted", doc="desired: the topology's value, as JSON"),
    Column("found", doc="actual: the broker's value, as JSON"),
    Column("in_force", doc="effective, with the policy, as JSON"),
    Column("policy", doc="the policy that sets it"),
    Column("way", Kind.CATEGORY, doc="the fix: declare, recreate, policy, unbind, refused, nothing"),
    Column("declaring", doc="the broker's error on declaring it; empty where that succeeds"),
    Column("using", doc="the broker's error on using it without declaring it"),
)

STYLES = {
    DiffKind.MISSING: "red",
    DiffKind.DIFFERENT: "red",
    DiffKind.OVERRIDDEN: "yellow",
    DiffKind.UNEXPECTED: "yellow",
    DiffKind.SET_BY_POLICY: "dim",
    DiffKind.UNMANAGED: "dim",
}

FIXES = {
    Fix.DECLARE: "can be declared",
    Fix.RECREATE: "must be deleted and redeclared",
    Fix.POLICY: "set by a policy",
    Fix.UNBIND: "can be unbound",
    Fix.REFUSED: "cannot be declared",
    Fix.NOTHING: "",
}


def lines(diff: TopologyDiff, limit: int | None) -> Iterator[Line]:
    """The differences by kind, each with what it means, and a last line that sums up."""
    yield from blocks(diff.differences, limit)
    yield from remarks(diff, diff)
    yield 0, summary(diff), "bold" if diff.drift else "green"


def remarks(diff: TopologyDiff, first: TopologyDiff) -> Iterator[Line]:
    """What was not compared; and, as `first` read, that topology or virtual host may be the wrong one."""
    yield from ((0, f"not compared: {reason}", "dim") for reason in diff.not_compared)
    yield from ((0, warning, "yellow") for warning in warnings(first))


def warnings(diff: TopologyDiff) -> Iterator[str]:
    """That the topology or the virtual host may be the wrong one."""
    if diff.assumed:
        yield f"{diff.topology} is the default, as no release is recognised here: --topology names another"
    if diff.elsewhere:
        hosts = listed(map(repr, diff.elsewhere))
        yield f"nothing of Attune was in virtual host {diff.vhost!r}; others with its exchanges: {hosts}"


def blocks(differences: tuple[Difference, ...], limit: int | None) -> Iterator[Line]:
    """The lines of these differences by kind, at most `limit` of a kind; what is unmanaged is only counted."""
    for kind in (k for k in DiffKind if k is not DiffKind.UNMANAGED):
        of_kind = [d for d in differences if d.kind is kind]
        if of_kind:
            yield 0, f"{kind.words} ({len(of_kind)})", f"bold {STYLES[kind]}"
        for _, several in groupby(of_kind[:limit], key=_alike):
            yield from _differences(list(several))
        yield from and_more(len(of_kind), limit, 2)


def and_more(number: int, limit: int | None, indent: int) -> Iterator[Line]:
    """A line about what a terminal is not shown."""
    if limit is not None and number > limit:
        yield indent, f"and {number - limit} more (all of them with --format json, or in a pipe)", "dim"


def _alike(d: Difference) -> tuple[Any, ...]:
    """What is equal for all objects with one explanation."""
    return d.subject, d.fix, d.why, d.attributes, None if d.declaring is None else d.declaring.code


def _differences(several: list[Difference]) -> Iterator[Line]:
    """Their names, then what is the same for all of them; the errors are those of the first one."""
    first, fix = several[0], FIXES[several[0].fix]
    yield 2, f"{first.subject} {first.name}{': ' if fix else ''}{fix}", ""
    yield from ((2, f"{d.subject} {d.name}", "") for d in several[1:])
    yield from ((6, _attribute(a, first.kind), "") for a in first.attributes)
    if first.kind is not DiffKind.SET_BY_POLICY:
        yield 6, first.why, "dim"
    for doing, answer in (("declaring it", first.declaring), ("using it", first.using)):
        if answer is not None:
            yield 6, f"{doing}: {answered(answer)}", "dim"


def _attribute(a: Attribute, kind: DiffKind) -> str:
    if kind is DiffKind.SET_BY_POLICY:
        return f"{a.name} {_value(a.in_force)} (policy {a.policy})"
    effective = f"effective {_value(a.in_force)} (policy {a.policy})"
    if kind is DiffKind.OVERRIDDEN:
        return f"{a.name}: desired {_value(a.desired)}, {effective}"
    hint = ""
    if a.policy_key and not a.policy:  # an object has one policy: a second one would shadow the first
        hint = f"; until then {a.policy_key} in its effective policy has the same effect"
    both = f"desired {_value(a.desired)}, actual {_value(a.actual)}"
    return f"{a.name}: {both}{f', {effective}' if a.policy else ''}{hint}"


def _value(found: Any) -> str:
    """An attribute's value in words."""
    if found is None:
        return "none"
    return found if isinstance(found, str) and found else str(_json(found))


def answered(answer: BrokerError) -> str:
    """The broker's error with its code, in one line."""
    return f"{answer.code} {answer.text}" + (" (closes the connection)" if answer.closes == "connection" else "")


def summary(diff: TopologyDiff) -> str:
    """One line: how many of the desired objects drifted."""
    where = f"{diff.topology} in virtual host {diff.vhost}"
    unmanaged = len(diff.of(DiffKind.UNMANAGED))
    aside = f"; {counted(unmanaged, 'unmanaged object')} ignored (--format json lists them)" if unmanaged else ""
    of = counted(diff.compared, "desired object")
    if not diff.drift:
        return f"{where}: no drift in {of}{aside}"
    return f"{where}: {counted(len(diff.drift), 'difference')}, {of}{aside}"


class ObjectJson(TypedDict):
    """An exchange, a queue or a binding."""

    kind: ObjectKind
    name: str


class AttributeJson(TypedDict):
    """One attribute that differs; `in_force` is the effective value, the policy included."""

    name: str
    wanted: Any
    found: Any
    in_force: Any
    policy: str | None
    compared: bool
    policy_key: str | None


class BrokerErrorJson(TypedDict):
    """An error of the broker: the AMQP reply code, its text, and what it closes."""

    code: int
    text: str
    closes: Literal["channel", "connection"]


class DifferenceJson(TypedDict):
    """One object that differs: how, why, how it is fixed (`way`), and the broker's error on declaring or using it."""

    difference: DiffKind
    subject: ObjectJson
    worker: int | None
    way: Fix
    why: str
    attributes: list[AttributeJson]
    declaring: BrokerErrorJson | None
    using: BrokerErrorJson | None


class TopologyDiffJson(TypedDict):
    """The topology against the broker; `counts` are by kind of difference, `unseen` is what was not compared."""

    schema: Literal["attune-ops/topology-diff/1"]
    topology: str
    vhost: str
    taken_at: str
    differs: bool
    compared: int
    counts: dict[str, int]
    differences: list[DifferenceJson]
    unseen: list[str]


JSON = TopologyDiffJson


def as_json(diff: TopologyDiff) -> TopologyDiffJson:
    """`attune-ops/topology-diff/1`."""
    return {
        "schema": SCHEMA,
        "topology": diff.topology,
        "vhost": diff.vhost,
        "taken_at": wire.utc(diff.taken_at),
        "differs": bool(diff.drift),
        "compared": diff.compared,
        "counts": {str(kind): len(diff.of(kind)) for kind in DiffKind},
        "differences": objects(diff.differences),
        "unseen": list(diff.not_compared),
    }


def objects(differences: tuple[Difference, ...]) -> list[DifferenceJson]:
    """Differences as JSON has them."""
    return [_object(d) for d in differences]


def _object(d: Difference) -> DifferenceJson:
    return {
        "difference": d.kind,
        "subject": {"kind": d.subject, "name": d.name},
        "worker": d.worker_id,
        "way": d.fix,
        "why": d.why,
        "attributes": [
            {"name": a.name, "wanted": a.desired, "found": a.actual, "in_force": a.in_force, "policy": a.policy,
             "compared": a.compared, "policy_key": a.policy_key}
            for a in d.attributes
        ],
        "declaring": error(d.declaring),
        "using": error(d.using),
    }  # fmt: skip


def error(answer: BrokerError | None) -> BrokerErrorJson | None:
    """A broker's error as JSON has it."""
    return None if answer is None else {"code": answer.code, "text": answer.text, "closes": answer.closes}


def as_html(diff: TopologyDiff) -> str:
    """The summary and how many there are of each kind, then all as a table."""
    return view_notice.as_html(Notice(summary(diff), (*counts(diff), *warnings(diff)))) + view_table.as_html(rows(diff))


def counts(diff: TopologyDiff) -> Iterator[str]:
    """How many differences there are of each kind."""
    yield from (f"{kind.words} ({len(found)})" for kind in DiffKind if (found := diff.of(kind)))


def rows(diff: TopologyDiff) -> Table:
    """A row for each attribute that differs, or for the object where none does."""
    return Table("topology-diff", COLUMNS, tuple(_rows(diff)), diff.taken_at, diff.not_compared)


def _rows(diff: TopologyDiff) -> Iterator[tuple[Cell, ...]]:
    for d in diff.differences:
        head = (str(d.kind), d.subject, d.name, d.worker_id)
        tail = (str(d.fix), *(None if e is None else answered(e) for e in (d.declaring, d.using)))
        for a in d.attributes:
            yield (*head, a.name, _json(a.desired), _json(a.actual), _json(a.in_force), a.policy, *tail)
        if not d.attributes:
            yield (*head, None, None, None, None, None, *tail)


def _json(found: Any) -> str | None:
    return None if found is None else json.dumps(found, ensure_ascii=False)
