"""Every command that a check can print is run by a live test: `tests.live.doctor.broken` names which by which state.

What a check can print is read from its source: the names of `model.command_lines` that it, or a function of the
checks that it calls, uses.
"""

from __future__ import annotations

import ast
import inspect
import re
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from attune_ops.doctor.checks import all_checks
from attune_ops.model import command_lines
from attune_ops.model.snapshot import PolicyState
from attune_ops.model.table import matcher
from attune_ops.model.topology import Binding
from tests.live.doctor.broken import STATES
from tests.live.printed import command
from tests.world import words_of

SAMPLES: dict[str, tuple[Any, ...]] = {
    "bind": (Binding("e", "q", "k"),),
    "binding": ("unbind", Binding("x", "q", "k")),
    "retire": (1,),
    "set_policy": (PolicyState("/", "p", "q", definition={"max-length": 1}),),
    "set_operator_policy": (PolicyState("/", "p", "q", definition={"max-length": 1}),),
    "clear_operator_policy": ("/", "p"),
    "set_permissions": ("/", "attune", ".*", ".*", ".*"),
    "set_disk_free_limit": ("rabbit@a", 1),
    "set_memory_limit": ("rabbit@a", 0.6),
    "route": ("x", "k"),
    "dead_letter": ("q", "rejected", "k"),
    "restore_to_queue": ("q", "f.jsonl"),
}
LIVE = Path(__file__).parents[4] / "tests" / "live"
NO_LINES = {"line", "broker_line", "only", "any_of", "quoted", "option_words"}


def lines() -> dict[str, str]:
    """An example of each line that `command_lines` makes, by its name there."""
    made = {}
    for name, value in vars(command_lines).items():
        if (
            name.startswith("_")
            or name in NO_LINES
            or getattr(value, "__module__", None) not in (None, command_lines.__name__)
        ):
            continue
        if isinstance(value, command_lines.CommandLine):
            made[name] = str(value)
        elif isinstance(value, types.FunctionType):
            made[name] = str(value(*SAMPLES.get(name, ("q",))))
    return made


def used(function: Callable[..., Any], seen: set[Any]) -> set[str]:
    """The names of `command_lines` that a function uses, and those of the checks that it calls."""
    if function in seen:
        return set()
    seen.add(function)
    found: set[str] = set()
    for node in ast.walk(ast.parse(inspect.getsource(function).strip())):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "command_lines":
            found.add(node.attr)
        elif isinstance(node, ast.Name):
            value = inspect.unwrap(function).__globals__.get(node.id)
            if node.id in lines() and value is getattr(command_lines, node.id):
                found.add(node.id)
            elif isinstance(value, types.FunctionType) and value.__module__.startswith(
                ("attune_ops.doctor.checks.", "attune_ops.routing.")
            ):
                found |= used(value, seen)
    return found


def printed() -> dict[str, set[str]]:
    """The commands that each check can print, by code."""
    said = lines()
    return {c.code: {command(said[name]) for name in used(c.function, set())} for c in all_checks()}


def test_each_printed_command_is_run_by_a_live_test() -> None:
    proven = {what for state in STATES.values() for what in state.prints}
    for test in LIVE.rglob("test_*.py"):
        proven |= set(re.findall(r'proves\(\s*"([^"]+)"', test.read_text()))
    can = {f"{code} {said}" for code, commands in printed().items() for said in commands}
    assert can == proven


def test_no_command_is_printed_that_is_made_elsewhere() -> None:
    for check in all_checks():
        for node in ast.walk(ast.parse(inspect.getsource(inspect.getmodule(check.function) or check.function))):
            assert not (isinstance(node, ast.Constant) and str(node.value).startswith("attune-ops ")), node.value


@pytest.mark.parametrize(
    "name", ["-x", "/x/", "a b", "it's", "[a-z]*?", "ü", "a\nb", "$(rm x)", "`x`", "\\", '"', "x" * 255]
)
def test_a_line_means_the_name_whatever_it_is(name: str) -> None:
    assert words_of(str(command_lines.queue(name))) == ["queues", command_lines.only(name)]
    assert matcher(command_lines.only(name))(name)
    assert not matcher(command_lines.only(name))(name + "x")
    assert not command_lines.only(name).startswith("-")
