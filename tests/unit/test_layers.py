"""A lower layer never imports a higher one, wherever in a module the import stands."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "attune_ops"

# First match wins; a module is named by its path below the package.
LEVELS: dict[str, int] = {
    "steps": 0, "explanation": 0, "explain": 1,
    "graph": 0, "route": 0,
    "errors": 0, "shown": 0, "secret": 0, "topology": 0, "topology_file": 0, "snapshot": 0, "registry": 0, "facts": 0,
    "findings": 0, "table": 0, "units": 0, "wrong_file": 0, "differences": 0, "toml_text": 0,
    "tables": 1, "ownership": 1,
    "redact": 1, "messages": 1, "transfer": 0, "peeked": 0, "handling": 4, "reaped": 0, "reaping": 1,
    "command_lines": 0, "policy_change": 0, "policies": 1, "policy_rules": 1, "policy_drops": 1,
    "health": 0, "journal": 0, "ledger": 1,
    "severity": 0,
    "routing": 1, "plan": 1,
    "equivalence": 1, "live_topology": 1, "snapshot_changes": 1, "topology_graph": 1, "exporting": 1,
    "definitions": 1, "startup": 1, "envelope": 1, "checks": 1, "doctor": 1,
    "topologies": 2, "config": 2, "sources": 2, "actions": 2, "facts_file": 2,
    "render": 3,
    "drills": 4, "lab": 4, "history": 4, "metrics": 4, "diagnosis": 4, "ops": 4,
    "new_file": 0, "report_file": 4, "notice": 0, "runbooks": 4, "past": 0, "recording": 4, "probing": 4,
    "overview": 0, "dashboard": 4,
    "cli": 5, "__main__": 5, "__init__": 5, "notebooks": 5,
}  # fmt: skip

ALLOWED: dict[int, set[int]] = {
    0: {0},
    1: {0, 1},
    2: {0, 1, 2},
    3: {0, 3},
    4: {0, 1, 2, 3, 4},
    5: {0, 1, 2, 3, 4, 5},
}


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def room(name: str) -> str:
    """The part of the package that a dotted name belongs to."""
    parts = name.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def imports(path: Path) -> list[str]:
    """Every module of this package that the file imports, lazily or not, leaving out typing-only ones."""
    tree = ast.parse(path.read_text())
    only_types = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    found: list[str] = []
    for node in ast.walk(tree):
        if id(node) in only_types:
            continue
        if isinstance(node, ast.Import):
            found += [a.name for a in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found += [
                f"{node.module}.{a.name}" if node.module == "attune_ops" else str(node.module) for a in node.names
            ]
    return [n for n in found if n.split(".")[0] == "attune_ops"]


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_down(path: Path) -> None:
    here = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    assert here in LEVELS, f"{here} has no level: give it one in this test and in docs/architecture.md"
    for name in imports(path):
        there = room(name)
        if there == here or there.startswith("__version__"):
            continue
        assert LEVELS[there] in ALLOWED[LEVELS[here]], f"{path.name} (level {LEVELS[here]}) imports {name}"
        assert not (here == "sources" and there == "actions"), f"{path.name}: sources only read"


def test_every_part_has_a_level() -> None:
    parts = {p.relative_to(PACKAGE).parts[0].removesuffix(".py") for p in modules()}
    assert parts <= set(LEVELS)
