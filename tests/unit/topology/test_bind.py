"""What an undo of a binding leaves as it was, and what it cannot bring back."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from attune_ops.model import command_lines
from attune_ops.model.errors import ActionError, Interrupted, SourceError, reports_done
from attune_ops.model.facts import Facts
from attune_ops.model.snapshot import BindingState, ExchangeState
from attune_ops.topology.bind import _after_unbind, _matching
from tests.unit.facts import facts


def bound(*bindings: BindingState, **exchange: Any) -> Facts:
    """January's installation with these bindings of the exchange `x`."""
    made = facts()
    broker = msgspec.structs.replace(
        made.actual,
        exchanges=(*(made.actual.exchanges or ()), ExchangeState("x", "/", "headers", **exchange)),
        bindings=(*(made.actual.bindings or ()), *bindings),
    )
    return msgspec.structs.replace(made, broker=broker)


def binding(**arguments: Any) -> BindingState:
    return BindingState("/", "x", "q", "", arguments=arguments)


def test_the_undo_of_a_binding_leaves_others_with_its_key() -> None:
    assert command_lines.binding("unbind", binding()).words[:4] == ("topology", "unbind", "--arguments", "{}")
    there = bound(binding(), binding(n=1), binding(n=True))
    assert _matching(there, binding(), exactly=True) == (binding(),)
    assert _matching(there, binding(n=1), exactly=True) == (binding(n=1),)
    assert _matching(there, binding(n=1.0), exactly=True) == ()
    assert len(_matching(there, binding(), exactly=False)) == 3


def test_what_the_undo_of_unbind_does_not_bring_back_is_said() -> None:
    (undo,) = _after_unbind(bound(binding()), (binding(),))
    assert undo.startswith("undo: attune-ops topology bind ")
    (_, said) = _after_unbind(bound(binding(present="undefined")), (binding(present="undefined"),))
    assert "the undo sets that text" in said
    (_, said) = _after_unbind(bound(binding(), auto_delete=True), (binding(),))
    assert "the broker deletes it with its last binding" in said
    (_,) = _after_unbind(bound(binding(), binding(n=1), auto_delete=True), (binding(),))


@pytest.mark.parametrize("kind", [ActionError, SourceError])
def test_an_error_halfway_says_what_is_done(kind: type[Exception]) -> None:
    with pytest.raises(kind, match=r"^refused; removed before: a$"), reports_done(lambda: "removed before: a"):
        raise kind("refused")
    with pytest.raises(kind, match=r"^refused$"), reports_done(lambda: ""):
        raise kind("refused")


def test_an_interrupt_halfway_says_what_is_done() -> None:
    with pytest.raises(Interrupted, match=r"^removed before: a$"), reports_done(lambda: "removed before: a"):
        raise KeyboardInterrupt
    with pytest.raises(Interrupted, match=r"^2 are safe; a$"), reports_done(lambda: "a"):
        raise Interrupted("2 are safe")
    with pytest.raises(KeyboardInterrupt) as raised, reports_done(lambda: ""):
        raise KeyboardInterrupt
    assert not isinstance(raised.value, Interrupted)
