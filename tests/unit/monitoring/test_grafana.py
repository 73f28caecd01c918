"""The dashboard against Grafana's JSON model: what an import needs, and what a reader of several environments needs.

No Grafana is here to import it; each query is asked of a real Prometheus in tests/live/monitoring/test_alerts.py.
"""

from __future__ import annotations

import json
import re
from itertools import combinations
from typing import Any

import pytest

from attune_ops.monitoring.grafana import dashboard
from tests.world import Run

BOARD = dashboard()
PANELS: list[dict[str, Any]] = BOARD["panels"]
VARIABLES: dict[str, dict[str, Any]] = {v["name"]: v for v in BOARD["templating"]["list"]}
BUILT_IN = {"__rate_interval"}
UNITS = {"short", "s", "bool_yes_no"}  # of Grafana's list of units, the ones used
SOURCE = {"type": "prometheus", "uid": "${datasource}"}


def used(value: object) -> list[str]:
    """The names of the variables in a part of the dashboard, in order."""
    return re.findall(r"\$\{?(\w+)", json.dumps(value))


def test_the_command_prints_it(run: Run) -> None:
    assert json.loads(run("monitoring", "grafana", status=0).stdout) == BOARD


def test_it_is_imported_as_new_and_without_questions() -> None:
    assert BOARD["id"] is None  # a number would be that of another Grafana
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,40}", BOARD["uid"])
    assert BOARD["title"]
    assert isinstance(BOARD["schemaVersion"], int)
    assert not {"__inputs", "__requires"} & BOARD.keys()  # a question at the import; the data source is a variable
    sources = re.findall(r'"uid": "([^"]*)"', json.dumps({**BOARD, "uid": None}))
    assert set(sources) == {"${datasource}"}


def test_panels_have_numbers_of_their_own_and_do_not_overlap() -> None:
    assert len({p["id"] for p in PANELS}) == len(PANELS)
    cells: list[set[tuple[int, int]]] = []
    for panel in PANELS:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells.append({(x, y) for x in range(place["x"], place["x"] + place["w"])
                      for y in range(place["y"], place["y"] + place["h"])})  # fmt: skip
    assert not [1 for a, b in combinations(cells, 2) if a & b]


@pytest.mark.parametrize("panel", PANELS, ids=lambda p: str(p["title"]))
def test_each_panel_is_one_that_every_grafana_has(panel: dict[str, Any]) -> None:
    assert panel["type"] in ("timeseries", "stat", "table")
    assert panel["title"]
    assert panel["datasource"] == SOURCE
    assert panel["fieldConfig"]["defaults"]["unit"] in UNITS
    assert panel["fieldConfig"]["overrides"] == []
    assert panel["fieldConfig"]["defaults"]["thresholds"]["steps"][0]["value"] is None  # the first step has no begin
    targets = panel["targets"]
    assert len({t["refId"] for t in targets}) == len(targets)
    for target in targets:
        assert target["datasource"] == SOURCE
        assert target["instant"] is (panel["type"] != "timeseries")
        assert target["range"] is not target["instant"]
        assert target["format"] == ("table" if panel["type"] == "table" else "time_series")


def test_each_variable_is_defined_before_it_is_used_and_used() -> None:
    defined: set[str] = set()
    for name, variable in VARIABLES.items():
        assert set(used(variable)) <= defined, name
        defined.add(name)
        if variable["type"] == "query":
            assert re.fullmatch(r"label_values\(\w+\{.*\}, " + name + r"\)", variable["query"]["query"])
            assert variable["allValue"] == ".*"  # also series without that label
            assert variable["includeAll"]
    asked = used(PANELS)
    assert set(asked) - BUILT_IN == defined


def test_each_query_is_of_the_chosen_environments_and_each_line_names_its_own() -> None:
    for panel in PANELS:
        for target in panel["targets"]:
            assert re.findall(r"\{[^}]*\}", target["expr"])
            assert all('env=~"$env"' in chosen for chosen in re.findall(r"\{[^}]*\}", target["expr"]))
            assert "{{env}}" in target["legendFormat"]
    assert {p["options"]["textMode"] for p in PANELS if p["type"] == "stat"} == {
        "auto"
    }  # names where there are several
