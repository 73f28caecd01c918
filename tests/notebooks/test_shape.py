"""What every shipped notebook has, read from its file: nothing is run."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest

from attune_ops.model.errors import ConfigError
from attune_ops.notebook.runbooks import catalog

DOCS = (Path(__file__).parents[2] / "docs" / "checks.md").read_text()
ALL = [file.stem for file in catalog.files()]
# What a cell may hold: a call, a name, an assignment of what a call returns; no logic.
PLAIN = (
    ast.Module, ast.Expr, ast.Assign, ast.Call, ast.Attribute, ast.Name, ast.Constant, ast.keyword, ast.Tuple, ast.Load,
    ast.Store, ast.Import, ast.ImportFrom, ast.alias, ast.UnaryOp, ast.USub,
)  # fmt: skip


def raw(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(catalog.find(name).read_bytes())
    return content


def test_there_are_ten_numbered_from_one() -> None:
    assert [int(name[:2]) for name in ALL] == list(range(1, 11))


@pytest.mark.parametrize("name", ALL)
def test_outputs_are_stripped(name: str) -> None:
    code = [c for c in raw(name)["cells"] if c["cell_type"] == "code"]
    assert all(c["outputs"] == [] and c["execution_count"] is None for c in code)


@pytest.mark.parametrize("name", ALL)
def test_it_asks_a_question_and_takes_parameters(name: str) -> None:
    content = catalog.read(catalog.find(name))
    assert re.match(r"# .+\?$", content.cells[0].text.splitlines()[0])
    tagged = [c for c in content.cells if "parameters" in c.metadata.get("tags", ())]
    assert len(tagged) == 1
    found = catalog.parameters(content)
    assert {k: found[k] for k in catalog.COMMON} == {"env": "None", "apply": "False", "confirm": "None"}


@pytest.mark.parametrize("name", ALL)
def test_no_logic_stands_in_its_cells_and_it_cleans_up(name: str) -> None:
    code = [c.text for c in catalog.read(catalog.find(name)).cells if c.cell_type == "code"]
    for source in code:
        assert all(isinstance(node, PLAIN) for node in ast.walk(ast.parse(source))), source
    assert code[-1] == "runbook.end()"


@pytest.mark.parametrize("name", ALL)
def test_the_checks_that_it_links_are_there(name: str) -> None:
    text = "\n".join(c.text for c in catalog.read(catalog.find(name)).cells if c.cell_type == "markdown")
    linked = re.findall(r"\[(AT\d+)\]\(\.\./docs/checks\.md#([\w-]+)\)", text)
    assert linked
    for code, anchor in linked:
        assert re.search(rf"^### {code} {anchor.partition('-')[2]}$", DOCS, re.MULTILINE), anchor


@pytest.mark.parametrize("name", [name for name in ALL if name[:2] not in ("01", "07", "10")])
def test_a_runbook_of_a_fault_or_a_change_ends_with_a_check(name: str) -> None:
    cells = [c for c in catalog.read(catalog.find(name)).cells if not c.text.startswith(("## Clean up", "runbook.end"))]
    last = max(i for i, c in enumerate(cells) if c.text.partition("\n")[0].endswith("?") or "## Is it over?" in c.text)
    assert cells[last + 1 :], "a question without an answer"
    assert all(c.cell_type == "markdown" or c.text.startswith(("ops.", "runbook.changes")) for c in cells[last:])
    assert last > 2, "it is not the title"


@pytest.mark.parametrize("name", ["6", "06", "orphans", "06-orphans", "06-orphans.ipynb"])
def test_a_notebook_has_several_names(name: str) -> None:
    assert catalog.find(name).stem == "06-orphans"


def test_an_unknown_name_is_one_sentence() -> None:
    with pytest.raises(ConfigError, match="no notebook 'nonsense'; there are 01-first-look, 02-"):
        catalog.find("nonsense")
