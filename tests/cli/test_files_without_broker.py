"""Files that people write: checked, described by a schema, and changed, without a broker."""

from __future__ import annotations

import json
import subprocess
import tomllib
from pathlib import Path

import pytest

from attune_ops.model.topologies import names
from tests.world import COMMAND, Run

ROOT = Path(__file__).parents[2]
BUILT_IN = sorted((ROOT / "attune_ops/model/topologies").glob("*.toml"))
ENVIRONMENTS = (
    '# ours\n\n[env.dev]\namqp_url = "amqp://u:s3cret-word@h/"\n[env.prod]\namqp_url = "amqp://h/v"\nprotected = true\n'
)


def test_topology_check_names_line_reason_and_fix(run: Run) -> None:
    good = run.folder / "topology.toml"
    good.write_text(run("topology", "export", "--to", "toml", "--topology", "attune-2026-09", status=0).stdout)
    rows = json.loads(run("topology", "check", good, "--json", status=0).stdout)["rows"]
    lines = good.read_text().splitlines()
    assert rows, "the design checks find weaknesses in it"
    for row in rows:
        assert row["code"].startswith("AT6")
        assert row["severity"] in ("warning", "info")
        assert row["fix"]
    placed = [row for row in rows if row["line"]]
    assert placed
    assert all('"' in lines[row["line"] - 1] for row in placed)
    run("topology", "check", good, "--fail-on", "warning", status=1)

    bad = run.folder / "bad.toml"
    bad.write_text(good.read_text().replace('type = "topic"', 'topik = "topic"', 1))
    wrong = next(i for i, line in enumerate(bad.read_text().splitlines(), 1) if "topik" in line)
    done = run("topology", "check", good, bad, "--json", status=2)
    (row,) = (r for r in json.loads(done.stdout)["rows"] if r["severity"] == "invalid")
    assert (row["file"], row["line"]) == (str(bad), wrong)
    assert "topik" in row["reason"]
    assert (
        json.loads(run("topology", "check", "none.toml", "--json", status=2).stdout)["rows"][0]["severity"] == "invalid"
    )


def test_the_built_in_topologies_pass(run: Run) -> None:
    run("topology", "check", *names(), status=0)


def test_the_hook_runs_the_check(run: Run) -> None:
    import yaml

    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    line = [*hook["entry"].replace("attune-ops", str(COMMAND), 1).split(), str(BUILT_IN[0])]
    subprocess.run(line, check=True, capture_output=True, env=run.environment(), cwd=run.folder)


def test_schemas_accept_what_is_valid_and_refuse_what_is_not(run: Run) -> None:
    import jsonschema  # takes seconds: not in each process that collects the tests

    configuration = json.loads(run("config", "schema", status=0).stdout)
    topology = json.loads(run("config", "schema", "topology", status=0).stdout)
    example = (ROOT / "attune_ops/installation/config/example.toml").read_text()
    assert "#:schema attune-ops.schema.json\n" in example
    jsonschema.validate(tomllib.loads(example), configuration)
    assert all(file.stem in example for file in BUILT_IN)
    for file in BUILT_IN:
        jsonschema.validate(tomllib.loads(file.read_text()), topology)
    exported = run("topology", "export", "--to", "toml", "--topology", "attune-2026-09", status=0).stdout
    assert exported.startswith("#:schema attune-ops-topology.schema.json\n")
    for wrong in ({"env": {"x": {"amqp_uri": "amqp://h"}}}, {"severities": {"AT401": "bad"}}, {"default_env": 1}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, configuration)


def test_config_list_use_and_path(run: Run) -> None:
    for command in ("list", "path", "use dev"):
        assert "no configuration file" in run("config", *command.split(), status=2).stderr
    file = run.folder / "attune-ops.toml"
    file.write_text(ENVIRONMENTS)
    file.chmod(0o640)
    assert run("config", "path", status=0).stdout.strip() == str(file)
    listed = run("config", "list", "--json", status=0)
    assert "s3cret-word" not in listed.stdout
    assert [(r["name"], r["default"], r["protected"]) for r in json.loads(listed.stdout)["rows"]] == [
        ("dev", False, False),
        ("prod", False, True),
    ]
    assert "dry run" in run("config", "use", "prod", status=0).stderr
    assert file.read_text() == ENVIRONMENTS
    assert "undo: " in run("config", "use", "prod", "--apply", status=0).stderr
    assert tomllib.loads(file.read_text()) == {"default_env": "prod"} | tomllib.loads(ENVIRONMENTS)
    assert file.read_text().startswith("# ours\n")
    assert file.stat().st_mode & 0o777 == 0o640
    assert "undo: attune-ops config use prod --apply" in run("config", "use", "dev", "--apply", status=0).stderr
    assert tomllib.loads(file.read_text())["default_env"] == "dev"
    assert json.loads(run("config", "list", "--json", status=0).stdout)["rows"][0]["in_use"] is True
    assert "no environment 'nope'; it has dev, prod" in run("config", "use", "nope", "--apply", status=2).stderr
    assert [p.name for p in run.folder.iterdir()] == ["attune-ops.toml"]
