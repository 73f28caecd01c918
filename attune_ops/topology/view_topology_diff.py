"""How the differences between a topology and a broker show themselves."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Any

from attune_ops.model.notice import Notice
from attune_ops.model.table import Cell, Column, Kind, Table
from attune_ops.model.units import counted
from attune_ops.render import view_notice, view_table, wire
from attune_ops.render.text import Line
from attune_ops.topology.drift import Attribute, BrokerError, Difference, DiffKind, Fix, TopologyDiff

SCHEMA = "attune-ops/topology-diff/1"

COLUMNS = (
    Column("difference", Kind.CATEGORY, doc="missing, different, overruled, unexpected, added or foreign"),
    Column("object", Kind.CATEGORY, doc="exchange, queue or binding"),
    Column("name", doc="its name"),
    Column("worker", Kind.INTEGER, doc="whose it is"),
    Column("attribute", doc="what differs about it"),
    Column("wanted", doc="as the topology has it, as JSON"),
    Column("found", doc="as the broker has it, as JSON"),
    Column("in_force", doc="with the policy counted in, as JSON"),
    Column("policy", doc="the policy that it comes from"),
    Column("way", Kind.CATEGORY, doc="how it is put right: declare, recreate, policy, unbind, refused, nothing"),
    Column("declaring", doc="what declaring it is answered with; nothing where it succeeds"),
    Column("using", doc="what using it without declaring it is answered with"),
)

STYLES = {
    DiffKind.MISSING: "red",
    DiffKind.DIFFERENT: "red",
    DiffKind.OVERRIDDEN: "yellow",
    DiffKind.UNEXPECTED: "yellow",
    DiffKind.SET_BY_POLICY: "dim",
    DiffKind.UNMANAGED: "dim",
}

WAYS = {
    Fix.DECLARE: "can be declared",
    Fix.RECREATE: "must be deleted and declared anew",
    Fix.POLICY: "comes from a policy",
    Fix.UNBIND: "can be unbound",
    Fix.REFUSED: "cannot be declared",
    Fix.NOTHING: "",
}


def lines(plan: TopologyDiff, limit: int | None) -> Iterator[Line]:
    """The differences by kind, each with what it means, and a last line that sums up."""
    yield from blocks(plan.differences, limit)
    yield from ((0, f"not compared: {reason}", "dim") for reason in plan.unseen)
    yield 0, summary(plan), "bold" if plan.drift else "green"


def blocks(differences: tuple[Difference, ...], limit: int | None) -> Iterator[Line]:
    """The lines of these differences by kind, at most `limit` of a kind; what is foreign is only counted."""
    for kind in (k for k in DiffKind if k is not DiffKind.UNMANAGED):
        of_kind = [d for d in differences if d.kind is kind]
        if of_kind:
            yield 0, f"{kind} ({len(of_kind)})", f"bold {STYLES[kind]}"
        for _, several in groupby(of_kind[:limit], key=_alike):
            yield from _differences(list(several))
        yield from and_more(len(of_kind), limit, 2)


def and_more(number: int, limit: int | None, indent: int) -> Iterator[Line]:
    """A line about what a terminal is not shown."""
    if limit is not None and number > limit:
        yield indent, f"and {number - limit} more (all of them with --format json, or in a pipe)", "dim"


def _alike(d: Difference) -> tuple[Any, ...]:
    """What is the same for all objects of which the same is said."""
    return d.subject, d.fix, d.why, d.attributes, d.declaring is None


def _differences(several: list[Difference]) -> Iterator[Line]:
    """Their names, then what is said of all of them; the answers are those that the first one gets."""
    first, way = several[0], WAYS[several[0].fix]
    yield 2, f"{first.subject} {first.name}{': ' if way else ''}{way}", ""
    yield from ((2, f"{d.subject} {d.name}", "") for d in several[1:])
    yield from ((6, _attribute(a, first.kind), "") for a in first.attributes)
    if first.kind is not DiffKind.SET_BY_POLICY:
        yield 6, first.why, "dim"
    for doing, answer in (("declaring it", first.declaring), ("using it", first.using)):
        if answer is not None:
            yield 6, f"{doing}: {answered(answer)}", "dim"


def _attribute(a: Attribute, kind: DiffKind) -> str:
    if kind is DiffKind.SET_BY_POLICY:
        return f"{a.name} {value(a.in_force)} (policy {a.policy})"
    if kind is DiffKind.OVERRIDDEN:
        return f"{a.name}: wanted {value(a.desired)}, in force {value(a.in_force)} (policy {a.policy})"
    counted = f", in force {value(a.in_force)} (policy {a.policy})" if a.policy else ""
    hint = f"; a policy with {a.policy_key} has the same effect meanwhile" if a.policy_key and not a.policy else ""
    return f"{a.name}: wanted {value(a.desired)}, found {value(a.actual)}{counted}{hint}"


def value(found: Any) -> str:
    """An attribute's value in words."""
    if found is None:
        return "none"
    return found if isinstance(found, str) and found else str(_json(found))


