"""The pack for Attune, against what its loader, its API and its documentation of packs read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

PACK = Path(__file__).parents[2] / "deploy" / "attune-pack"
TEXT = {"type": "string", "minLength": 1}
REF = {"type": "string", "pattern": r"^attune_ops\.[a-z][a-z0-9_]*$"}
PARAMETER = {
    "type": "object",
    "required": ["type", "description"],
    "properties": {
        "type": {"enum": ["string", "integer", "number", "boolean", "object", "array"]},
        "description": TEXT,
        "default": {},
        "enum": {"type": "array"},
        "required": {"type": "boolean"},
        "secret": {"type": "boolean"},
        "items": {"type": "object"},
        "minimum": {"type": "number"},
        "maximum": {"type": "number"},
    },
    "additionalProperties": False,
}
PARAMETERS = {"type": "object", "additionalProperties": PARAMETER}
SCHEMAS: dict[str, dict[str, Any]] = {
    "pack.yaml": {
        "required": ["ref", "label", "name", "description", "version", "metadata", "keywords"],
        "properties": {
            "ref": {"type": "string", "pattern": "^[a-z][a-z0-9_-]*$"},
            "label": TEXT,
            "name": TEXT,
            "description": TEXT,
            "version": {"type": "string", "pattern": r"^\d+\.\d+\.\d+$"},
            "author": TEXT,
            "system": {"const": False},
            "enabled": {"type": "boolean"},
            "meta": {"type": "object"},
            "metadata": {"type": "object"},
            "tags": {"type": "array", "items": TEXT},
            "keywords": {"type": "array", "items": TEXT},
            "dependencies": {"const": ["core"]},  # the rule has a trigger of core
            "runtime_deps": {"type": "array", "items": {"enum": ["python", "shell", "node", "native"]}},
        },
        "additionalProperties": False,
    },
    "actions/*.yaml": {
        "required": ["ref", "label", "description", "runner_type", "entry_point"],
        "properties": {
            "ref": REF,
            "label": TEXT,
            "description": TEXT,
            "enabled": {"type": "boolean"},
            "runner_type": {"const": "python"},
            "entry_point": TEXT,
            "parameter_delivery": {"const": "stdin"},
            "parameter_format": {"const": "json"},
            "output_format": {"const": "json"},
            "timeout_seconds": {"type": "integer", "minimum": 1},  # the loader reads no other name
            "parameters": PARAMETERS,
            "output": PARAMETERS,
            "tags": {"type": "array", "items": TEXT},
        },
        "additionalProperties": False,
    },
    "rules/*.yaml": {
        "required": ["ref", "pack_ref", "label", "trigger_ref", "action_ref"],
        "properties": {
            "ref": REF,
            "pack_ref": {"const": "attune_ops"},
            "label": TEXT,
            "description": TEXT,
            "trigger_ref": TEXT,
            "action_ref": REF,
            "trigger_params": {"type": "object"},
            "conditions": {"type": "object"},
            "action_params": {"type": "object"},
            "enabled": {"type": "boolean"},
        },
        "additionalProperties": False,
    },
}


@pytest.mark.parametrize("pattern", SCHEMAS)
def test_each_file_obeys_its_schema(pattern: str) -> None:
    import jsonschema  # takes seconds: not in each process that collects the tests

    files = sorted(PACK.glob(pattern))
    assert files
    for file in files:
        jsonschema.validate(yaml.safe_load(file.read_text()), SCHEMAS[pattern] | {"type": "object"})


def test_upload_and_loader_read_the_same() -> None:
    pack = yaml.safe_load((PACK / "pack.yaml").read_text())
    # crates/api/src/routes/packs.rs reads the second name of each, the loader of the core pack the first.
    for first, second in (("label", "name"), ("meta", "metadata"), ("tags", "keywords")):
        assert pack[first] == pack[second]


def test_names_agree() -> None:
    actions = {a["ref"]: a for f in PACK.glob("actions/*.yaml") for a in [yaml.safe_load(f.read_text())]}
    assert set(actions) == {f"attune_ops.{f.stem}" for f in PACK.glob("actions/*.yaml")}
    assert all((PACK / "actions" / a["entry_point"]).is_file() for a in actions.values())
    for file in PACK.glob("rules/*.yaml"):
        rule = yaml.safe_load(file.read_text())
        assert rule["ref"] == f"attune_ops.{file.stem}"
        assert rule["action_params"].keys() <= actions[rule["action_ref"]]["parameters"].keys()
    assert not [f for f in PACK.rglob("*") if f.is_symlink()]  # Attune refuses them
