"""What `attune_ops` exports: complete, importable, and known to a type checker."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import attune_ops

TREE = ast.parse(Path(attune_ops.__file__).read_text(encoding="utf-8"))
HOME: dict[str, str] = attune_ops._HOME


def imported(body: list[ast.stmt]) -> Iterator[tuple[str, str]]:
    """Each name that these statements import, and the module it comes from."""
    for statement in body:
        if isinstance(statement, ast.ImportFrom) and statement.module is not None:
            yield from ((name.asname or name.name, statement.module) for name in statement.names)


def checked_types() -> dict[str, str]:
    """The names that only a type checker imports, and their modules."""
    (block,) = (s for s in TREE.body if isinstance(s, ast.If) and ast.unparse(s.test) == "TYPE_CHECKING")
    return dict(imported(block.body))


@pytest.mark.parametrize("name", attune_ops.__all__)
def test_each_is_importable(name: str) -> None:
    found = getattr(attune_ops, name)
    if name in HOME:
        assert found is getattr(importlib.import_module(HOME[name]), name)


def test_none_is_missing() -> None:
    assert attune_ops.__all__ == sorted(attune_ops.__all__)
    assert {*HOME, "__version__"} == set(attune_ops.__all__)


def test_dir_lists_exactly_these() -> None:
    assert dir(attune_ops) == sorted(attune_ops.__all__)


def test_a_type_checker_knows_each_from_the_same_module() -> None:
    assert checked_types() == HOME


def test_the_star_and_the_lazy_names_work_in_a_new_process() -> None:
    program = "from attune_ops import *; print(connect.__name__, Ops.__name__, AttuneOpsError.__name__, dashboard)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("connect Ops AttuneOpsError <function dashboard")


def test_an_unknown_name_and_an_unknown_option_are_named() -> None:
    with pytest.raises(AttributeError, match="module 'attune_ops' has no attribute 'conect'"):
        attune_ops.conect  # noqa: B018
    with pytest.raises(attune_ops.AttuneOpsError, match="connect has no option 'topolgy'; its options are env, config"):
        attune_ops.connect(topolgy="attune-2026-09")
