"""The JSON Schemas of the outputs: complete, and refusing what is not as they say.

`test_examples.py` compares the output of every command on a running installation with its schema.
"""

from __future__ import annotations

import copy
import importlib
import json
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import attune_ops
from attune_ops.cli import _schemas
from tests.cli.described import described, validator_of
from tests.world import Run, clean_environment

DOCS = Path(__file__).parents[2] / "docs"


def test_each_view_with_json_says_what_it_is() -> None:
    views = [
        importlib.import_module(m.name)
        for m in pkgutil.walk_packages(attune_ops.__path__, "attune_ops.")
        if ".view_" in m.name
    ]
    assert len(views) > 20
    assert [v.__name__ for v in views if hasattr(v, "as_json") and not hasattr(v, "JSON")] == []


def test_the_page_lists_them_all() -> None:
    page = (DOCS / "configuration.md").read_text()
    rows = re.findall(r"^\| (`.*?) \|", page[page.index("| `NAME` | output of |") :], re.MULTILINE)
    listed = {
        name.removeprefix("attune-ops/").removesuffix("/1") for row in rows[1:] for name in re.findall("`(.*?)`", row)
    }
    assert listed == set(_schemas.names()) - {"configuration"}


def test_names(run: Run) -> None:
    printed = [run("config", "schema", name, status=0).stdout for name in ("doctor", "attune-ops/doctor/1")]
    assert printed[0] == printed[1]
    file, output = (
        json.loads(run("config", "schema", n, status=0).stdout) for n in ("topology", "attune-ops/topology/1")
    )
    assert "schema" not in file["$defs"]["Topology"]["properties"]
    assert "schema" in output["$defs"]["Topology"]["required"]
    done = run("config", "schema", "doctors", status=2)
    assert done.stdout == ""
    assert "no JSON Schema 'doctors'; there are bindings, " in done.stderr


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("report")
    definitions = folder / "broker.json"
    run = Run(folder, clean_environment(folder / "home"))
    definitions.write_text(run("topology", "export", "--topology", "attune-2026-01", status=0).stdout)
    made: dict[str, Any] = json.loads(run("doctor", "--from", str(definitions), "--json").stdout)
    return made


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of each member of the first item of every list."""
    if isinstance(value, dict) and path[-1:] != ("evidence",):
        for name, inner in value.items():
            yield (*path, name)
            yield from places(inner, (*path, name))
    elif isinstance(value, list) and value:
        yield from places(value[0], (*path, 0))


def wrong_reports(report: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The report with one member removed, of another type, or too many."""
    for *path, last in places(report):
        for change in ("remove", "replace", "add"):
            wrong = copy.deepcopy(report)
            holder: Any = wrong
            for step in path:
                holder = holder[step]
            if change == "remove":
                del holder[last]
            elif change == "replace":
                holder[last] = ["neither", 1, "nor", {}] if last == "evidence" else {"no": ["such", "type"]}
            else:
                holder["unheard_of"] = 1
            yield f"{change} {(*path, last)}", wrong


def test_a_report_without_one_member_or_with_another_type_is_refused(report: dict[str, Any]) -> None:
    described(report)
    validator = validator_of(report["schema"])
    verdicts = {what: validator.is_valid(wrong) for what, wrong in wrong_reports(report)}
    assert len(verdicts) > 100
    assert [what for what, valid in verdicts.items() if valid] == []
