"""Differences, an application and a topology in every form, with any name in them."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime

import pytest

from attune_ops.model.topologies import load
from attune_ops.model.topology import Binding, Exchange, Queue, Topology, binding_name
from attune_ops.render import form
from attune_ops.render.wire import json_text
from attune_ops.topology.drift import (
    ApplyResult,
    Attribute,
    BrokerError,
    Declaration,
    Difference,
    DiffKind,
    Fix,
    TopologyDiff,
)
from attune_ops.topology.view_topology_diff import blocks
from tests.hostile import NAMES, is_safe

NOW = datetime(2026, 1, 16, tzinfo=UTC)


def plan(*names: str) -> TopologyDiff:
    """A plan with every kind of difference about each name."""
    made: list[Difference] = []
    for name in names:
        error = BrokerError(406, f"PRECONDITION_FAILED - inequivalent arg 'durable' for queue '{name}'")
        denied = BrokerError(541, "INTERNAL_ERROR - \nmany\nlines", "connection")
        attribute = Attribute(name or "x-a", name, 5, True, 7, name or "p", None)
        queue = Queue(name or "q")
        made += [
            Difference(DiffKind.MISSING, "queue", name, Fix.DECLARE, "why", queue, using=error),
            Difference(DiffKind.MISSING, "queue", name, Fix.REFUSED, "why", queue, declaring=denied, worker_id=1),
            Difference(DiffKind.DIFFERENT, "queue", name, Fix.RECREATE, "why", queue, (attribute,), declaring=error),
            Difference(DiffKind.OVERRIDDEN, "exchange", name, Fix.POLICY, "why", Exchange(name, "topic"), (attribute,)),
            Difference(DiffKind.UNEXPECTED, "binding", binding_name(name, name, name), Fix.UNBIND, "why"),
            Difference(DiffKind.SET_BY_POLICY, "queue", name, Fix.POLICY, "why", queue, (attribute,)),
            Difference(DiffKind.UNMANAGED, "queue", name, Fix.NOTHING, "why"),
        ]
    return TopologyDiff("t", "/", NOW, tuple(made), ("registry: not there",), (1,), 9)


def test_each_error_of_the_broker_is_shown() -> None:
    """Two queues are refused for two reasons: one explanation does not serve both."""
    answers = (BrokerError(403, "ACCESS_REFUSED"), BrokerError(541, "INTERNAL_ERROR", "connection"))
    refused = tuple(
        Difference(DiffKind.MISSING, "queue", f"q{a.code}", Fix.REFUSED, "why", declaring=a) for a in answers
    )
    shown = [text for _, text, _ in blocks(refused, None)]
    assert [text for text in shown if text.startswith("declaring it")] == [
        "declaring it: 403 ACCESS_REFUSED", "declaring it: 541 INTERNAL_ERROR (closes the connection)",
    ]  # fmt: skip


def applied(*names: str) -> ApplyResult:
    error = BrokerError(403, "ACCESS_REFUSED - \x1b[31m")
    outcomes = tuple(
        Declaration("queue", n, s, error if s == "refused" else None)
        for n in names
        for s in ("to declare", "declared", "refused", "lost")
    )
    return ApplyResult(plan(*names), outcomes, plan(*names))


def topology(*names: str) -> Topology:
    named = [n for n in names if n]
    return Topology(
        "t", tuple(Exchange(n, n) for n in named), tuple(Queue(n, arguments={n: n}) for n in named),
        tuple(Binding(n, n, n) for n in named),
    )  # fmt: skip


VALUES = [plan(*NAMES), applied(*NAMES), topology(*NAMES)]


@pytest.mark.parametrize("value", VALUES, ids=lambda v: type(v).__name__)
@pytest.mark.parametrize("name", ["text", "markdown", "html"])
def test_hostile_names_are_safe_for_people(value: object, name: str) -> None:
    text = form(value, name)
    assert is_safe(text)
    assert "<script>" not in text or name == "text"


@pytest.mark.parametrize("value", VALUES, ids=lambda v: type(v).__name__)
def test_hostile_names_are_exact_for_programs(value: object) -> None:
    data = json.loads(json_text(form(value, "json")))
    assert data["schema"].startswith("attune-ops/topology")
    read = {field for record in csv.reader(io.StringIO(form(value, "raw_csv"), newline="")) for field in record}
    assert {n for n in NAMES if n} <= read


def test_a_plan_in_words() -> None:
    text = form(plan("q"), "text")
    assert "  queue q: can be declared\n" in text
    assert "x-a" not in text
    assert "      q: desired q, actual 5, effective 7 (policy q)\n" in text
    assert r"declaring it: 541 INTERNAL_ERROR - \nmany\nlines (closes the connection)" in text
    assert text.endswith(
        "not compared: registry: not there\n"
        "t in virtual host /: 5 differences, 9 desired objects; 1 unmanaged object ignored (--format json lists them)"
    )


def test_a_terminal_is_shown_the_first_and_told_of_the_rest() -> None:
    many = plan(*(f"q{i}" for i in range(50)))
    from attune_ops.render.terminal import plain

    assert "and 80 more (all of them with --format json, or in a pipe)" in plain(form(many, "table"))
    assert "q49" in form(many, "text")


def test_nothing_differs() -> None:
    assert (
        form(TopologyDiff("t", "/", NOW, (), compared=3), "text")
        == "t in virtual host /: no drift in 3 desired objects"
    )


def test_an_application_in_words() -> None:
    dry = ApplyResult(plan("q"), (Declaration("queue", "q", "to declare"),))
    assert form(dry, "text").startswith("+ to declare queue q\nDeclaring does not fix:\n")
    done = ApplyResult(plan("q"), (Declaration("queue", "q", "declared"),), TopologyDiff("t", "/", NOW, ()))
    assert form(done, "text") == "√ declared   queue q\nt in virtual host /: 1 of 1 declared, read back: no drift"


def test_a_topology_as_toml() -> None:
    assert form(load("attune-2026-01"), "toml").startswith('name = "attune-2026-01"\n')
