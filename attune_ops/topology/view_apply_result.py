"""How the application of a topology shows itself: what was or would be declared, and what cannot be."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from attune_ops.model.notice import Notice
from attune_ops.model.table import Cell, Column, Kind, Table
from attune_ops.render import view_notice, view_table
from attune_ops.render.text import Line
from attune_ops.topology import view_topology_diff
from attune_ops.topology.drift import ApplyResult, Declaration

SCHEMA = "attune-ops/topology-apply/1"

COLUMNS = (
    Column("object", Kind.CATEGORY, doc="exchange, queue or binding"),
    Column("name", doc="its name"),
    Column("worker", Kind.INTEGER, doc="whose it is"),
    Column(
        "status", Kind.CATEGORY, doc="to declare, declared, refused, or lost: declared but not there when read back"
    ),
    Column("answer", doc="the broker's answer where it refused"),
)

MARKS = {"to declare": ("+", "green"), "declared": ("√", "green"), "refused": ("×", "red"), "lost": ("?", "red")}


def lines(applied: ApplyResult, limit: int | None) -> Iterator[Line]:
    """A line for each step, what declaring does not fix, and a last line that sums up."""
    for outcome in applied.outcomes[:limit]:
        mark, style = MARKS[outcome.status]
        yield 0, f"{mark} {outcome.status:<10} {outcome.subject} {outcome.name}", style
        if outcome.answer is not None:
            yield 4, view_topology_diff.answered(outcome.answer), "dim"
    yield from view_topology_diff.and_more(len(applied.outcomes), limit, 0)
    if applied.left:
        yield 0, "Declaring does not put right:", "bold"
        yield from view_topology_diff.blocks(applied.left, limit)
    yield from ((0, f"not compared: {reason}", "dim") for reason in (applied.after or applied.before).unseen)
    yield 0, summary(applied), "bold"


def summary(applied: ApplyResult) -> str:
    """One line: what was done, or would be."""
    where = f"{applied.before.topology} in virtual host {applied.before.vhost}"
    if not applied.outcomes:
        return view_topology_diff.summary(applied.after or applied.before)
    done = sum(o.status in ("declared", "to declare") for o in applied.outcomes)
    verb = "declared" if applied.after is not None else "to declare"
    rest = (
        f", {len(applied.left)} left that declaring does not put right" if applied.left else ", then all is as wanted"
    )
    if applied.after is not None and not applied.left:
        rest = ", read back: all is as wanted"
    return f"{where}: {done} of {len(applied.outcomes)} {verb}{rest}"


def as_json(applied: ApplyResult) -> dict[str, Any]:
    """`attune-ops/topology-apply/1`; `left` is as in the diff."""
    return {
        "schema": SCHEMA,
        "topology": applied.before.topology,
        "vhost": applied.before.vhost,
        "applied": applied.after is not None,
        "steps": [_outcome(o) for o in applied.outcomes],
        "left": view_topology_diff.objects(applied.left),
        "unseen": list((applied.after or applied.before).unseen),
    }


def _outcome(o: Declaration) -> dict[str, Any]:
    subject = {"kind": o.subject, "name": o.name}
    return {"subject": subject, "worker": o.worker_id, "status": o.status, "answer": view_topology_diff.error(o.answer)}


def as_html(applied: ApplyResult) -> str:
    """The summary, the steps as a table, and what declaring does not put right."""
    left = view_topology_diff.rows(msgspec.structs.replace(applied.after or applied.before, differences=applied.left))
    tables = [rows(applied), msgspec.structs.replace(left, name="declaring does not put right")]
    return view_notice.as_html(Notice(summary(applied))) + "".join(
        view_table.as_html(t) for t in tables if t.rows or t.notes
    )


def rows(applied: ApplyResult) -> Table:
    """A row a step."""
    found: tuple[tuple[Cell, ...], ...] = tuple(
        (o.subject, o.name, o.worker_id, o.status, None if o.answer is None else view_topology_diff.answered(o.answer))
        for o in applied.outcomes
    )
    return Table("topology-apply", COLUMNS, found, applied.before.taken_at)