def answered(answer: BrokerError) -> str:
    """The broker's answer with its code, in one line."""
    return f"{answer.code} {answer.text}" + (" (closes the connection)" if answer.closes == "connection" else "")


def summary(plan: TopologyDiff) -> str:
    """One line: how many differ, of how many."""
    where = f"{plan.topology} in virtual host {plan.vhost}"
    aside = (
        f"; {counted(len(plan.of(DiffKind.UNMANAGED)), 'foreign object')} left alone (--format json lists them)"
        if plan.of(DiffKind.UNMANAGED)
        else ""
    )
    of = counted(plan.compared, "object")
    if not plan.drift:
        return f"{where}: all {of} are as wanted{aside}"
    return f"{where}: {counted(len(plan.drift), 'difference')}, {of} wanted{aside}"


def as_json(plan: TopologyDiff) -> dict[str, Any]:
    """`attune-ops/topology-diff/1`."""
    return {
        "schema": SCHEMA,
        "topology": plan.topology,
        "vhost": plan.vhost,
        "taken_at": wire.plain(plan.taken_at),
        "differs": bool(plan.drift),
        "compared": plan.compared,
        "counts": {str(kind): len(plan.of(kind)) for kind in DiffKind},
        "differences": objects(plan.differences),
        "unseen": list(plan.unseen),
    }


def objects(differences: tuple[Difference, ...]) -> list[dict[str, Any]]:
    """Differences as JSON has them."""
    return [_object(d) for d in differences]


def _object(d: Difference) -> dict[str, Any]:
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


def error(answer: BrokerError | None) -> dict[str, Any] | None:
    """A broker's answer as JSON has it."""
    return None if answer is None else {"code": answer.code, "text": answer.text, "closes": answer.closes}


def as_html(plan: TopologyDiff) -> str:
    """The summary and how many there are of each kind, then all as a table."""
    counts = tuple(f"{kind} ({len(found)})" for kind in DiffKind if (found := plan.of(kind)))
    return view_notice.as_html(Notice(summary(plan), counts)) + view_table.as_html(rows(plan))


def rows(plan: TopologyDiff) -> Table:
    """A row for each attribute that differs, or for the object where none does."""
    return Table("topology-diff", COLUMNS, tuple(_rows(plan)), plan.taken_at, plan.unseen)


def _rows(plan: TopologyDiff) -> Iterator[tuple[Cell, ...]]:
    for d in plan.differences:
        head = (str(d.kind), d.subject, d.name, d.worker_id)
        tail = (str(d.fix), *(None if e is None else answered(e) for e in (d.declaring, d.using)))
        for a in d.attributes:
            yield (*head, a.name, _json(a.desired), _json(a.actual), _json(a.in_force), a.policy, *tail)
        if not d.attributes:
            yield (*head, None, None, None, None, None, *tail)


def _json(found: Any) -> str | None:
    import json

    return None if found is None else json.dumps(found, ensure_ascii=False)
