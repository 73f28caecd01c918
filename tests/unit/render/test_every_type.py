"""Every type that says it shows itself has a renderer; what `Ops` returns has the forms a notebook needs too."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator

import pytest

import attune_ops
from attune_ops.doctor.health import Probes
from attune_ops.messages.facade import Messages
from attune_ops.model.display import Shown
from attune_ops.monitoring.history_operations import HistoryOperations
from attune_ops.ops import Ops
from attune_ops.render import module_of
from attune_ops.topology.policies.apply_policy import PolicyOperations


def kinds(of: type[Shown] = Shown) -> Iterator[type[Shown]]:
    for kind in of.__subclasses__():
        yield kind
        yield from kinds(kind)


def every() -> dict[str, type[Shown]]:
    for found in pkgutil.walk_packages(attune_ops.__path__, "attune_ops."):
        if not found.name.endswith("__main__") and ".notebooks" not in found.name:
            importlib.import_module(found.name)
    return {k.__name__: k for k in kinds() if k.__module__.startswith("attune_ops.")}


EVERY = every()
# What is no value to show: plain data, the doors to more of it, and the dashboard, which a later room makes (Any).
NO_VALUE = {
    "None",
    "str",
    "int",
    "Self",
    "Any",
    "Facts",
    "Router",
    "Messages",
    "PolicyOperations",
    "Probes",
    "HistoryOperations",
}
DOORS = (Ops, Messages, PolicyOperations, Probes, HistoryOperations)


def returned() -> set[str]:
    """Every name in the return types of what `Ops` and its doors offer."""
    members = [m for door in DOORS for name, m in inspect.getmembers(door) if not name.startswith("_")]
    methods = [m.fget if isinstance(m, property) else m for m in members]
    found = {name: str(inspect.signature(m).return_annotation) for m in methods if callable(m) for name in [m.__name__]}
    assert "_empty" not in " ".join(found.values()), "each says what it returns"
    return {word for annotation in found.values() for word in re.findall(r"\w+", annotation)}


RETURNED = returned() & set(EVERY)


@pytest.mark.parametrize("name", sorted(EVERY))
def test_a_type_that_shows_itself_has_a_renderer(name: str) -> None:
    assert {"as_table", "as_text", "lines"} & set(vars(module_of(EVERY[name])))


@pytest.mark.parametrize("name", sorted(RETURNED))
def test_what_ops_returns_has_every_form(name: str) -> None:
    view = vars(module_of(EVERY[name]))
    assert "as_json" in view
    assert {"as_table", "lines"} & set(view)
    assert {"as_frame", "rows"} & set(view)


def test_ops_returns_values_that_show_themselves() -> None:
    assert {"Table", "Report", "ReapResult", "PeekResult", "Transfer"} <= RETURNED
    assert returned() - NO_VALUE <= set(EVERY), "a new one derives from Shown and gets a renderer"
