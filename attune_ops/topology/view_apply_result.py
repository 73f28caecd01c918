"""How the application of a topology shows itself: what was or would be declared, and what cannot be."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal, TypedDict

import msgspec

from attune_ops.model.notice import Notice
from attune_ops.model.table import Cell, Column, Kind, Table
from attune_ops.render import view_notice, view_table
from attune_ops.render.text import Line
from attune_ops.topology import view_topology_diff
from attune_ops.topology.drift import ApplyResult

SCHEMA: Final = "attune-ops/topology-apply/1"

COLUMNS = (
    Column("object", Kind.CATEGORY, doc="exchange, queue or binding"),
    Column("name", doc="its name"),
    Column("worker", Kind.INTEGER, doc="the id of the worker that owns it"),
    Column(
        "status", Kind.CATEGORY, doc="to declare, declared, refused, or lost: declared, but not there when read back"
    ),
    Column("answer", doc="the broker's error where it refused"),
)

MARKS = {"to declare": ("+", "green"), "declared": ("√", "green"), "refused": ("×", "red"), "lost": ("?", "red")}


def lines(result: ApplyResult, limit: int | None) -> Iterator[Line]:
    """A line for each step, what declaring does not fix, and a last line that sums up."""
    for outcome in result.outcomes[:limit]:
        mark, style = MARKS[outcome.status]
        yield 0, f"{mark} {outcome.status:<10} {outcome.subject} {outcome.name}", style
        if outcome.answer is not None:
            yield 4, view_topology_diff.answered(outcome.answer), "dim"
    yield from view_topology_diff.and_more(len(result.outcomes), limit, 0)
    if result.left:
        yield 0, "Declaring does not fix:", "bold"
        yield from view_topology_diff.blocks(result.left, limit)
    yield from view_topology_diff.remarks(result.after or result.before, result.before)
    yield 0, summary(result), "bold"


def summary(result: ApplyResult) -> str:
    """One line: what was declared, or would be, and how much drift is left."""
    where = f"{result.before.topology} in virtual host {result.before.vhost}"
    if not result.outcomes:
        return view_topology_diff.summary(result.after or result.before)
    done = sum(o.status in ("declared", "to declare") for o in result.outcomes)
    verb = "to declare" if result.after is None else "declared"
    rest = "no drift after that" if result.after is None else "read back: no drift"
    if result.left:
        rest = f"{len(result.left)} left that declaring does not fix"
    return f"{where}: {done} of {len(result.outcomes)} {verb}, {rest}"


class DeclarationJson(TypedDict):
    """One step, and the broker's answer where it refused."""

    subject: view_topology_diff.ObjectJson
    worker: int | None
    status: Literal["to declare", "declared", "refused", "lost"]
    answer: view_topology_diff.BrokerErrorJson | None


class ApplyResultJson(TypedDict):
    """What was declared, or would be; `left` is the drift that declaring does not fix."""

    schema: Literal["attune-ops/topology-apply/1"]
    topology: str
    vhost: str
    applied: bool
    steps: list[DeclarationJson]
    left: list[view_topology_diff.DifferenceJson]
    unseen: list[str]


JSON = ApplyResultJson


def as_json(result: ApplyResult) -> ApplyResultJson:
    """`attune-ops/topology-apply/1`; `left` is as in the diff."""
    return {
        "schema": SCHEMA,
        "topology": result.before.topology,
        "vhost": result.before.vhost,
        "applied": result.after is not None,
        "steps": [
            {"subject": {"kind": o.subject, "name": o.name}, "worker": o.worker_id, "status": o.status,
             "answer": view_topology_diff.error(o.answer)}
            for o in result.outcomes
        ],
        "left": view_topology_diff.objects(result.left),
        "unseen": list((result.after or result.before).not_compared),
    }  # fmt: skip


def as_html(result: ApplyResult) -> str:
    """The summary with what declaring does not fix by kind, the steps as a table, and what is left as another."""
    left = msgspec.structs.replace(result.after or result.before, differences=result.left)
    notes = (*view_topology_diff.counts(left), *view_topology_diff.warnings(result.before))
    tables = [rows(result), msgspec.structs.replace(view_topology_diff.rows(left), name="declaring does not fix")]
    return view_notice.as_html(Notice(summary(result), notes)) + "".join(
        view_table.as_html(t) for t in tables if t.rows or t.notes
    )


def rows(result: ApplyResult) -> Table:
    """A row a step."""
    answered = view_topology_diff.answered
    found: tuple[tuple[Cell, ...], ...] = tuple(
        (o.subject, o.name, o.worker_id, o.status, None if o.answer is None else answered(o.answer))
        for o in result.outcomes
    )
    return Table("topology-apply", COLUMNS, found, result.before.taken_at)
