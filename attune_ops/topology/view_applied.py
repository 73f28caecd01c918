"""How the application of a topology shows itself: what was or would be declared, and what cannot be."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from attune_ops.model.notice import Notice
from attune_ops.model.table import Cell, Column, Kind, Table
from attune_ops.render import text, view_notice, view_table
from attune_ops.render.lines import Line, indented
from attune_ops.topology import view_plan
from attune_ops.topology.differences import Applied, Outcome

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Group

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


def as_table(applied: Applied) -> Group:
    """A line for each step, what declaring does not put right, and a last line that sums up."""
    return indented(_lines(applied, view_plan.SHOWN))


def as_text(applied: Applied) -> str:
    """The same with nothing left out."""
    from attune_ops.render.terminal import plain

    return plain(indented(_lines(applied, None)))


def _lines(applied: Applied, limit: int | None) -> Iterator[Line]:
    for outcome in applied.outcomes[:limit]:
        mark, style = MARKS[outcome.status]
        yield 0, f"{mark} {outcome.status:<10} {outcome.subject} {outcome.name}", style
        if outcome.answer is not None:
            yield 4, view_plan.answered(outcome.answer), "dim"
    yield from view_plan.and_more(len(applied.outcomes), limit, 0)
    if applied.left:
        yield 0, "Declaring does not put right:", "bold"
        yield from view_plan.blocks(applied.left, limit)
    yield from ((0, f"not compared: {reason}", "dim") for reason in (applied.after or applied.plan).unseen)
    yield 0, summary(applied), "bold"


def summary(applied: Applied) -> str:
    """One line: what was done, or would be."""
    where = f"{applied.plan.topology} in virtual host {applied.plan.vhost}"
    if not applied.outcomes:
        return view_plan.summary(applied.after or applied.plan)
    done = sum(o.status in ("declared", "to declare") for o in applied.outcomes)
    verb = "declared" if applied.after is not None else "to declare"
    rest = (
        f", {len(applied.left)} left that declaring does not put right" if applied.left else ", then all is as wanted"
    )
    if applied.after is not None and not applied.left:
        rest = ", read back: all is as wanted"
    return f"{where}: {done} of {len(applied.outcomes)} {verb}{rest}"


def as_json(applied: Applied) -> dict[str, Any]:
    """`attune-ops/topology-apply/1`; `left` is as in the diff."""
    return {
        "schema": SCHEMA,
        "topology": applied.plan.topology,
        "vhost": applied.plan.vhost,
        "applied": applied.after is not None,
        "steps": [_outcome(o) for o in applied.outcomes],
        "left": view_plan.objects(applied.left),
        "unseen": list((applied.after or applied.plan).unseen),
    }


def _outcome(o: Outcome) -> dict[str, Any]:
    subject = {"kind": o.subject, "name": o.name}
    return {"subject": subject, "worker": o.worker_id, "status": o.status, "answer": view_plan.error(o.answer)}


def as_csv(applied: Applied) -> str:
    """A record a step."""
    return view_table.as_csv(_rows(applied))


def as_markdown(applied: Applied) -> str:
    """The steps as a GitHub table, and the summary."""
    return f"{view_table.as_markdown(_rows(applied))}\n\n{text.markdown(text.visible(summary(applied)))}"


def as_html(applied: Applied) -> str:
    """The summary, the steps as a table, and what declaring does not put right."""
    left = view_plan.rows_of(msgspec.structs.replace(applied.after or applied.plan, differences=applied.left))
    tables = [_rows(applied), msgspec.structs.replace(left, name="declaring does not put right")]
    return view_notice.as_html(Notice(summary(applied))) + "".join(
        view_table.as_html(t) for t in tables if t.rows or t.notes
    )


def as_frame(applied: Applied) -> pd.DataFrame:
    """The steps as a DataFrame."""
    return view_table.as_frame(_rows(applied))


def _rows(applied: Applied) -> Table:
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (o.subject, o.name, o.worker_id, o.status, None if o.answer is None else view_plan.answered(o.answer))
        for o in applied.outcomes
    )
    return Table("topology-apply", COLUMNS, rows, applied.plan.taken_at)
