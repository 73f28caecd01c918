"""The rooms stand in one order: a module imports only from its own room and from rooms that stand before it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "attune_ops"
ORDER = (
    "model", "render", "installation", "routing", "messages", "inventory", "topology", "doctor", "startup", "cleanup",
    "lab", "drills", "monitoring", "ops", "notebook", "cli",
)  # fmt: skip
# The package itself is outside of the order: it only finds things by name, and `__main__` starts the command line.
OUTSIDE = ("__init__", "__main__")


def room_of(path: Path, package: Path = PACKAGE) -> str:
    return path.relative_to(package).parts[0].removesuffix(".py")


def imported(path: Path) -> Iterator[tuple[int, str]]:
    """Line and dotted name of every import of this package, lazy and type-checking ones included."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from ((node.lineno, name) for name in names if name.split(".")[0] == "attune_ops")


def upward(path: Path, package: Path = PACKAGE) -> list[str]:
    """The imports of a module that point to a later room, or to the package itself."""
    here = room_of(path, package)
    if here in OUTSIDE:
        return []
    allowed = ORDER[: ORDER.index(here) + 1]
    return [f"{path}:{line} imports {name}" for line, name in imported(path) if name.split(".")[1] not in allowed]


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_to_earlier_rooms(path: Path) -> None:
    assert upward(path) == []


def test_every_room_is_in_the_order() -> None:
    assert {room_of(path) for path in PACKAGE.rglob("*.py")} - set(OUTSIDE) == set(ORDER)


@pytest.mark.parametrize(
    "line",
    [
        "from attune_ops.doctor import findings",
        "def f():\n    from attune_ops.cli._main import main",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import attune_ops.ops",
        "from attune_ops import __version__",
    ],
)
def test_a_planted_upward_import_is_found(tmp_path: Path, line: str) -> None:
    planted = tmp_path / "routing" / "planted.py"
    planted.parent.mkdir()
    planted.write_text(line)
    assert len(upward(planted, tmp_path)) == 1


def _graph() -> dict[str, set[str]]:
    """Which modules each module imports."""
    modules = {}
    for path in PACKAGE.rglob("*.py"):
        name = ".".join(("attune_ops", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")
        modules[name] = path
    return {
        name: {
            target
            for _, found in imported(path)
            for target in [found if found in modules else found.rpartition(".")[0]]
            if target in modules and target != name
        }
        for name, path in modules.items()
        if name not in ("attune_ops", "attune_ops.__main__")
    }


def test_no_modules_import_each_other_in_a_circle() -> None:
    left = _graph()
    while True:  # takes away what imports nothing that is left; what stays is in a circle, or imports one
        free = {name for name, targets in left.items() if not targets & left.keys()}
        if not free:
            break
        left = {name: targets for name, targets in left.items() if name not in free}
    assert {name: sorted(targets & left.keys()) for name, targets in left.items()} == {}
