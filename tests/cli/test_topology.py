"""topology and snapshot where no broker is needed, and wrong command lines."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from attune_ops.cli import _exit
from attune_ops.cli._main import main
from attune_ops.model.topologies import load

DEFINITIONS = {"exchanges": [{"name": "attune.events", "type": "topic"}], "queues": [], "bindings": []}


def run(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    status = main(list(map(str, arguments)))
    return status, *capsys.readouterr()


@pytest.fixture
def definitions(tmp_path: Path) -> Path:
    file = tmp_path / "definitions.json"
    file.write_text(json.dumps(DEFINITIONS))
    return file


def test_list_and_show(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    status, out, _ = run(capsys, "topology", "list", "--format", "json")
    assert (status, [r["name"] for r in json.loads(out)["rows"]]) == (
        _exit.OK,
        ["attune-0.6", "attune-2026-01", "attune-2026-09"],
    )
    status, out, _ = run(capsys, "topology", "show", "attune-2026-09", "--format", "toml")
    (tmp_path / "mine.toml").write_text(out)
    assert load(str(tmp_path / "mine.toml")) == load("attune-2026-09")
    assert run(capsys, "topology", "show", "--topology", tmp_path / "mine.toml", "--format", "toml")[1] == out


def test_an_unknown_topology(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["topology", "show", "nope"], ["topology", "graph", "--topology", "nope"]):
        status, out, err = run(capsys, *arguments)
        assert (status, out) == (_exit.USAGE, "")
        known = "use attune-0.6, attune-2026-01, attune-2026-09 or the path of a file"
        assert err == f"attune-ops: unknown topology 'nope'; {known}\n"


def test_from_a_file_no_installation_is_needed(capsys: pytest.CaptureFixture[str], definitions: Path) -> None:
    status, out, _ = run(capsys, "topology", "diff", "--from", definitions, "--format", "json")
    assert (status, json.loads(out)["counts"]["missing"]) == (_exit.FOUND, 9)
    status, out, _ = run(capsys, "topology", "export", "--from", definitions)
    assert (status, json.loads(out)["exchanges"][0]["name"]) == (_exit.OK, "attune.events")
    status, out, _ = run(capsys, "topology", "graph", "--from", definitions, "--format", "mermaid")
    assert (status, out.splitlines()[0]) == (_exit.OK, "flowchart LR")
    assert run(capsys, "snapshot", "show", definitions)[0] == _exit.OK
    assert run(capsys, "snapshot", "diff", definitions, definitions)[0] == _exit.OK


@pytest.mark.parametrize(
    "command", [["topology", "diff", "--from"], ["snapshot", "show"], ["topology", "export", "--from"]]
)
def test_a_wrong_file_is_one_line(command: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "half").write_text('{"queues": [')
    status, out, err = run(capsys, *command, tmp_path / "half")
    assert (status, out) == (_exit.USAGE, "")
    assert err.count("\n") == 1
    assert "invalid or incomplete JSON" in err


def test_a_snapshot_without_a_broker_has_no_difference_to_show(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    from datetime import UTC, datetime

    from attune_ops.model.facts import Facts, Source
    from attune_ops.model.snapshot_file import save_facts

    missing = {Source.BROKER: "broker refused"}
    save_facts(Facts(load("attune-2026-01"), datetime.now(UTC), missing=missing), str(tmp_path / "f"))
    status, out, err = run(capsys, "topology", "diff", "--from", tmp_path / "f")
    assert (status, out, err) == (_exit.UNREACHABLE, "", "attune-ops: broker refused\n")
